"""Phases in worktrees of their own, and their way into the result, with real git."""

from __future__ import annotations

import signal

import pytest
from repo import Repo, work
from sandbox import Sandbox, wait_for


def _all_completed(repo: Repo) -> bool:
    return set(repo.box.statuses().values()) == {"COMPLETED"}


# -- good work ------------------------------------------------------------------------------------------------------


def test_a_phase_starts_from_a_tree_that_holds_all_its_dependencies(repo: Repo) -> None:
    repo.plan(
        work("a", "echo a > a", writes=["a"]),
        work("b", "cat a > b", needs=["a"], writes=["b"]),
        work("c", "cat a > c; sleep 0.2", needs=["a"], writes=["c"]),
        work("d", "cat b c > d", needs=["b", "c"], writes=["d"]),
        work("e", "cat b c d > e", needs=["b", "c", "d"], writes=["e"]),
    )
    head = repo.git("rev-parse", "HEAD")

    done = repo.run()

    assert done.code == 0, done
    assert repo.text("e") == "a\na\na\na\n"
    assert repo.files() >= {"a", "b", "c", "d", "e", "README.md", "plan.json"}
    assert repo.git("rev-parse", "HEAD") == head
    assert repo.git("status", "--porcelain") == ""
    assert not (repo.box.folder / "a").exists()
    assert repo.worktrees() == 0


def test_every_completed_phase_can_be_found_in_git_by_its_trailers(repo: Repo) -> None:
    repo.plan(work("a", "echo a > a", writes=["a"]), work("nothing to do", needs=["a"]))

    assert repo.run().code == 0

    told = repo.git("log", "--format=%(trailers:key=Wavecrew-Phase,valueonly,separator=%x2C)", repo.result).split("\n")
    assert {"a", "nothing to do"} <= set(told)


def test_commits_of_the_agent_are_kept(repo: Repo) -> None:
    commit = "git add -A; git commit -qm 'my own words'"
    repo.plan(work("a", f"echo 1 > a; {commit}; echo 2 >> a", writes=["a"]), work("b", f"echo b > b; {commit}"))

    assert repo.run("--audit", "off").code == 0

    assert repo.git("log", "--format=%s", repo.result).split("\n").count("my own words") == 2
    assert repo.text("a") == "1\n2\n"


def test_declared_outputs_are_in_the_result_though_git_ignores_them(repo: Repo) -> None:
    repo.box.write(".gitignore", "dist/\n*.log\n")
    repo.plan(work("a", "mkdir -p dist; echo 1 > dist/app; echo x > noise.log", writes=["dist/"]))

    assert repo.run().code == 0

    assert repo.files() >= {"dist/app"}
    assert "noise.log" not in repo.files()


def test_a_workspace_below_the_top_of_the_repository(box: Sandbox) -> None:
    repo = Repo(box)
    repo.begin({"README.md": "top\n", "part/wavecrew.toml": "retries = 0\n"})
    inner = Sandbox(box.folder / "part", box.home)
    inner.plan(work("a", "pwd > place; echo a > a", writes=["a", "place"]), work("b", "cat a > b", needs=["a"]))
    repo.commit("plan")
    try:
        done = inner.run("--audit", "off")
    finally:
        inner.close()

    assert done.code == 0, done
    assert repo.files() >= {"part/a", "part/b", "part/place"}
    assert repo.text("part/place").rstrip().endswith("/part")


