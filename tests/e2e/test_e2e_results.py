"""`verify`, `diff`, `land` and `clean` after, and during, real runs."""

from __future__ import annotations

from repo import Repo, work
from sandbox import Sandbox, phase, wait_for


def _two(repo: Repo, second: str = "cat a > b") -> None:
    repo.plan(work("a", "echo a > a", writes=["a"]), work("b", second, needs=["a"], writes=["b"], title="The second"))


def test_from_a_run_to_the_users_branch_and_nothing_left_over(repo: Repo) -> None:
    _two(repo)
    assert repo.run().code == 0
    box, result = repo.box, repo.git("rev-parse", repo.result)

    proof = box.wavecrew("verify")
    assert proof.code == 0
    assert proof.out.splitlines()[0].endswith(f"({result[:12]})")
    shown = box.wavecrew("diff", "b")
    assert shown.out.endswith("+++ b/b\n@@ -0,0 +1 @@\n+a\n")
    assert "\x1b" not in shown.out
    assert "\x1b[32m+a" in box.wavecrew("diff", "b", "--color", "always").out
    assert box.wavecrew("diff", "b", "--name-only").out == "b\n"
    assert box.wavecrew("diff", "b", "--stat").out.endswith("+1 -0  b\n")

    landed = box.wavecrew("land", "--json")
    assert landed.code == 0
    assert (landed.json["branch"], landed.json["after"]) == ("main", result.strip())
    assert landed.json["phases"] == ["a", "b"]
    assert (box.folder / "b").read_text() == "a\n"
    assert "landed on main" in box.wavecrew("status").out

    looked = box.wavecrew("clean")
    assert "nothing was removed; can go: 3 of 3" in looked.out
    assert len(repo.branches()) == 3
    assert box.wavecrew("clean", "--yes").code == 0
    assert repo.branches() == set()
    assert box.wavecrew("clean").out == "nothing is left over\n"
    assert box.wavecrew("verify").out.startswith(f"run {proof.out.split()[1]}  proven: 2 phases in main")


def test_after_a_clean_up_work_is_still_kept(repo: Repo) -> None:
    _two(repo)
    repo.run()
    repo.box.wavecrew("land")
    repo.box.wavecrew("clean", "--yes")
    before = repo.ran()

    repo.plan(
        work("a", "echo a > a", writes=["a"]),
        work("b", "cat a > b", needs=["a"], writes=["b"], title="The second"),
        work("c", "cat a b > c", needs=["b"], writes=["c"]),
    )
    assert repo.run().code == 0
    assert repo.ran() == [*before, "c 1"]
    proof = repo.box.wavecrew("verify", "--json")
    assert proof.code == 0, proof
    assert [one["kept_from"] != "" for one in proof.json["phases"]] == [True, True, False]
    assert "+a" in repo.box.wavecrew("diff", "a").out


def test_a_result_that_was_tampered_with_is_seen_and_neither_landed_nor_taken_for_good(repo: Repo) -> None:
    _two(repo)
    repo.run()
    branch = repo.result.removeprefix("refs/heads/")
    repo.git("branch", "-f", branch, f"{branch}~1")

    proof = repo.box.wavecrew("verify")
    assert proof.code == 9
    assert "NOT PROVEN: 1 of 2" in proof.out
    assert f"fix: put the result back to its last merge: git branch -f {branch} " in proof.out
    refused = repo.box.wavecrew("land")
    assert refused.code == 8
    assert "wavecrew verify" in refused.err
    assert not (repo.box.folder / "b").exists()

    repo.git(*proof.out.partition("last merge: git ")[2].split("\n")[0].split())
    assert repo.box.wavecrew("verify").code == 0
    assert repo.box.wavecrew("land").code == 0


