"""Work that waits for its merge while another tree is checked: it is checked and brought in as one tree."""

from __future__ import annotations

import pytest
from repo import Repo, work
from sandbox import Running, wait_for

_WAIT = "until test -e $HOME/open; do sleep 0.05; done"
_GATE = f"""gate_commands = ["sh -c 'echo looking; echo $WAVECREW_PHASE >> $HOME/gates; {_WAIT}; %s'"]\n"""


def _gates(repo: Repo) -> list[str]:
    """The phases beside which a tree was checked, in order of time."""
    file = repo.box.home / "gates"
    return file.read_text().split() if file.exists() else []


def _sealed(repo: Repo, count: int) -> bool:
    return bool(_gates(repo)) and len(repo.events("WorkSealed")) == count


def _open(repo: Repo) -> None:
    (repo.box.home / "open").touch()


def _held_up(repo: Repo, test: str = "true", **scripts: str) -> None:
    """The tree of `first` is being checked, and the work of these phases waits behind it."""
    repo.box.write("wavecrew.toml", _GATE % test)
    until = 'until test -e "$HOME/gates"; do sleep 0.02; done'
    phases = [work("first", "echo first > first", writes=["first"])]
    phases += [work(name, f"{until}; {script}") for name, script in scripts.items()]
    repo.plan(*phases)


def _run(repo: Repo, waiting: int, *flags: str) -> int:
    running = repo.box.start_run("-j", "8", "--audit", "off", *flags)
    wait_for(lambda: _sealed(repo, waiting + 1), "all is sealed but the first")
    _open(repo)
    return running.end().code


def test_all_that_waits_is_checked_as_one_tree(repo: Repo) -> None:
    _held_up(repo, a="echo a > a", b="echo b > b", c="echo c > c")

    assert _run(repo, 3) == 0

    assert len(_gates(repo)) == 2
    assert _gates(repo)[0] == "first"
    assert repo.files() >= {"first", "a", "b", "c"}
    together = {event["phase"]: event.get("beside", "") for event in repo.events("MergeProposed")}
    assert together == {"first": "", **dict.fromkeys("abc", _gates(repo)[1])}
    assert len({event["commit"] for event in repo.events("AttemptEnded")}) == 4
    assert repo.box.wavecrew("verify").code == 0
    assert repo.worktrees() == 0
    told = {name: repo.box.wavecrew("logs", name).out for name in "abc"}
    leader = _gates(repo)[1]
    assert "checks of the merged tree" in told.pop(leader)
    assert all(f"in one tree with others: wavecrew logs {leader}" in text for text in told.values())


def test_one_that_fails_among_them_takes_no_other_with_it(repo: Repo) -> None:
    _held_up(repo, "test ! -e red", a="echo a > a", b="echo b > red", c="echo c > c")

    assert _run(repo, 3) == 1

    assert repo.box.statuses() == {"first": "COMPLETED", "a": "COMPLETED", "b": "FAILED", "c": "COMPLETED"}
    (failed,) = [event for event in repo.events("AttemptEnded") if event["outcome"] == "failed"]
    assert (failed["phase"], failed["cause"]) == ("b", "gate")
    assert repo.files() >= {"first", "a", "c"}
    assert "red" not in repo.files()
    assert repo.ran().count("a 1") == repo.ran().count("c 1") == 1
    assert len(_gates(repo)) == 6  # first, all three, each by itself, and b without others


def test_red_together_is_found_among_them_and_the_later_one_is_told(repo: Repo) -> None:
    _held_up(repo, "test ! -e a -o ! -e b", a="echo a > a", b="echo b > b", c="echo c > c")

    assert _run(repo, 3, "--conflict-retry-attempts", "0") == 1

    done = {name for name, status in repo.box.statuses().items() if status == "COMPLETED"}
    assert done in ({"first", "a", "c"}, {"first", "b", "c"})
    assert "red together" in repo.events("MergeRefused")[0]["detail"]


def test_who_does_not_merge_with_those_before_waits_for_its_turn(repo: Repo) -> None:
    repo.box.write("common", "begin\n")
    _held_up(repo, a="echo a > common", b="echo b > common", c="echo c > c")

    assert _run(repo, 3, "--conflict-retry-attempts", "1") == 0

    (refused,) = repo.events("MergeRefused")
    assert refused["phase"] in "ab"
    assert refused["paths"] == ["common"]
    assert sorted(repo.ran()) == sorted(["first 1", "a 1", "b 1", "c 1", f"{refused['phase']} 2"])
    assert repo.text("common") == f"{refused['phase']}\n"