def test_setup_and_teardown_have_slots_and_ports_of_their_own(repo: Repo) -> None:
    tell = """sh -c 'echo "$0 $WAVECREW_PHASE $WAVECREW_INDEX $WAVECREW_PORT_BASE" >> "$HOME/told"'"""
    toml = f'setup = ["""{tell} setup""", "cp {repo.box.folder}/.secret .secret"]\nteardown = ["""{tell} down"""]\n'
    repo.box.write("wavecrew.toml", toml)
    repo.box.write(".gitignore", ".secret\n")
    repo.box.write(".secret", "key\n")
    repo.plan(
        work("a", "cat .secret > a; while [ ! -e $HOME/b ]; do sleep 0.01; done", writes=["a"]),
        work("b", "cat .secret > b; touch $HOME/b; while [ ! -e $HOME/ok ]; do sleep 0.01; done", writes=["b"]),
    )
    running = repo.box.start_run()
    told = repo.box.home / "told"
    wait_for(lambda: told.exists() and len(told.read_text().splitlines()) >= 3, "a is being cleared up")
    (repo.box.home / "ok").touch()

    assert running.end().code == 0

    lines = sorted(told.read_text().splitlines())
    assert lines == ["down a 1 20000", "down b 2 20010", "setup a 1 20000", "setup b 2 20010"]
    assert repo.text("a") == "key\n"
    assert ".secret" not in repo.files()


# -- work that cannot be taken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "cause", "detail"),
    [
        ("echo work > w; git checkout -q --orphan other; git commit -qm x", "git", "lacks what"),
        ("echo work > w; mkdir sub; cd sub; git init -q; git commit -q --allow-empty -m x", "git", "sub"),
        ("echo work > w", "outputs", "declared outputs are missing: out"),
        ("echo work > w; echo x > out; exit 3", "exit", "exit code 3"),
        ("echo work > w; echo x > out; echo y > elsewhere", "audit", "elsewhere"),
    ],
)
def test_work_that_cannot_be_taken_stays_on_its_branch(repo: Repo, script: str, cause: str, detail: str) -> None:
    repo.plan(work("a", script, writes=["w", "out"] if cause != "git" else ["w"]))

    done = repo.run("--audit", "fail")

    assert done.code == 1, done
    [ended] = repo.events("AttemptEnded")
    assert ended["cause"] == cause
    assert detail in ended["detail"]
    branch = repo.branch("a")
    kept = repo.git("log", "--all", "--format=%H", "--", "w").split()
    assert kept, "nothing of the work is in git"
    assert repo.git("show", f"{branch}:w") == "work\n"
    assert "w" not in repo.files()


def test_undeclared_files_are_named_and_by_default_taken(repo: Repo) -> None:
    repo.plan(work("a", "echo a > a; echo x > 'not mine'", writes=["a"]))

    done = repo.run()

    assert done.code == 0
    assert "not mine" in done.out
    [told] = repo.events("UndeclaredWrites")
    assert (told["suspects"], told["paths"]) == (["a"], ["not mine"])


# -- conflicts ---------------------------------------------------------------------------------------------------------

BOTH = "while [ ! -e $HOME/{other} ]; do touch $HOME/{me}; sleep 0.01; done; touch $HOME/{me}"


def _together(me: str, other: str) -> str:
    """A line that ends once both agents are at work, so that neither starts from the other's work."""
    return BOTH.format(me=f"at-{me}", other=f"at-{other}")


def test_a_conflict_is_tried_again_from_the_new_base_with_the_conflict_told(repo: Repo) -> None:
    script = f"{_together('a', 'b')}; grep -q . common || true; echo {{0}} >> common"
    repo.box.write("common", "begin\n")
    repo.plan(
        work("a", script.format("a").replace("at-b", "at-b")),
        work("b", f"{_together('b', 'a')}; echo b >> common"),
    )

    done = repo.run()

    assert done.code == 0, done
    assert sorted(repo.text("common").split()) == ["a", "b", "begin"]
    [refused] = repo.events("MergeRefused")
    loser = refused["phase"]
    assert refused["paths"] == ["common"]
    assert repo.phase(loser)["attempts"] == 2
    prompt = repo.prompt(loser, 2)
    assert "common" in prompt
    assert "change" in prompt


