"""The proof of a run: what is there is proven, and whatever is taken away is named with a way back that works."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_world import home
from result_world import Told, phase
from run_stories import T0, charge, end, fail, finish, keep, opening, skip, start
from run_stories import phase as told_phase
from wavecrew.core.proof import prove_shared
from wavecrew.models import events as ev
from wavecrew.models.events import Outcome
from wavecrew.models.execution_state import ExecutionState, replay
from wavecrew.models.proof import Facts, Fault, Lack, Proof, judge

PLAN = (
    phase("a", outputs=("a.out",)),
    phase("b", outputs=("b.out",)),
    phase("c", "a", "b", outputs=("c.out", "port:80")),
)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    home(tmp_path, monkeypatch)
    return Told(tmp_path, *PLAN)


@pytest.fixture
def done(told: Told) -> Told:
    """a and b were made side by side (so there is a merge), then c, and the run is over."""
    places = {name: told.start(name) for name in "ab"}
    for name, place in places.items():
        told.world.write({f"{name}.out": name}, place.workspace)
        told.seal(name)
        told.merge(name)
        told.close(name)
    told.do("c", {"c.out": "c"})
    told.finish()
    return told


def faults(proof: Proof) -> dict[str, list[Fault]]:
    return {found.phase: [lack.kind for lack in found.lacks] for found in proof.phases if found.lacks}


def lack_of(proof: Proof, name: str) -> Lack:
    return next(found.lacks[0] for found in proof.phases if found.phase == name)


def obey(told: Told, fix: str) -> None:
    """Do what a fix says, in the words it says it in."""
    command = fix.partition(": ")[2]
    for part in command.split(" && "):
        told.world.sh(*shlex.split(part))


# -- nothing is missing -----------------------------------------------------------------------------------------


def test_a_run_is_proven_from_git_alone(done: Told) -> None:
    proof = done.proof

    assert proof.holds
    assert (proof.run, proof.branch, proof.tip) == ("r1", "wavecrew/r1/result", done.result)
    assert [found.phase for found in proof.phases] == ["a", "b", "c"]
    assert [found.commit for found in proof.phases] == [done.state.phase_states[name].commit for name in "abc"]
    assert (proof.missing, proof.unproven, proof.open, proof.waived) == ((), (), (), ())
    assert done.state.succeeded


def test_of_a_living_run_what_is_done_is_proven_and_the_rest_is_named(told: Told) -> None:
    assert told.proof.holds
    told.do("a", {"a.out": "a"})
    told.start("b")
    proof = told.proof

    assert proof.holds
    assert [found.phase for found in proof.phases] == ["a"]
    assert proof.open == ("b", "c")


def test_waived_phases_are_told_apart(told: Told) -> None:
    told.do("a", {"a.out": "a"})
    told.tell(ev.PhaseSkipped(at=told.now(), phase="b", by="ann", reason="by hand"))
    proof = told.proof

    assert proof.holds
    assert [(one.phase, one.by, one.reason) for one in proof.waived] == [("b", "ann", "by hand")]
    assert proof.open == ("c",)


def test_what_the_user_adds_to_the_result_disturbs_nothing(done: Told) -> None:
    done.on_result(lambda folder: (folder / "more").write_text("more"))

    assert done.proof.holds


def test_work_that_was_done_again_is_proven_with_its_last_attempt(told: Told) -> None:
    first = told.do("a", {"a.out": "1"})
    told.tell(ev.PhaseReset(at=told.now(), phase="a", by="ann"))
    assert told.proof.phases == ()
    told.do("a", {"a.out": "2"}, attempt=2)
    assert told.proof.holds

    told.world.sh("git", "branch", "-f", "wavecrew/r1/result", first)
    assert faults(told.proof) == {"a": [Fault.COMMIT]}


def test_hostile_names_are_proven_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home(tmp_path, monkeypatch)
    names = ["a: b", '"b"', "é [31m", "-rf $(x)", "p's"]
    path = "it's $(here) ü.txt"
    told = Told(tmp_path, *(phase(name, outputs=(path,) if name == "p's" else ()) for name in names))
    for name in names:
        told.do(name, {path: name})

    assert told.proof.holds
    assert [found.phase for found in told.proof.phases] == names

    told.on_result(lambda folder: (folder / path).unlink())
    lack = lack_of(told.proof, "p's")
    assert lack.kind is Fault.OUTPUT
    obey(told, lack.fix.rpartition("; ")[2])
    assert (told.world.top / path).read_text() == "p's"


def test_a_workspace_below_the_top_declares_its_outputs_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home(tmp_path, monkeypatch)
    told = Told(tmp_path, phase("a", outputs=("out",)), prefix="sub dir")
    told.do("a", {"out": "x"})

    assert told.world.files(told.result)[-1] == "sub dir/out"
    assert told.proof.holds


# -- something was taken away -----------------------------------------------------------------------------------


def test_a_result_that_was_put_back_is_seen_and_the_fix_mends_it(done: Told) -> None:
    before = done.result
    done.world.sh("git", "branch", "-f", "wavecrew/r1/result", done.state.phase_states["a"].commit)
    proof = done.proof

    assert not proof.holds
    assert faults(proof) == {"b": [Fault.COMMIT, Fault.OUTPUT], "c": [Fault.COMMIT, Fault.OUTPUT]}
    assert proof.unproven == ("b", "c")
    assert proof.missing == ("b.out", "c.out")
    obey(done, lack_of(proof, "b").fix)
    assert done.result == before
    assert done.proof.holds


def test_where_the_result_has_gone_on_elsewhere_the_fix_merges(done: Told) -> None:
    done.world.sh("git", "branch", "-f", "wavecrew/r1/result", done.state.phase_states["a"].commit)
    own = done.on_result(lambda folder: (folder / "own").write_text("x"))
    lack = lack_of(done.proof, "c")

    assert lack.kind is Fault.COMMIT
    obey(done, lack.fix)
    assert done.proof.holds
    assert done.world.holds(done.result, own)


def test_a_rewritten_history_is_seen_although_every_file_is_there(done: Told) -> None:
    tree = done.world.sh("git", "rev-parse", f"{done.result}^{{tree}}")
    flat = done.world.sh("git", "commit-tree", tree, "-p", done.world.start, "-m", "all in one")
    done.world.sh("git", "branch", "-f", "wavecrew/r1/result", flat)
    proof = done.proof

    assert faults(proof) == {name: [Fault.COMMIT] for name in "abc"}
    assert proof.missing == ()
    assert proof.unproven == ("a", "b", "c")
    assert "rewritten" not in lack_of(proof, "a").what


def test_of_a_copied_commit_it_is_said_that_the_history_was_rewritten(told: Told) -> None:
    told.do("a", {"a.out": "a"})
    sealed = told.state.phase_states["a"].sealed
    told.on_result(lambda folder: told.world.sh("git", "commit", "-q", "--amend", "--no-edit", "--date=@5", cwd=folder))
    lack = lack_of(told.proof, "a")

    assert sealed != told.result
    assert lack.kind is Fault.COMMIT
    assert "the history was rewritten" in lack.what


def test_a_closing_commit_without_its_trailers_is_not_found(told: Told) -> None:
    place = told.start("a")
    commit = told.world.commit(place.folder, "no trailers", **{"a.out": "a"})
    told.tell(ev.WorkSealed(at=told.now(), phase="a", attempt=1, commit=commit))
    told.merge("a")

    assert faults(told.proof) == {"a": [Fault.CLOSING]}
    assert told.proof.unproven == ("a",)


def test_the_closing_commit_of_an_earlier_attempt_does_not_stand_for_that_of_the_last(told: Told) -> None:
    told.do("a", {"a.out": "1"})
    told.tell(ev.PhaseReset(at=told.now(), phase="a", by="ann"))
    place = told.start("a", 2)
    commit = told.world.commit(place.folder, "no trailers", **{"a.out": "2"})
    told.tell(ev.WorkSealed(at=told.now(), phase="a", attempt=2, commit=commit))
    told.merge("a", 2)

    assert faults(told.proof) == {"a": [Fault.CLOSING]}


def test_the_trailers_of_another_run_or_phase_prove_nothing(told: Told) -> None:
    place = told.start("a")
    told.world.write({"a.out": "a"}, place.folder)
    message = "x\n\nWavecrew-Run: r1\nWavecrew-Phase: b\nWavecrew-Attempt: 1"
    commit = told.world.commit(place.folder, message)
    told.tell(ev.WorkSealed(at=told.now(), phase="a", attempt=1, commit=commit))
    told.merge("a")

    assert faults(told.proof) == {"a": [Fault.CLOSING]}


def test_an_output_that_a_later_commit_removes_is_named(done: Told) -> None:
    done.on_result(lambda folder: (folder / "b.out").unlink())
    proof = done.proof

    assert faults(proof) == {"b": [Fault.OUTPUT]}
    assert proof.missing == ("b.out",)
    assert proof.unproven == ()
    assert lack_of(proof, "b").what == "its output b.out is not in wavecrew/r1/result"


def test_a_result_branch_that_is_gone_proves_nothing_and_the_fix_brings_it_back(done: Told) -> None:
    done.world.sh("git", "branch", "-D", "wavecrew/r1/result")
    proof = done.proof

    assert not proof.holds
    assert [lack.kind for lack in proof.lacks] == [Fault.BRANCH]
    assert proof.unproven == ("a", "b", "c")
    assert proof.missing == ("a.out", "b.out", "c.out", "port:80")
    obey(done, proof.lacks[0].fix)
    assert done.proof.holds


def test_a_branch_of_the_user_that_holds_the_result_will_do(done: Told) -> None:
    done.world.sh("git", "branch", "aside", "wavecrew/r1/result")
    done.world.sh("git", "merge", "-q", "--ff-only", "wavecrew/r1/result")
    done.world.sh("git", "branch", "-D", "wavecrew/r1/result")
    assert (done.proof.holds, done.proof.branch) == (True, "aside")

    done.tell(ev.ResultLanded(at=done.now(), by="ann", branch="main", commit=done.state.result))
    assert (done.proof.holds, done.proof.branch) == (True, "main")


def test_a_commit_that_the_repository_lost_is_named(done: Told) -> None:
    lost = done.state.phase_states["b"].commit
    (done.world.top / ".git/objects" / lost[:2] / lost[2:]).unlink()
    proof = done.proof

    assert not proof.holds
    assert Fault.OBJECT in faults(proof)["b"]
    assert f"commit {lost[:12]} is not in this repository any more" == lack_of(proof, "b").what
    assert [lack.kind for lack in proof.lacks] == [Fault.HISTORY]
    assert proof.unproven == ("a", "b", "c")


def test_branch_and_commit_can_both_be_gone(done: Told) -> None:
    lost = done.result
    done.world.sh("git", "branch", "-D", "wavecrew/r1/result")
    (done.world.top / ".git/objects" / lost[:2] / lost[2:]).unlink()

    assert done.proof.lacks[0].fix.startswith(f"fetch commit {lost[:12]} from a clone")


@pytest.mark.parametrize("by_grafts", [False, True])
def test_a_commit_that_git_was_told_to_see_differently_proves_nothing(done: Told, by_grafts: bool) -> None:
    """An agent can have git show other parents, or another commit, in the place of the one that is asked for."""
    sh, last = done.world.sh, done.state.result
    own = sh("git", "commit-tree", f"{last}^{{tree}}", "-p", done.world.start, "-m", "looks like the result")
    sh("git", "branch", "-f", "wavecrew/r1/result", own)
    if by_grafts:
        (done.world.top / ".git/info/grafts").write_text(f"{own} {last}\n")
    else:
        sh("git", "replace", own, sh("git", "commit-tree", f"{last}^{{tree}}", "-p", last, "-m", "x"))
    assert done.world.holds(own, last), "git itself is deceived"

    assert faults(done.proof) == {name: [Fault.COMMIT] for name in "abc"}


# -- kept work --------------------------------------------------------------------------------------------------


def test_kept_work_of_an_earlier_run_is_proven_by_the_commit_that_closed_it_there(told: Told) -> None:
    commit = told.do("a", {"a.out": "a"})
    told.begin(*PLAN, run="r2", base=told.result)
    told.tell(ev.PhaseKept(at=told.now(), phase="a", from_run="r1", commit=commit))
    assert told.proof.holds
    assert told.proof.phases[0].kept_from == "r1"

    told.begin(*PLAN, run="r3", base=told.world.start)
    told.tell(ev.PhaseKept(at=told.now(), phase="a", from_run="r1", commit=commit))
    assert faults(told.proof) == {"a": [Fault.COMMIT, Fault.OUTPUT]}


def test_kept_work_must_be_closed_by_the_run_that_is_named(told: Told) -> None:
    commit = told.do("a", {"a.out": "a"})
    told.begin(*PLAN, run="r2", base=told.result)
    told.tell(ev.PhaseKept(at=told.now(), phase="a", from_run="r0", commit=commit))

    assert faults(told.proof) == {"a": [Fault.CLOSING]}


def test_of_work_that_was_kept_from_a_shared_folder_the_outputs_must_be_there(told: Told) -> None:
    told.tell(ev.PhaseKept(at=told.now(), phase="a", from_run="r0"))

    assert faults(told.proof) == {"a": [Fault.OUTPUT]}
    told.on_result(lambda folder: (folder / "a.out").write_text("a"))
    assert told.proof.holds


def test_completed_work_without_a_commit_is_not_proven(told: Told) -> None:
    told.start("a")
    told.end("a")

    assert faults(told.proof) == {"a": [Fault.RECORD]}


# -- a shared folder --------------------------------------------------------------------------------------------


def shared(*events: ev.Event) -> ExecutionState:
    return replay([*opening(told_phase("01 a", "", 1, "x", "y"), told_phase("02 b", "", 1, "z")), *events])


def test_in_a_shared_folder_outputs_are_all_that_can_be_proven(tmp_path: Path) -> None:
    state = shared(start(1, "01"), end(2, "01", 1, "x", "y"), skip(3, "02"))
    (tmp_path / "x").touch()
    proof = prove_shared(tmp_path, state)

    assert not proof.holds
    assert (proof.missing, proof.unproven) == (("y",), ())
    assert lack_of(proof, "01").what == "its output y is not in the workspace"
    assert lack_of(proof, "01").fix == "do it again: wavecrew retry 01 && wavecrew run"

    (tmp_path / "y").touch()
    assert prove_shared(tmp_path, state).holds


def test_what_failed_or_was_left_out_is_not_proven_and_not_held_against_the_run() -> None:
    opened = opening(told_phase("01 a"), told_phase("02 b"), told_phase("03 c"), selected=("01", "02"))
    state = replay([*opened, start(1, "01"), fail(2, "01"), keep(3, "02"), finish(4)])
    proof = judge(state, Facts())

    assert proof.open == ("01",)
    assert [found.phase for found in proof.phases] == ["02"]
    assert proof.holds


# -- the verdict is a function of the facts ---------------------------------------------------------------------

COMMITS = ("c1", "c2", "c3")


@given(
    st.frozensets(st.sampled_from(COMMITS)),
    st.frozensets(st.sampled_from(COMMITS)),
    st.frozensets(st.sampled_from(COMMITS)),
    st.frozensets(st.sampled_from(["o1", "o2", "o3"])),
    st.sampled_from(["", "t"]),
    st.sampled_from(["", "it is broken"]),
)
def test_a_proof_holds_exactly_when_every_fact_does(
    present: frozenset[str],
    held: frozenset[str],
    closed: frozenset[str],
    missing: frozenset[str],
    tip: str,
    unreadable: str,
) -> None:
    plan = [told_phase(f"0{number} p", "", 1, f"o{number}") for number in (1, 2, 3)]
    began = ev.RunStarted(
        at=T0, run="r", plan_name="", plan_path="", plan_digest="", phases=tuple(plan), isolation="worktree", base="c0"
    )
    history: list[ev.Event] = [began, charge(0)]
    for number in (1, 2, 3):
        name, commit = f"0{number}", f"c{number}"
        history.append(start(number, name))
        history.append(ev.WorkSealed(at=T0, phase=name, attempt=1, commit=commit))
        ended = ev.AttemptEnded(
            at=T0, phase=name, attempt=1, outcome=Outcome.SUCCEEDED, outputs=(f"o{number}",), commit=commit
        )
        history.append(ended)
    closing = {("r", f"0{commit[1:]}"): (commit,) for commit in closed}
    facts = Facts("home", "home" if tip else "", tip, present, held, closing, missing, unreadable=unreadable)
    proof = judge(replay(history), facts)

    everything = frozenset(COMMITS)
    assert proof.holds == (bool(tip) and not unreadable and present == held == closed == everything and not missing)
    sound = {f"0{commit[1:]}" for commit in present & held & closed} if tip and not unreadable else set()
    assert set(proof.unproven) == {"01", "02", "03"} - sound
    assert all(lack.what and lack.fix for found in proof.phases for lack in (*found.lacks, *proof.lacks))