def test_an_output_that_somebody_removed_comes_back_as_the_fix_says(repo: Repo) -> None:
    _two(repo)
    repo.run()
    branch = repo.result.removeprefix("refs/heads/")
    repo.git("worktree", "add", "-q", "../by-hand", branch)
    repo.git("-C", "../by-hand", "rm", "-q", "a")
    repo.git("-C", "../by-hand", "commit", "-q", "-m", "who needs a")
    repo.git("worktree", "remove", "../by-hand")

    proof = repo.box.wavecrew("verify")
    assert proof.code == 9
    assert f"its output a is not in {branch}" in proof.out
    assert "fix: do it again: wavecrew retry a && wavecrew run" in proof.out
    assert repo.box.wavecrew("retry", "a").code == 0
    assert repo.run().code == 0
    assert repo.box.wavecrew("verify").code == 0
    assert repo.text("a") == "a\n"


def test_a_failed_phase_can_be_looked_at_and_its_work_is_kept_from_cleaning(repo: Repo) -> None:
    _two(repo, "echo half > b; echo '\033[2J' > x; exit 3")
    assert repo.run().code == 1

    shown = repo.box.wavecrew("diff", "b")
    assert "ended without success" in shown.out
    assert "+half" in shown.out
    assert "+^[[2J" in shown.out
    raw = repo.box.wavecrew("diff", "b", "--raw")
    assert "\x1b[2J" in raw.out
    refused = repo.box.wavecrew("land")
    assert refused.code == 8
    assert "b not done" in refused.err
    assert repo.box.wavecrew("verify").code == 0

    cleaned = repo.box.wavecrew("clean", "--yes", "--json").json["leftovers"]
    fates = {one["phase"]: one["fate"] for one in cleaned}
    assert fates == {"a": "removed", "b": "kept", "": "kept"}
    assert "+half" in repo.box.wavecrew("diff", "b").out
    landed = repo.box.wavecrew("land", "--partial")
    assert landed.code == 0
    assert "not done b" in landed.out
    assert (repo.box.folder / "a").exists()


def test_what_is_merged_lands_beside_a_living_coordinator_which_has_it_on_record(repo: Repo) -> None:
    _two(repo, 'until [ -e "$HOME/go" ]; do sleep 0.05; done; cat a > b')
    running = repo.box.start_run()
    wait_for(lambda: "b 1" in repo.ran(), "b to begin")

    assert repo.box.wavecrew("land").code == 8
    live = repo.box.wavecrew("diff", "b")
    assert "still at work" in live.out
    landed = repo.box.wavecrew("land", "--partial")
    assert landed.code == 0, landed
    assert (repo.box.folder / "a").read_text() == "a\n"
    kept = repo.box.wavecrew("clean", "--yes")
    assert "a coordinator is in charge of it" in kept.out
    assert [one["branch"] for one in repo.events("ResultLanded")] == ["main"]

    (repo.box.home / "go").touch()
    assert running.end().code == 0
    assert repo.box.wavecrew("verify").code == 0
    assert repo.box.wavecrew("land").code == 0
    assert (repo.box.folder / "b").read_text() == "a\n"
    assert len(repo.events("ResultLanded")) == 2


def test_the_worktree_of_an_agent_that_outlived_its_coordinator_is_not_cleaned_away(repo: Repo) -> None:
    repo.plan(work("a", 'until [ -e "$HOME/go" ]; do sleep 0.05; done; echo a > a', writes=["a"]))
    running = repo.box.start_run()
    wait_for(lambda: "a 1" in repo.ran(), "a to begin")
    running.kill()

    assert "the run goes on with it" in repo.box.wavecrew("clean", "--yes").out
    (repo.box.home / "go").touch()
    assert repo.run().code == 0
    assert repo.ran() == ["a 1"]
    assert repo.text("a") == "a\n"


def test_what_the_user_has_uncommitted_is_never_touched(repo: Repo) -> None:
    _two(repo)
    repo.run()
    repo.box.write("README.md", "mine\n")

    refused = repo.box.wavecrew("land")
    assert refused.code == 8
    assert "uncommitted changes" in refused.err
    assert "commit or stash" in refused.err
    assert repo.box.read("README.md") == "mine\n"
    assert not (repo.box.folder / "a").exists()