def test_a_conflict_that_stays_fails_and_keeps_both_sides(repo: Repo) -> None:
    """The one that comes second always rewrites what the first has written."""
    repo.box.write("common", "begin\n")
    again = 'if [ "$WAVECREW_ATTEMPT_NUMBER" -gt 1 ]; then git reset -q --soft "$START"; fi'
    repo.plan(
        work("a", f"{_together('a', 'b')}; echo a > common"),
        work("b", f"{_together('b', 'a')}; sleep 1; echo b > common; {again}", retries=0),
    )

    done = repo.run("--conflict-retry-attempts", "0")

    assert done.code == 1
    assert repo.text("common") == "a\n"
    assert repo.phase("b")["status"] == "FAILED"
    assert repo.text("common", repo.branch("b")) == "b\n"
    assert "wavecrew/" in done.out


def test_a_conflict_can_be_solved_by_hand_with_the_commands_that_are_shown(repo: Repo) -> None:
    repo.box.write("common", "begin\n")
    repo.plan(
        work("a", f"{_together('a', 'b')}; echo a > common"),
        work("b", f"{_together('b', 'a')}; sleep 0.5; echo b > common"),
        work("c", "cp common seen", needs=["a", "b"], writes=["seen"]),
    )
    done = repo.run("--conflict-retry-attempts", "0")
    loser = next(name for name, status in repo.box.statuses().items() if status == "FAILED")
    shown = done.out.partition("merge it by hand:")[2].splitlines()
    assert shown[0].strip() == f"git switch {repo.result.removeprefix('refs/heads/')} && git merge {repo.branch(loser)}"

    repo.git("switch", "-q", repo.result.removeprefix("refs/heads/"))
    repo.git("merge", repo.branch(loser), check=False)
    repo.box.write("common", "both\n")
    repo.git("commit", "-q", "-a", "-m", "by hand")
    repo.git("switch", "-q", "main")
    assert repo.box.wavecrew("skip", loser, "--reason", "merged by hand").code == 0
    again = repo.run()

    assert again.code == 0, again
    assert repo.text("seen") == "both\n"


def test_green_alone_and_red_together_is_stopped_and_both_are_kept(repo: Repo) -> None:
    """A says that there are at most two files; b adds one, and c adds one."""
    repo.box.write("wavecrew.toml", """gate_commands = ["sh -c 'test $(ls files | wc -l) -le 2'"]\n""")
    repo.box.write("files/one", "1\n")
    repo.plan(
        work("b", f"{_together('b', 'c')}; echo b > files/b", writes=["files/b"]),
        work("c", f"{_together('c', 'b')}; echo c > files/c", writes=["files/c"]),
    )

    done = repo.run("--conflict-retry-attempts", "1")

    assert done.code == 1
    winner = "b" if repo.phase("b")["status"] == "COMPLETED" else "c"
    loser = "c" if winner == "b" else "b"
    assert repo.phase(loser)["status"] == "FAILED"
    assert "red together" in repo.events("MergeRefused")[0]["detail"]
    assert repo.files() >= {"files/one", f"files/{winner}"}
    assert f"files/{loser}" not in repo.files()
    assert repo.text(f"files/{loser}", repo.branch(loser)) == f"{loser}\n"
    assert "red together" in repo.prompt(loser, 2)


def test_what_fails_the_gate_alone_is_its_own_fault(repo: Repo) -> None:
    repo.box.write("wavecrew.toml", 'gate_commands = ["test ! -e broken"]\n')
    repo.plan(work("a", "touch broken", writes=["broken"]), work("b", "touch fine", writes=["fine"]))

    done = repo.run()

    assert done.code == 1
    [failed] = [one for one in repo.events("AttemptEnded") if one["outcome"] == "failed"]
    assert (failed["phase"], failed["cause"]) == ("a", "gate")
    assert repo.events("MergeRefused") == []
    assert "fine" in repo.files()
    assert "broken" not in repo.files()


def test_what_the_checks_of_the_merged_tree_print_can_be_seen(repo: Repo) -> None:
    repo.box.write("wavecrew.toml", """gate_commands = ["sh -c 'echo the gate says no; false'"]\n""")
    repo.plan(work("a", "echo from the agent; echo a > a", writes=["a"]))

    done = repo.run()

    assert "the gate says no" in done.out
    shown = repo.box.wavecrew("logs", "a").out
    assert shown == "from the agent\n-- checks of the merged tree\nthe gate says no\n"


