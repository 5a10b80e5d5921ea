"""What a run has come to: what each attempt changed, how the result reaches a branch of the user, and what is left."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from git_world import home
from result_world import Told, phase
from wavecrew.api.disk import disk_use
from wavecrew.api.leftovers import clean
from wavecrew.api.results import land, verify
from wavecrew.api.work import work_of
from wavecrew.core import leftovers, wishes
from wavecrew.core.coordinator_lock import CoordinatorLock
from wavecrew.core.git import Git
from wavecrew.core.wishes import Wish
from wavecrew.errors import GitError, NotFoundError, PreflightError, RunBusyError, UsageError
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event
from wavecrew.models.execution_state import evolve
from wavecrew.models.results import Fate, Landed, Leftover, Met, Work, WorkStage

PLAN = (phase("a", outputs=("a.out",)), phase("b", outputs=("b.out",)), phase("c", "a", "b", outputs=("c.out",)))


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    home(tmp_path, monkeypatch)
    return Told(tmp_path, *PLAN)


@pytest.fixture
def done(told: Told) -> Told:
    for name in "abc":
        told.do(name, {f"{name}.out": f"{name}\n"})
    told.finish()
    return told


def shown(told: Told, name: str, attempt: int | None = None) -> Work:
    return work_of(told.store, told.world.workspace, told.opened, name, attempt)


def landed(told: Told, **options: object) -> Landed:
    return land(told.store, told.world.workspace, told.run, by="ann", **options)  # type: ignore[arg-type]


def left(told: Told, reference: str = "", *, remove: bool = False) -> dict[str, Leftover]:
    found = clean(told.store, told.world.workspace, reference, remove=remove)
    return {one.branch or one.folder or one.run: one for one in found}


def fates(told: Told, *, remove: bool = False) -> dict[str, Fate]:
    return {name.removeprefix("wavecrew/"): one.fate for name, one in left(told, remove=remove).items()}


# -- what an attempt changed ------------------------------------------------------------------------------------


def test_merged_work_is_what_lies_between_its_start_and_its_closing_commit(done: Told) -> None:
    work = shown(done, "b")

    assert work.trail.stage is WorkStage.MERGED
    assert work.trail.commit == done.state.phase_states["b"].sealed
    assert work.trail.base == done.state.phase_states["a"].commit
    assert [(one.path, one.added, one.removed) for one in work.files] == [("b.out", 1, 0)]
    assert work.patch.endswith(b"\n+b\n")
    assert b"diff --git a/b.out b/b.out" in work.patch


def test_renamed_and_binary_files_are_told_as_such_whatever_the_user_has_set(told: Told) -> None:
    world = told.world
    for setting in ("diff.noprefix=true", "color.diff=always", "diff.renames=false", "diff.external=false"):
        world.sh("git", "config", *setting.split("="))
    place = told.start("a")
    (place.folder / "a.txt").rename(place.folder / "new\n\x1b.txt")
    (place.folder / "bin").write_bytes(b"\0\1\2")
    world.write({"a.out": "a"}, place.folder)
    told.seal("a")
    work = shown(told, "a")

    renamed = next(one for one in work.files if one.before)
    assert (renamed.before, renamed.path, renamed.added) == ("a.txt", "new\n\x1b.txt", 0)
    assert [(one.added, one.removed) for one in work.files if one.path == "bin"] == [(None, None)]
    assert b"\x1b" not in work.patch
    assert b"Binary files /dev/null and b/bin differ" in work.patch
    assert work.trail.stage is WorkStage.SEALED


def test_a_patch_is_the_same_for_programs_and_can_be_applied(done: Told) -> None:
    (done.world.top.parent / "p").write_bytes(shown(done, "c").patch)
    done.world.sh("git", "apply", "../p")

    assert (done.world.top / "c.out").read_text() == "c\n"


def test_phases_that_came_home_meanwhile_are_met(told: Told) -> None:
    for name in "ab":
        told.start(name)
    for name in "ba":
        told.world.write({f"{name}.out": name, f"also-{name}": ""}, told.places[name].workspace)
    told.world.write({"both": "1\n"}, told.places["a"].workspace)
    told.world.write({"both": "1\n"}, told.places["b"].workspace)
    for name in "ba":
        told.seal(name)
        told.merge(name)
    told.do("c", {"c.out": "c"})

    assert shown(told, "a").trail.met == (Met("b", "Phase b", ("both",)),)
    assert shown(told, "b").trail.met == ()
    assert shown(told, "c").trail.met == ()


def test_work_that_did_not_merge_says_why(told: Told) -> None:
    for name in "ab":
        told.start(name)
        told.world.write({"a.txt": name, f"{name}.out": name}, told.places[name].workspace)
        told.seal(name)
    told.merge("a")
    told.tell(ev.MergeRefused(at=told.now(), phase="b", attempt=1, onto=told.result, detail="both change a.txt"))
    told.end("b", cause=Cause.MERGE, detail="both change a.txt")
    work = shown(told, "b")

    assert work.trail.stage is WorkStage.SEALED
    assert work.trail.refused == "both change a.txt"
    assert work.trail.met == (Met("a", "Phase a", ("a.txt",)),)
    assert [one.path for one in work.files] == ["a.txt", "b.out"]


def test_of_a_living_attempt_what_stands_there_is_shown_and_nothing_is_touched(told: Told) -> None:
    place = told.start("a")
    told.world.commit(place.folder, "own", **{"own.txt": "x\n"})
    told.world.write({"a.txt": "changed\n", "new.txt": "n\n", "ignored/x": "x"}, place.folder)
    index = told.world.top / ".git/worktrees/a-1/index"
    before = index.read_bytes()
    work = shown(told, "a")

    assert work.trail.stage is WorkStage.AT_WORK
    assert work.uncommitted == (" M a.txt", "?? new.txt")
    assert [one.path for one in work.files] == ["a.txt", "own.txt"]
    assert b"+changed" in work.patch
    assert index.read_bytes() == before


def test_every_attempt_can_be_looked_at(told: Told) -> None:
    first = told.start("a")
    told.world.write({"try": "1\n"}, first.folder)
    told.world.integration().keep(first, told.world.start, "Unfinished")
    told.end("a", cause=Cause.EXIT, retry_at=5.0)
    told.close("a")
    told.do("a", {"a.out": "2\n"}, attempt=2)

    work = shown(told, "a", 1)
    assert work.trail.stage is WorkStage.UNFINISHED
    assert work.trail.branch == "wavecrew/r1/a/1"
    assert [one.path for one in work.files] == ["try"]
    assert [one.path for one in shown(told, "a").files] == ["a.out"]
    with pytest.raises(NotFoundError, match="no attempt 3; it has had 2"):
        shown(told, "a", 3)
    with pytest.raises(NotFoundError, match="not been started yet"):
        shown(told, "b")

    told.world.sh("git", "branch", "-D", "wavecrew/r1/a/1")
    with pytest.raises(NotFoundError, match="the branch of attempt 1 of phase a is gone"):
        shown(told, "a", 1)


def test_a_folder_that_is_no_worktree_any_more_is_not_asked(told: Told) -> None:
    place = told.start("a")
    commit = told.world.commit(place.folder, "own", **{"own.txt": "x\n"})
    (place.folder / ".git").unlink()
    work = shown(told, "a")

    assert work.trail.commit == commit
    assert [one.path for one in work.files] == ["own.txt"]
    assert work.uncommitted == ()


def test_work_whose_commit_is_gone_is_said_to_be_unreadable(done: Told) -> None:
    sealed = done.state.phase_states["c"].sealed
    (done.world.top / ".git/objects" / sealed[:2] / sealed[2:]).unlink()

    with pytest.raises(NotFoundError, match="of phase c cannot be read") as refusal:
        shown(done, "c")
    assert refusal.value.fix.endswith("wavecrew verify r1")


def test_of_kept_work_the_run_that_made_it_is_shown(done: Told) -> None:
    done.begin(*PLAN, run="r2", base=done.result)
    done.tell(ev.PhaseKept(at=done.now(), phase="a", from_run="r1", commit=done.world.start))
    done.tell(ev.PhaseKept(at=done.now(), phase="b", from_run="r0", commit=done.world.start))

    assert shown(done, "a").trail.run == "r1"
    assert [one.path for one in shown(done, "a").files] == ["a.out"]
    with pytest.raises(NotFoundError, match="kept from run r0, whose history is not here"):
        shown(done, "b")


def test_in_a_shared_folder_nobody_knows_who_changed_what(told: Told) -> None:
    told.begin(*PLAN, run="r2", isolation="shared")

    with pytest.raises(UsageError, match="one shared folder"):
        shown(told, "a")
    with pytest.raises(UsageError, match="one shared folder"):
        landed(told)
    assert verify(told.opened, told.world.workspace).isolation == "shared"
    assert clean(told.store, told.world.workspace, "r2") == ()


# -- landing ----------------------------------------------------------------------------------------------------


def test_the_result_lands_where_the_user_is_and_the_files_follow(done: Told) -> None:
    before, result = done.world.branch("main"), done.result
    found = landed(done)

    assert (found.branch, found.before, found.after, found.result) == ("main", before, result, result)
    assert found.fast_forward
    assert not found.already
    assert found.phases == ("a", "b", "c")
    assert found.commits == 3
    assert [one.path for one in found.files] == ["a.out", "b.out", "c.out"]
    assert done.world.branch("main") == result
    assert (done.world.top / "c.out").read_text() == "c\n"
    assert done.world.sh("git", "status", "--porcelain") == ""
    assert done.state.landed_on == "main"
    assert done.opened.events[-1] == ev.ResultLanded(
        at=done.opened.events[-1].at, by="ann", branch="main", commit=result
    )


def test_landing_again_changes_and_records_nothing(done: Told) -> None:
    landed(done)
    events = len(done.opened.events)

    assert landed(done).already
    assert len(done.opened.events) == events


def test_after_a_landing_a_coordinator_can_take_the_run_up(done: Told) -> None:
    landed(done)
    epoch = done.store.take_charge("r1")
    taken = ev.CoordinatorStarted(at=done.now(), epoch=epoch, pid=2, host="box", agents=3)

    assert evolve(done.state, taken).epoch == epoch


def test_a_branch_that_has_gone_on_gets_a_merge(done: Told) -> None:
    own = done.world.commit(done.world.top, "own", **{"own.txt": "x"})
    found = landed(done)

    assert not found.fast_forward
    assert done.world.sh("git", "rev-parse", "main^1", "main^2").split() == [own, done.result]
    assert "Land the result of run r1" in done.world.sh("git", "log", "-1", "--format=%B", "main")
    assert (done.world.top / "a.out").exists()
    assert [one.path for one in found.files] == ["a.out", "b.out", "c.out"]


def test_another_branch_can_be_named(done: Told) -> None:
    done.world.sh("git", "branch", "release")
    found = landed(done, into="release")

    assert found.branch == "release"
    assert done.world.branch("release") == done.result
    assert done.world.branch("main") == done.world.start
    assert done.state.landed_on == "release"


@pytest.mark.parametrize("into", ["nowhere", "main~0", "HEAD", "-x", "a b", "a\nb", "refs/heads/nowhere"])
def test_a_branch_that_does_not_exist_is_not_made(done: Told, into: str) -> None:
    before = done.world.sh("git", "for-each-ref")

    with pytest.raises(NotFoundError, match="there is no branch"):
        landed(done, into=into)
    assert done.world.sh("git", "for-each-ref") == before


def test_a_branch_of_ours_and_no_branch_at_all_are_refused(done: Told) -> None:
    with pytest.raises(UsageError, match="is a branch of wavecrew"):
        landed(done, into="wavecrew/r1/a/1")
    done.world.sh("git", "checkout", "-q", "--detach")
    with pytest.raises(PreflightError, match="no branch is checked out"):
        landed(done)


def test_uncommitted_changes_refuse_and_nothing_is_moved_or_recorded(done: Told) -> None:
    done.world.write({"a.txt": "mine\n"}, done.world.top)
    events = len(done.opened.events)

    with pytest.raises(GitError, match="uncommitted changes") as refusal:
        landed(done)
    assert refusal.value.exit_code == 8
    assert "commit or stash" in refusal.value.fix
    assert done.world.branch("main") == done.world.start
    assert len(done.opened.events) == events


def test_a_conflict_names_the_files_and_the_commands_that_a_person_would_run(done: Told) -> None:
    own = done.world.commit(done.world.top, "own", **{"c.out": "mine\n"})

    with pytest.raises(GitError, match=r"does not merge into main: c\.out") as refusal:
        landed(done)
    assert refusal.value.fix == "merge it by hand: git switch main && git merge wavecrew/r1/result"
    assert done.world.branch("main") == own


def test_what_is_not_proven_is_not_landed(done: Told) -> None:
    done.on_result(lambda folder: (folder / "b.out").unlink())

    with pytest.raises(PreflightError, match=r"not proven.*phase b: its output b\.out") as refusal:
        landed(done, partial=True)
    assert refusal.value.fix.endswith("wavecrew verify r1")
    assert done.world.branch("main") == done.world.start

    done.world.sh("git", "branch", "-D", "wavecrew/r1/result")
    with pytest.raises(PreflightError, match="there is no branch wavecrew/r1/result"):
        landed(done)


def test_what_is_not_over_lands_only_when_that_is_asked_for(told: Told) -> None:
    told.do("a", {"a.out": "a"})

    with pytest.raises(PreflightError, match="b, c not done") as refusal:
        landed(told)
    assert "--partial" in refusal.value.fix
    found = landed(told, partial=True)
    assert (found.phases, found.open) == (("a",), ("b", "c"))

    told.do("b", {"b.out": "b"})
    assert landed(told, partial=True).phases == ("b",)


def test_with_a_coordinator_at_work_only_a_part_can_be_landed(told: Told) -> None:
    told.do("a", {"a.out": "a"})
    with CoordinatorLock(told.store.folder / "runs" / "r1"), pytest.raises(PreflightError, match="is still at work"):
        landed(told)
    assert told.world.branch("main") == told.world.start


def test_a_coordinator_that_begins_in_this_moment_is_seen(done: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, True])
    monkeypatch.setattr("wavecrew.api.history.is_coordinated", lambda _: next(answers))
    with CoordinatorLock(done.store.folder / "runs" / "r1"), pytest.raises(PreflightError, match="is still at work"):
        landed(done)


@pytest.mark.parametrize("refusal", ["", "no\ntry again"])
def test_a_coordinator_at_work_records_the_landing_or_the_lander_says_that_it_did_not(told: Told, refusal: str) -> None:
    result = told.do("a", {"a.out": "a"})
    asked: list[Wish | None] = []

    def coordinate() -> None:
        while not asked:
            with told.store.transaction() as tx:
                for number, wish in wishes.waiting(tx, "r1"):
                    wishes.answer(tx, number, refusal)
                    asked.append(wish)

    with CoordinatorLock(told.store.folder / "runs" / "r1"):
        coordinator = threading.Thread(target=coordinate)
        coordinator.start()
        if refusal:
            with pytest.raises(RunBusyError, match="main has the result now, but this is not on record: no"):
                landed(told, partial=True)
        else:
            assert landed(told, partial=True).phases == ("a",)
        coordinator.join()

    wish = asked[0]
    assert wish is not None
    event = ev.ResultLanded(at=5.0, by="ann", branch="main", commit=result)
    assert wishes.events_for(wish, told.state, 5.0) == (event,)
    assert told.world.branch("main") == result


def test_a_result_without_a_beginning_has_nothing_to_land(told: Told) -> None:
    told.world.sh("git", "branch", "-D", "wavecrew/r1/result")
    told.world.sh("git", "checkout", "-q", "--orphan", "empty")
    told.world.sh("git", "branch", "-D", "main")
    told.world.sh("git", "commit", "-q", "-m", "other")

    with pytest.raises(PreflightError, match="it has no result yet"):
        landed(told, partial=True)


def test_waived_phases_do_not_hold_up_a_landing(told: Told) -> None:
    told.do("a", {"a.out": "a"})
    waived: list[Event] = [ev.PhaseSkipped(at=told.now(), phase=name, by="ann", reason="x") for name in "bc"]
    told.tell(*waived)

    assert landed(told).phases == ("a",)


# -- what is left over ------------------------------------------------------------------------------------------


def test_merged_and_clean_work_can_go_and_nothing_goes_unasked(done: Told) -> None:
    refs = done.world.sh("git", "for-each-ref")
    found = left(done)

    assert {name: one.fate for name, one in found.items()} == {
        "wavecrew/r1/a/1": Fate.REMOVABLE,
        "wavecrew/r1/b/1": Fate.REMOVABLE,
        "wavecrew/r1/c/1": Fate.REMOVABLE,
        "wavecrew/r1/result": Fate.KEPT,
    }
    assert found["wavecrew/r1/a/1"].phase == "a"
    assert found["wavecrew/r1/a/1"].size > 0
    assert found["wavecrew/r1/result"].look == "wavecrew land r1"
    assert done.world.sh("git", "for-each-ref") == refs
    assert done.places["a"].folder.exists()


def test_with_yes_they_go_and_the_result_stays_until_the_user_has_it(done: Told) -> None:
    assert set(fates(done, remove=True).values()) == {Fate.REMOVED, Fate.KEPT}
    assert fates(done) == {"r1/result": Fate.KEPT}
    assert not (done.world.state / "worktrees" / "r1").exists()
    assert done.proof.holds

    landed(done)
    assert fates(done, remove=True) == {"r1/result": Fate.REMOVED}
    assert left(done) == {}
    assert done.proof.holds
    assert done.proof.branch == "main"
    assert landed(done).already
    assert [one.path for one in shown(done, "b").files] == ["b.out"]


def test_work_that_is_nowhere_else_stays_with_a_reason_and_a_way_to_look(told: Told) -> None:
    failed = told.start("a")
    told.world.commit(failed.folder, "half", half="x")
    told.end("a", cause=Cause.EXIT)
    dirty = told.start("b")
    told.world.write({"b.out": "b"}, dirty.folder)
    told.seal("b")
    told.merge("b")
    told.world.write({"later": "x"}, dirty.folder)
    stray = told.world.state / "worktrees" / "r1" / "stray"
    stray.mkdir()
    found = left(told, remove=True)

    assert {one.fate for one in found.values()} == {Fate.KEPT}
    assert found["wavecrew/r1/a/1"].reason == "its work is in no result"
    assert found["wavecrew/r1/a/1"].look == "wavecrew diff a --attempt 1 --run r1"
    assert found["wavecrew/r1/a/1"].remove == (
        f"git worktree remove --force {failed.folder} && git branch -D wavecrew/r1/a/1"
    )
    assert found[str(stray)].remove == "", "git does not know it"
    assert found["wavecrew/r1/result"].remove == "", "the run needs it"
    assert found["wavecrew/r1/b/1"].reason == "its folder holds what is in no commit"
    assert found["wavecrew/r1/b/1"].look == f"git -C {dirty.folder} status"
    assert found[str(stray)].reason.startswith("a folder without a branch")
    assert found["wavecrew/r1/result"].reason == "the run is not over"
    assert (dirty.folder / "later").exists()
    assert stray.exists()
    assert told.world.branch("wavecrew/r1/a/1")


def test_an_attempt_that_has_only_begun_is_not_taken_for_one_without_work(told: Told) -> None:
    """Its coordinator is dead, its agent may be alive: a fresh branch looks like one that has done nothing."""
    place = told.start("a")
    found = left(told, remove=True)["wavecrew/r1/a/1"]

    assert (found.fate, found.reason) == (Fate.KEPT, "the run goes on with it")
    assert place.folder.exists()


def test_an_attempt_that_did_nothing_can_go(told: Told) -> None:
    told.start("a")
    told.end("a", cause=Cause.EXIT)
    found = left(told, remove=True)["wavecrew/r1/a/1"]

    assert (found.fate, found.reason) == (Fate.REMOVED, "it holds no work of its own")


def test_a_result_into_which_nothing_came_can_go_and_is_begun_again(told: Told) -> None:
    """Whoever goes on with the run begins it where it had begun."""
    told.start("a")
    told.end("a", cause=Cause.EXIT)
    assert told.result == told.world.start
    assert left(told, remove=True)["wavecrew/r1/result"].fate is Fate.REMOVED
    assert told.world.branch("wavecrew/r1/result") == ""
    assert left(told) == {}


def test_what_nobody_goes_on_with_any_more_is_over(told: Told) -> None:
    """A newer run of the same plan takes over: the older result is the user's to land, or to let go of."""
    told.do("a", {"a.out": "a\n"})
    assert left(told)["wavecrew/r1/result"].reason == "the run is not over"
    told.begin(phase("a"), run="r2")
    found = left(told)
    assert found["wavecrew/r1/result"].reason == "it holds work that is not in main"
    assert found["wavecrew/r1/result"].remove == "git branch -D wavecrew/r1/result"