def test_a_conflict_with_the_user_names_the_files_and_a_way_that_works(repo: Repo) -> None:
    _two(repo)
    repo.run()
    repo.box.write("a", "mine\n")
    own = repo.commit("my own a")

    refused = repo.box.wavecrew("land")
    assert refused.code == 8
    assert "does not merge into main: a" in refused.err
    assert f"git merge {repo.result.removeprefix('refs/heads/')}" in refused.err
    assert repo.git("rev-parse", "main").strip() == own


def test_flags_that_do_not_go_together_and_what_is_not_there(repo: Repo) -> None:
    assert repo.box.wavecrew("verify").code == 4
    _two(repo)
    repo.run()

    assert repo.box.wavecrew("diff", "b", "--stat", "--raw").code == 2
    assert repo.box.wavecrew("diff", "nothing").code == 4
    assert repo.box.wavecrew("diff", "b", "--attempt", "7").code == 4
    assert repo.box.wavecrew("diff", "b", "--run", "ffffff").code == 4
    assert repo.box.wavecrew("land", "--into", "nowhere").code == 4
    assert repo.box.wavecrew("land", "--into", repo.result).code == 2
    assert "patch" not in repo.box.wavecrew("diff", "b", "--json", "--stat").json


def test_in_a_shared_folder_verify_says_how_little_it_can(box: Sandbox) -> None:
    box.plan(phase("a", "echo a > a.txt", writes=["a.txt"]))
    assert box.run().code == 0

    proof = box.wavecrew("verify")
    assert proof.code == 0
    assert "the outputs of 1 phase in the workspace" in proof.out
    (box.folder / "a.txt").unlink()
    proof = box.wavecrew("verify", "--json")
    assert proof.code == 9
    assert proof.json["phases"][0]["lacks"][0]["about"] == "a.txt"
    assert box.wavecrew("diff", "a").code == 2
    assert box.wavecrew("land").code == 2
    assert box.wavecrew("clean").out == "nothing is left over\n"


def test_what_keeps_a_result_from_its_branch_is_told_before_the_work(repo: Repo) -> None:
    _two(repo)
    nowhere = repo.run("--into", "nowhere")
    assert (nowhere.code, repo.ran()) == (4, [])
    assert "there is no branch nowhere" in nowhere.err
    shared = repo.run("--into", "main", "--isolation", "shared")
    assert (shared.code, repo.ran()) == (2, [])
    detached = repo.run("--into", "main", "--detach")
    assert (detached.code, repo.ran()) == (2, [])
    assert "wavecrew land --into main" in detached.err


def test_a_result_that_is_there_already_is_brought_to_its_branch_all_the_same(repo: Repo) -> None:
    _two(repo)
    assert repo.run().code == 0
    assert not (repo.box.folder / "b").exists()
    again = repo.run("--into", "main")
    assert again.code == 0
    assert "nothing to do" in again.out
    assert "landed run" in again.out
    assert repo.box.read("b") == "a\n"


def test_what_a_run_takes_along_it_lands_with_too(repo: Repo) -> None:
    """Uncommitted work that went into the run, and documents and settings that a run may leave uncommitted."""
    box = repo.box
    repo.plan(work("a", "cat mine README.md > a", writes=["a"]))
    box.write("wavecrew.toml", 'plan = "plan.json"\n')
    repo.commit("the plan")
    box.write("mine", "mine\n")
    box.write("README.md", "# Here, and there\n")
    assert "--include-dirty" in repo.run().err
    assert repo.run("--include-dirty").code == 0
    box.plan(work("a", "cat mine README.md > a", writes=["a"], title="Later"))
    box.write("wavecrew.toml", 'plan = "plan.json" # later\n')

    landed = box.wavecrew("land")

    assert landed.code == 0, landed
    assert box.read("a") == "mine\n# Here, and there\n"
    assert repo.git("status", "--porcelain") == " M plan.json\n M wavecrew.toml\n"
    assert repo.git("show", "HEAD:mine") == "mine\n"