def test_a_check_of_the_other_phase_runs_on_the_merged_tree(repo: Repo) -> None:
    repo.plan(
        work("a", f"{_together('a', 'b')}; echo a > a", writes=["a"], checks=[["test", "!", "-e", "b"]]),
        work("b", f"{_together('b', 'a')}; echo b > b", writes=["b"]),
    )

    done = repo.run("--conflict-retry-attempts", "0")

    assert done.code == 1
    assert sum(status == "COMPLETED" for status in repo.box.statuses().values()) == 1
    assert "red together" in repo.events("MergeRefused")[0]["detail"]


_UNTIL_BOTH = "n=0; until test -e $HOME/here-a -a -e $HOME/here-b || test $n -gt 200; do n=$((n+1)); sleep 0.05; done"


def _document(repo: Repo, name: str, head: str, *blocks: tuple[str, str]) -> None:
    fences = "\n".join(f"```{info}\n{text}\n```\n" for info, text in blocks)
    repo.box.write(f"plan/{name}.md", f"---\nid: {name}\nwrites: [{name}]\n{head}---\n\n# Phase {name}\n\n{fences}")
    repo.commit("plan")


def test_a_check_block_is_carried_out_whoever_the_agent_is(repo: Repo) -> None:
    command = 'command: [sh, -c, "echo bad > a"]\n'
    _document(repo, "a", command, ("sh check", "grep -q good a"))
    done = repo.box.wavecrew("run", "plan", "--yes", "--ui", "plain")
    assert done.code == 1
    assert "check grep -q good a" in done.out
    assert not repo.events("WorkSealed")


def test_a_check_block_in_a_strange_language_is_no_check_that_passes(repo: Repo) -> None:
    _document(repo, "a", 'command: [sh, -c, "echo a > a"]\n', ("ruby check", "exit 1"))
    refused = repo.box.wavecrew("run", "plan", "--yes", "--ui", "plain")
    assert refused.code == 8
    assert "a check cannot be written in 'ruby'" in refused.err


def test_the_last_check_blocks_run_on_the_merged_tree_and_others_do_not(repo: Repo) -> None:
    meet = f"touch $HOME/here-$WAVECREW_PHASE; {_UNTIL_BOTH}"
    for name, other in (("a", "b"), ("b", "a")):
        early = ("sh check", f"test -e start-{name}")
        _document(
            repo,
            name,
            "agent: runbook\n",
            ("sh run", f"touch start-{name}"),
            early,
            ("sh run", f"rm start-{name}; {meet}; echo {name} > {name}"),
            ("sh check", f"test ! -e {other}"),
        )
    assert repo.box.wavecrew("run", "plan", "--yes", "--ui", "plain").code == 1
    (refused,) = repo.events("MergeRefused")
    assert "red together" in refused["detail"]
    assert "check test ! -e" in refused["detail"]


def test_what_checks_leave_behind_is_nobodys_work(repo: Repo) -> None:
    repo.box.write("wavecrew.toml", """gate_commands = ["sh -c 'echo x > report; echo y >> a; ! test -e red'"]\n""")
    repo.plan(
        work("good", "echo 1 > a", writes=["a"]),
        work("red", "echo 1 > red", needs=["good"], writes=["red"]),
    )

    assert repo.run().code == 1

    assert repo.text("a") == "1\n"
    assert repo.files(repo.branch("red")) == {"README.md", "plan.json", "wavecrew.toml", "a", "red"}
    assert "report" not in repo.files()
    assert repo.worktrees() == 1  # of the one that failed, to be looked at


# -- stops, kills, wishes ---------------------------------------------------------------------------------------------


def _gated(repo: Repo) -> None:
    """A plan whose merge waits at the gate until the test lets it through."""
    wait = "echo at the gate >> $HOME/gate; while [ ! -e $HOME/open ]; do sleep 0.02; done"
    repo.box.write("wavecrew.toml", f"gate_commands = [\"sh -c '{wait}'\"]\n")
    repo.plan(work("a", "echo a > a", writes=["a"]), work("b", "cat a > b", needs=["a"], writes=["b"]))