def test_what_the_user_merged_by_hand_counts_as_merged(told: Told) -> None:
    place = told.start("a")
    told.world.commit(place.folder, "half", half="x")
    told.end("a", cause=Cause.EXIT)
    told.world.sh("git", "merge", "-q", "--ff-only", "wavecrew/r1/a/1")

    assert fates(told, remove=True)["r1/a/1"] is Fate.REMOVED
    assert told.world.files("main").count("half") == 1


def test_what_somebody_has_checked_out_stays(done: Told) -> None:
    landed(done)
    done.close("a")
    for name, branch in (("one", "wavecrew/r1/a/1"), ("two", "wavecrew/r1/result")):
        done.world.sh("git", "worktree", "add", "-q", str(done.world.top.parent / name), branch)
    found = left(done, remove=True)

    for name, branch in (("one", "wavecrew/r1/a/1"), ("two", "wavecrew/r1/result")):
        assert found[branch].fate is Fate.KEPT
        assert found[branch].reason == f"checked out in {done.world.top.parent / name}"
        assert done.world.branch(branch)


def test_a_result_is_not_removed_on_the_word_of_a_branch_of_ours(done: Told) -> None:
    done.world.sh("git", "checkout", "-q", "-b", "wavecrew/r9/result", "wavecrew/r1/result")

    assert left(done, "r1", remove=True)["wavecrew/r1/result"].reason == "no branch of yours is checked out here"
    assert done.result