def test_outputs_that_are_missing_are_told_by_the_one_that_owes_them(repo: Repo) -> None:
    repo.box.write("wavecrew.toml", _GATE % "true")
    until = 'until test -e "$HOME/gates"; do sleep 0.02; done'
    repo.box.write("made", "1\n")
    repo.plan(
        work("first", "rm made; echo first > first"),
        work("a", f"{until}; echo a > a", outputs=["made"]),
        work("b", f"{until}; echo b > b"),
    )

    assert _run(repo, 2, "--conflict-retry-attempts", "0") == 1

    assert repo.box.statuses() == {"first": "COMPLETED", "a": "FAILED", "b": "COMPLETED"}
    assert "outputs are missing" in repo.events("MergeRefused")[0]["detail"]


def test_work_that_git_cannot_read_holds_nobody_else_up(repo: Repo) -> None:
    _held_up(repo, a="echo a > a", b='until test -e "$HOME/now"; do sleep 0.02; done; echo b > b')
    repo.box.start_run("-j", "8", "--audit", "off")
    wait_for(lambda: _sealed(repo, 2), "the first is at its gate, and a waits")
    (repo.box.home / "now").touch()
    wait_for(lambda: _sealed(repo, 3), "b waits behind a")
    (sealed,) = (event["commit"] for event in repo.events("WorkSealed") if event["phase"] == "b")
    (repo.box.folder / ".git" / "objects" / sealed[:2] / sealed[2:]).unlink()
    _open(repo)

    wait_for(lambda: repo.box.statuses()["a"] == "COMPLETED", "a in the result")

    assert repo.box.statuses()["b"] != "COMPLETED"


def test_one_that_is_cancelled_meanwhile_is_not_brought_in(repo: Repo) -> None:
    _held_up(repo, a="echo a > a", b='until test -e "$HOME/now"; do sleep 0.02; done; echo b > b')
    running = repo.box.start_run("-j", "8", "--audit", "off")
    wait_for(lambda: _sealed(repo, 2), "the first is at its gate, and a waits")
    (repo.box.home / "now").touch()
    wait_for(lambda: _sealed(repo, 3), "b waits behind a")
    assert repo.box.wavecrew("cancel", "b").code == 0
    _open(repo)

    assert running.end().code == 1

    assert repo.box.statuses() == {"first": "COMPLETED", "a": "COMPLETED", "b": "FAILED"}
    assert "b" not in repo.files()
    assert _gates(repo) == ["first", "a"]


def _being_checked(repo: Repo) -> Running:
    """A run whose phases a, b and c are being checked as one tree, until there is a file `wide`."""
    shut = "until test -e $HOME/wide || test $(wc -l < $HOME/gates) = 1; do sleep 0.05; done"
    _held_up(repo, shut, a="echo a > a", b="echo b > b", c="echo c > c")
    running = repo.box.start_run("-j", "8", "--audit", "off")
    wait_for(lambda: _sealed(repo, 4), "all is sealed")
    _open(repo)
    wait_for(lambda: len(_gates(repo)) == 2, "the others are being checked")
    return running


@pytest.mark.parametrize("place", [0, 1])
def test_one_that_is_cancelled_while_they_are_checked_is_not_brought_in(repo: Repo, place: int) -> None:
    """The one beside which they are checked, or another one."""
    running = _being_checked(repo)
    leader = _gates(repo)[1]
    gone = [leader, *(set("abc") - {leader})][place]
    assert repo.box.wavecrew("cancel", gone).code == 0
    (repo.box.home / "wide").touch()

    assert running.end().code == 1

    expected = {"first": "COMPLETED", **dict.fromkeys("abc", "COMPLETED"), gone: "FAILED"}
    assert repo.box.statuses() == expected
    assert gone not in repo.files()
    (failed,) = [event for event in repo.events("AttemptEnded") if event["outcome"] == "failed"]
    assert (failed["phase"], failed["cause"]) == (gone, "cancelled")


@pytest.mark.parametrize("moved", [False, True])
def test_a_coordinator_that_dies_meanwhile_costs_nothing(repo: Repo, moved: bool) -> None:
    """With `moved`, it died after the result had moved and before that was recorded."""
    running = _being_checked(repo)
    running.kill()
    last = repo.events("MergeProposed")[-1]
    assert last["beside"]
    if moved:
        repo.git("update-ref", repo.result, last["commit"])
    (repo.box.home / "wide").touch()

    done = repo.run("-j", "8")

    assert done.code == 0, done
    assert sorted(repo.ran()) == ["a 1", "b 1", "c 1", "first 1"]
    assert repo.files() >= {"first", "a", "b", "c"}
    assert repo.box.wavecrew("verify").code == 0
    assert repo.worktrees() == 0
    assert not moved or len(_gates(repo)) == 2  # what is in the result has been checked