def _at_the_gate(repo: Repo) -> bool:
    return (repo.box.home / "gate").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_work_at_the_gate_waits_for_the_next_coordinator(repo: Repo, how: signal.Signals) -> None:
    _gated(repo)
    running = repo.box.start_run()
    wait_for(lambda: _at_the_gate(repo), "the merge is at its gate")

    running.send(how)
    running.process.wait(60)
    (repo.box.home / "open").touch()
    done = repo.run()

    assert done.code == 0, done
    assert repo.ran() == ["a 1", "b 1"]
    assert repo.text("b") == "a\n"
    assert repo.worktrees() == 0
    wait_for(lambda: repo.box.alive() == [], "nothing is left")


def test_a_phase_can_be_cancelled_at_the_gate(repo: Repo) -> None:
    _gated(repo)
    running = repo.box.start_run()
    wait_for(lambda: _at_the_gate(repo), "the merge is at its gate")

    assert repo.box.wavecrew("cancel", "a").code == 0
    done = running.end()

    assert done.code == 1
    assert repo.events("AttemptEnded")[0]["cause"] == "cancelled"
    assert repo.text("a", repo.branch("a")) == "a\n"
    assert "a" not in repo.files()


def test_a_wish_is_fulfilled_while_work_waits_for_a_coordinator(repo: Repo) -> None:
    _gated(repo)
    running = repo.box.start_run()
    wait_for(lambda: _at_the_gate(repo), "the merge is at its gate")
    running.kill()
    wait_for(lambda: (repo.box.home / "open").touch() or repo.box.alive() == [], "the gate is through")

    assert repo.box.wavecrew("skip", "b", "--reason", "x").code == 0
    assert repo.phase("a")["status"] == "IN_PROGRESS"
    assert repo.run().code == 0

    assert repo.ran() == ["a 1"]


@pytest.mark.parametrize("words", [("a",), ()])
def test_work_that_waits_for_a_coordinator_can_be_cancelled(repo: Repo, words: tuple[str, ...]) -> None:
    _gated(repo)
    running = repo.box.start_run()
    wait_for(lambda: _at_the_gate(repo), "the merge is at its gate")
    running.kill()

    assert repo.box.wavecrew("cancel", *words).code == 0

    assert repo.phase("a")["status"] == ("FAILED" if words else "IN_PROGRESS")
    if words:  # what was checking it has been ended, before anything was done in its worktree
        assert repo.box.alive() == []
    (repo.box.home / "open").touch()
    assert repo.run().code == 0  # whoever says so has it done after all
    assert repo.ran() == (["a 1", "a 2", "b 1"] if words else ["a 1", "b 1"])


def test_a_result_that_was_taken_away_is_no_success(repo: Repo) -> None:
    repo.plan(work("a", "echo a > a", writes=["a"]), work("b", "exit 1", needs=["a"]))
    assert repo.run().code == 1
    repo.git("branch", "-q", "-D", repo.result.removeprefix("refs/heads/"))

    done = repo.run()

    assert done.code == 9, done
    assert "git branch" in done.err


def test_an_agent_that_removes_what_was_merged_makes_the_run_red(repo: Repo) -> None:
    repo.plan(work("a", "echo a > a", writes=["a"]), work("b", "rm a; echo b > b", needs=["a"], writes=["b"]))

    done = repo.run()

    assert done.code != 0
    [finished] = repo.events("RunFinished")
    assert finished["missing"] == ["a"]


