"""Running again where phases work in worktrees: what is kept is in the result, and what was edited is done again."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from repo import Repo, work
from sandbox import Sandbox, wait_for

HOLD = 'touch "$HOME/{0}.here"; until [ -e "$HOME/go" ]; do sleep 0.02; done; echo "{0} by $WAVECREW_RUN" > {0}'


@pytest.fixture
def repo(box: Sandbox) -> Repo:
    made = Repo(box)
    made.begin({"notes.txt": "one\n", "src/x.py": "x = 1\n"})
    return made


def _readers(**scripts: str) -> list[dict[str, Any]]:
    """`a -> d`, `b`, `c`; a reads a file, b a folder."""
    return [
        work("a", scripts.get("a", "cp notes.txt a.out"), reads=["notes.txt"], writes=["a.out"]),
        work("b", "cat src/x.py > src/made", reads=["src/"], writes=["src/made"]),
        work("c", scripts.get("c", "echo c > c.out"), writes=["c.out"]),
        work("d", "cat a.out > d.out", needs=["a"], writes=["d.out"]),
    ]


def _phases(ran: list[str]) -> list[str]:
    return [line.split()[0] for line in ran]


@pytest.mark.parametrize("landed", [False, True])
def test_an_edited_document_and_a_file_that_changed(repo: Repo, landed: bool) -> None:
    repo.plan(*_readers())
    assert repo.run().code == 0
    if landed:
        assert repo.box.wavecrew("land").code == 0
    assert "nothing to do" in repo.run().out
    repo.plan(*_readers(c="echo C > c.out"))
    assert repo.run().code == 0
    assert sorted(_phases(repo.ran())) == ["a", "b", "c", "c", "d"]
    assert (repo.text("c.out"), repo.text("d.out")) == ("C\n", "one\n")
    repo.box.write("notes.txt", "two\n")
    repo.commit()
    told = repo.box.wavecrew("explain", "a", "--plan", "plan.json")
    assert "again?  yes: it reads notes.txt, which changed" in told.out
    ended = repo.run()
    assert ended.code == 0, ended
    assert sorted(_phases(repo.ran())) == ["a", "a", "b", "c", "c", "d", "d"]
    assert (repo.text("c.out"), repo.text("d.out"), repo.text("src/made")) == ("C\n", "two\n", "x = 1\n")
    assert "nothing to do" in repo.run().out


def _five(**scripts: str) -> list[dict[str, Any]]:
    return [
        work("1", scripts.get("one", "echo 1 > 1"), writes=["1"]),
        work("2", scripts.get("two", "echo 2 > 2"), needs=["1"], writes=["2"]),
        work("x", scripts.get("x", HOLD.format("x")), needs=["1"], writes=["x"]),
        work("y", scripts.get("y", HOLD.format("y")), needs=["1"], writes=["y"]),
        work("last", "cat 2 x y > last", needs=["2", "x", "y"], writes=["last"]),
    ]


def _kill(repo: Repo) -> None:
    repo.plan(*_five())
    running = repo.box.start_run("-j4")
    home = repo.box.home
    wait_for(lambda: (home / "x.here").exists() and (home / "y.here").exists(), "both agents to be at work")
    wait_for(lambda: repo.box.statuses()["2"] == "COMPLETED", "phase 2 to be done")
    running.send(signal.SIGKILL)
    running.process.wait(60)


def _go(repo: Repo) -> str:
    again = repo.box.start_run("-j4")
    wait_for(lambda: " resume " in again.out or again.process.poll() is not None, "the next coordinator")
    (repo.box.home / "go").touch()
    ended = again.end()
    assert ended.code == 0, ended
    assert len(repo.box.wavecrew("runs", "list", "--json").json["runs"]) == 1
    assert "nothing to do" in repo.run().out
    assert not repo.box.alive()
    return ended.out


def test_an_edit_after_a_kill_leaves_the_agents_of_others_at_work(repo: Repo) -> None:
    _kill(repo)
    repo.plan(*_five(two="echo two > 2"))
    _go(repo)
    assert sorted(_phases(repo.ran())) == ["1", "2", "2", "last", "x", "y"]
    assert repo.text("last").startswith("two\nx by ")


def test_an_agent_at_work_on_what_was_edited_is_ended_and_its_phase_done_again(repo: Repo) -> None:
    _kill(repo)
    repo.plan(*_five(x="echo X > x"))
    out = _go(repo)
    assert sorted(_phases(repo.ran())) == ["1", "2", "last", "x", "x", "y"]
    assert repo.text("last").startswith("2\nX\ny by ")
    assert "cancelled by" in out


def test_an_edit_at_the_root_does_all_of_it_again_on_top_of_what_was_merged(repo: Repo) -> None:
    _kill(repo)
    repo.plan(*_five(one="echo one > 1"))
    _go(repo)
    assert sorted(_phases(repo.ran())) == ["1", "1", "2", "2", "last", "x", "x", "y", "y"]
    assert repo.text("1") == "one\n"


def test_a_phase_that_leaves_and_comes_back_has_a_branch_of_its_own(repo: Repo) -> None:
    _kill(repo)
    one, two, x, y, last = _five()
    assert repo.box.wavecrew("cancel", "y").code == 0
    repo.plan(one, two, x, {**last, "needs": ["2", "x"], "command": ["false"]})
    (repo.box.home / "go").touch()
    assert repo.run().code == 1
    repo.plan(one, two, x, y, last)
    assert repo.run().code == 0
    assert [line for line in repo.ran() if line[0] == "y"] == ["y 1", "y 2"]
    assert len(repo.box.wavecrew("runs", "list", "--json").json["runs"]) == 1