@pytest.mark.parametrize("remove", [False, True])
def test_a_run_with_a_coordinator_is_left_alone_and_not_even_looked_at(done: Told, remove: bool) -> None:
    with CoordinatorLock(done.store.folder / "runs" / "r1"):
        found = left(done, remove=remove)

    assert list(found) == ["r1"]
    assert found["r1"].reason == "a coordinator is in charge of it"
    assert done.places["a"].folder.exists()


def test_a_coordinator_that_comes_in_between_is_seen(done: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavecrew.api.history.is_coordinated", lambda _: False)
    with CoordinatorLock(done.store.folder / "runs" / "r1"):
        assert left(done, remove=True)["r1"].fate is Fate.KEPT
    assert done.places["a"].folder.exists()


def test_work_that_turns_up_at_the_last_moment_is_kept(done: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was clean when it was looked at is looked at once more before it goes."""
    from wavecrew.core.worktrees import Worktrees

    remains = Worktrees.remains

    def and_then(self: Worktrees, within: str, *, everywhere: bool = False) -> object:
        found = remains(self, within, everywhere=everywhere)
        done.world.write({"late": "x"}, done.places["b"].folder)
        return found

    monkeypatch.setattr(Worktrees, "remains", and_then)
    found = left(done, remove=True)

    assert found["wavecrew/r1/b/1"].fate is Fate.KEPT
    assert "nowhere else" in found["wavecrew/r1/b/1"].reason
    assert (done.places["b"].folder / "late").exists()
    assert found["wavecrew/r1/a/1"].fate is Fate.REMOVED


def test_a_result_that_the_users_branch_lost_at_the_last_moment_is_kept(
    done: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed(done)
    result, ask = done.result, leftovers.is_ancestor

    def and_then(git: Git, commit: str, of: str) -> bool:
        answer = ask(git, commit, of)
        if commit == result and answer:
            done.world.sh("git", "reset", "-q", "--hard", done.world.start)
        return answer

    monkeypatch.setattr(leftovers, "is_ancestor", and_then)
    found = left(done, remove=True)["wavecrew/r1/result"]

    assert (found.fate, found.reason) == (Fate.KEPT, "it has gone on, or your branch has")
    assert done.result == result


def test_runs_that_no_history_here_knows_are_named_and_left(done: Told) -> None:
    done.world.sh("git", "branch", "wavecrew/other/a/1")
    (done.world.state / "worktrees" / "gone").mkdir()
    found = left(done, remove=True)

    assert found["other"].look == "git log wavecrew/other/a/1"
    assert found["gone"].fate is Fate.KEPT
    assert done.world.branch("wavecrew/other/a/1")
    assert "other" not in left(done, "r1")


def test_several_runs_are_cleaned_each_by_its_own_result(done: Told) -> None:
    done.begin(*PLAN, run="r2", base=done.world.start)
    done.do("a", {"a.out": "other\n"})
    found = fates(done)

    assert found["r2/a/1"] is Fate.REMOVABLE
    assert found["r1/a/1"] is Fate.REMOVABLE
    assert found["r2/result"] is Fate.KEPT
    assert set(left(done, "r2")) == {"wavecrew/r2/a/1", "wavecrew/r2/result"}


def test_without_a_repository_nothing_is_left(tmp_path: Path) -> None:
    from wavecrew.core.store import Store

    with Store.open(tmp_path) as store:
        assert clean(store, tmp_path) == ()


# -- the disk ---------------------------------------------------------------------------------------------------


def test_the_disk_is_counted_by_kind(done: Told) -> None:
    logs = done.store.folder / "runs" / "r1" / "a" / "1"
    logs.mkdir(parents=True)
    (logs / "log").write_bytes(os.urandom(100_000))
    (done.places["a"].folder / "big").write_bytes(os.urandom(300_000))
    (done.places["a"].folder / "link").symlink_to("/")
    use = disk_use(done.world.workspace)

    assert 100_000 <= use.logs < 200_000
    assert 300_000 <= use.worktrees < 1_000_000
    assert use.history > 0
    assert use.whole


def test_counting_ends_where_it_would_take_too_long(done: Told) -> None:
    folder = done.store.folder / "runs" / "many"
    folder.mkdir(parents=True)
    for number in range(50):
        (folder / f"{number}").write_bytes(b"x" * 10_000)
    use = disk_use(done.world.workspace, most_files=10)

    assert not use.whole
    assert 0 < use.logs < 300_000
    assert use.worktrees == 0
    assert disk_use(done.world.top.parent / "nothing") == disk_use(done.world.top.parent / "nowhere")