def test_a_hook_that_an_agent_plants_stops_the_run_and_is_never_run(repo: Repo) -> None:
    hooks = repo.box.folder / ".git" / "hooks"
    plant = f"printf '#!/bin/sh\\ntouch $HOME/canary\\n' > {hooks}/post-checkout; chmod +x {hooks}/post-checkout"
    repo.plan(work("a", f"echo a > a; {plant}", writes=["a"]), work("b", "echo b > b", needs=["a"], writes=["b"]))

    done = repo.run()

    assert done.code == 5
    assert "post-checkout" in done.out + done.err
    assert repo.ran() == ["a 1"]
    assert not (repo.box.home / "canary").exists()

    again = repo.run()  # somebody has looked at it, and goes on

    assert again.code == 0, again
    assert repo.ran() == ["a 1", "b 1"]
    assert not (repo.box.home / "canary").exists()


def test_a_plan_that_is_edited_in_mid_run_stops_it_and_only_what_was_edited_is_another(repo: Repo) -> None:
    plan = [
        work("a", "touch $HOME/started; while [ ! -e $HOME/edited ]; do sleep 0.01; done; echo a > a", writes=["a"]),
        work("b", "cat a > b", needs=["a"], writes=["b"]),
        work("c", "echo c > c", writes=["c"]),
    ]
    repo.plan(*plan)
    running = repo.box.start_run()
    wait_for(lambda: (repo.box.home / "started").exists() and "c 1" in repo.ran(), "a and c are at work")
    repo.box.plan(plan[0], work("b", "cat a a > b", needs=["a"], writes=["b"]), plan[2])
    (repo.box.home / "edited").touch()

    assert running.end().code == 5
    assert repo.phase("a")["status"] == "COMPLETED"  # what was at work has come home
    assert repo.run().code == 0

    assert sorted(repo.ran()) == ["a 1", "b 1", "c 1"]
    assert repo.text("b") == "a\na\n"
    assert len(repo.events("RunStarted")) == 1


# -- the ground --------------------------------------------------------------------------------------------------------


def test_uncommitted_work_is_refused_or_taken_along(repo: Repo) -> None:
    repo.plan(work("a", "cat mine new > a", writes=["a"]))
    repo.box.write("mine", "1\n")
    repo.commit()
    repo.box.write("mine", "2\n")
    repo.box.write("new", "3\n")

    refused = repo.run()
    assert refused.code == 8
    assert "mine" in refused.err
    assert "--include-dirty" in refused.err
    assert repo.ran() == []

    done = repo.run("--include-dirty")

    assert done.code == 0, done
    assert repo.text("a") == "2\n3\n"
    assert repo.git("status", "--porcelain") == " M mine\n?? new\n"


def test_a_repository_without_commits_is_worked_on_in_one_folder(box: Sandbox) -> None:
    repo = Repo(box)
    (box.home / ".gitconfig").write_text("[user]\nname=x\nemail=x@x\n")
    repo.git("init", "-q")
    box.plan(work("a", "echo a > a", writes=["a"]))

    assert repo.run().code == 0
    assert box.read("a") == "a\n"
    refused = box.run("--isolation", "worktree", "--force")
    assert refused.code == 8, refused


def test_isolation_can_be_asked_for_and_off(repo: Repo) -> None:
    repo.plan(work("a", "echo a > a", writes=["a"]))

    assert repo.run("--isolation", "shared").code == 0

    assert repo.box.read("a") == "a\n"
    assert repo.branches() == set()


def test_worktrees_need_a_repository(box: Sandbox) -> None:
    box.plan(work("a"))

    refused = box.run("--isolation", "worktree")

    assert refused.code != 0
    assert "repository" in refused.err


def test_many_start_at_once(repo: Repo) -> None:
    count = 24
    repo.plan(*(work(f"p{number}", f"echo {number} > f{number}", writes=[f"f{number}"]) for number in range(count)))

    done = repo.run("-j", str(count))

    assert done.code == 0, done
    assert {f"f{number}" for number in range(count)} <= repo.files()
    assert len(repo.ran()) == count


def test_the_folder_of_the_state_is_never_part_of_the_work(repo: Repo) -> None:
    repo.plan(work("a", "echo a > a", writes=["a"]))

    assert repo.run("--include-dirty").code == 0

    assert not any(path.startswith(".wavecrew") for path in repo.files())
