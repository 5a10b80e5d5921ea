"""Histories of runs as plain data: what the tests of all run views tell each other about.

What it does: writes events in a short form and knows one small plan with a lock that two phases want.
What it does not know: how anything is shown.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import ExecutionState, evolve, replay
from wavecrew.models.parallel_execution import PhaseInfo
from wavecrew.models.phase_status import PhaseStatus

T0 = 1_700_000_000.0
"""Every story begins here."""
REGISTRY = "minitable/registry.py"


def phase(name: str, needs: str = "", seconds: float | None = None, *outputs: str, **more: Any) -> PhaseInfo:
    """`phase("02 reader", "01", 4, "reader.py")`."""
    number, _, title = name.partition(" ")
    hours = None if seconds is None else seconds / 3600
    return PhaseInfo(number, title or number, tuple(needs.split()), outputs, hours, **more)


MINITABLE = (
    phase("01 scaffold", "", 2, "pyproject.toml"),
    phase("02 reader", "01", 4, "minitable/reader.py"),
    phase("03 markdown", "01", 3, "minitable/markdown.py", REGISTRY),
    phase("04 html", "01", 5, "minitable/html.py", REGISTRY),
    phase("05 stats", "02", 6, "minitable/stats.py"),
    phase("06 fuzz", "02", 5, "tests/test_fuzz.py"),
    phase("07 cli", "02 03 04", 4, "minitable/cli.py"),
    phase("08 readme", "07", 2, "README.md"),
    phase("09 bench", "05 07", 5, "BENCH.md"),
    phase("10 accept", "06 08 09", 4, "dist/minitable.pyz"),
)


def opening(
    *phases: PhaseInfo,
    agents: int = 3,
    selected: tuple[str, ...] = (),
    settings: dict[str, Any] | None = None,
    isolation: str = "shared",
) -> list[Event]:
    """A run starts and somebody takes charge of it."""
    return [
        ev.RunStarted(
            at=T0,
            run="3f2a",
            plan_name="minitable",
            plan_path="plan",
            plan_digest="7c1f9a2b",
            phases=phases,
            selected=selected,
            settings={"max_parallel_agents": agents, "agent": "runbook"} | (settings or {}),
            isolation=isolation,
            base="c0ffee0" if isolation == "worktree" else "",
        ),
        charge(0, agents=agents),
    ]


def charge(at: float, epoch: int = 1, agents: int = 3) -> Event:
    return ev.CoordinatorStarted(at=T0 + at, epoch=epoch, pid=4711, host="box", agents=agents)


def start(at: float, name: str, attempt: int = 1, agent: str = "runbook") -> Event:
    log = f"runs/3f2a/{name}.{attempt}/log"
    return ev.AttemptStarted(at=T0 + at, phase=name, attempt=attempt, agent=agent, log=log)


def end(at: float, name: str, attempt: int = 1, *outputs: str) -> Event:
    return ev.AttemptEnded(at=T0 + at, phase=name, attempt=attempt, outcome=Outcome.SUCCEEDED, outputs=outputs)


def fail(
    at: float,
    name: str,
    attempt: int = 1,
    *,
    retry_at: float | None = None,
    cause: Cause = Cause.CHECK,
    detail: str = "exit code 1 from: check python -m unittest",
    outcome: Outcome = Outcome.FAILED,
) -> Event:
    return ev.AttemptEnded(
        at=T0 + at,
        phase=name,
        attempt=attempt,
        outcome=outcome,
        cause=cause,
        detail=detail,
        exit_code=1,
        retry_at=None if retry_at is None else T0 + retry_at,
    )


def wait(at: float, name: str, resource: str, holder: str) -> Event:
    return ev.LockAwaited(at=T0 + at, phase=name, resource=resource, holder=holder)


def skip(at: float, name: str, by: str = "ann", reason: str = "done by hand") -> Event:
    return ev.PhaseSkipped(at=T0 + at, phase=name, by=by, reason=reason)


def keep(at: float, name: str, run: str = "11aa") -> Event:
    return ev.PhaseKept(at=T0 + at, phase=name, from_run=run)


def reset(at: float, name: str, by: str = "ann", reason: str = "") -> Event:
    return ev.PhaseReset(at=T0 + at, phase=name, by=by, reason=reason)


def stop(at: float, reason: str = "SIGINT") -> Event:
    return ev.RunStopped(at=T0 + at, reason=reason)


def finish(at: float, unproven: tuple[str, ...] = ()) -> Event:
    return ev.RunFinished(at=T0 + at, unproven=unproven)


def asked(at: float, gate: str) -> Event:
    return ev.ApprovalAsked(at=T0 + at, gate=gate)


def approve(at: float, gate: str, by: str = "ann", reason: str = "") -> Event:
    return ev.GateApproved(at=T0 + at, gate=gate, by=by, reason=reason)


def reject(at: float, gate: str, by: str = "ann", reason: str = "too early") -> Event:
    return ev.GateRejected(at=T0 + at, gate=gate, by=by, reason=reason)


def work(at: float, name: str, attempt: int = 1) -> Event:
    """An attempt starts in a worktree."""
    return ev.AttemptStarted(
        at=T0 + at, phase=name, attempt=attempt, agent="runbook", branch=f"wavecrew/3f2a/{name}/{attempt}", slot=1
    )


def seal(at: float, name: str, *changed: str, attempt: int = 1) -> Event:
    return ev.WorkSealed(at=T0 + at, phase=name, attempt=attempt, commit="5ea1ed00", changed=changed)


def propose(at: float, name: str, attempt: int = 1) -> Event:
    return ev.MergeProposed(at=T0 + at, phase=name, attempt=attempt, onto="c0ffee0", commit="d0d0d0d0")


def clash(at: float, name: str, detail: str, *paths: str, attempt: int = 1) -> Event:
    return ev.MergeRefused(at=T0 + at, phase=name, attempt=attempt, onto="c0ffee0", detail=detail, paths=paths)


def merged(at: float, name: str, attempt: int = 1, commit: str = "d0d0d0d0") -> Event:
    return ev.AttemptEnded(at=T0 + at, phase=name, attempt=attempt, outcome=Outcome.SUCCEEDED, commit=commit)


def forbidden(at: float, *what: str, suspects: tuple[str, ...] = ()) -> Event:
    return ev.ForbiddenChange(at=T0 + at, what=what, suspects=suspects)


def land(at: float, branch: str = "main") -> Event:
    return ev.ResultLanded(at=T0 + at, by="ann", branch=branch, commit="d0d0d0d0")


def told(at: float, name: str, attempt: int = 1, tokens: int | None = None, cost: float | None = None) -> Event:
    """What an agent used; as much out as in."""
    return ev.AgentReported(
        at=T0 + at, phase=name, attempt=attempt, input_tokens=tokens, output_tokens=tokens, cost_usd=cost
    )


def silence(at: float, name: str, since: float | None, words: str = "", attempt: int = 1) -> Event:
    since = None if since is None else T0 + since
    return ev.AgentSilence(at=T0 + at, phase=name, attempt=attempt, since=since, words=words)


def closed(at: float, until: float, account: str = "runbook", why: str = "") -> Event:
    return ev.AccountClosed(at=T0 + at, account=account, until=T0 + until, detail=why)


def spent(at: float, budget: str = "1usd", cost: float = 1.25, tokens: int = 9) -> Event:
    return ev.BudgetReached(at=T0 + at, budget=budget, cost_usd=cost, tokens=tokens)


def new_plan(at: float, *phases: PhaseInfo) -> Event:
    return ev.PlanChanged(at=T0 + at, by="ann", plan_digest="99887766", phases=phases)


def until(events: list[Event], at: float) -> list[Event]:
    """What was known at a moment."""
    return [event for event in events if event.at <= T0 + at]


def pause(at: float, by: str = "ann") -> Event:
    return ev.RunPaused(at=T0 + at, by=by)


def go_on(at: float, by: str = "ann") -> Event:
    return ev.RunContinued(at=T0 + at, by=by)


def state_at(events: list[Event], at: float) -> ExecutionState:
    return replay(until(events, at))


def good_run() -> list[Event]:
    """The small plan with three agents; 03 waits for the file that 04 writes. Takes 23 s."""
    return [
        *opening(*MINITABLE),
        start(0, "01"),
        end(2, "01", 1, "pyproject.toml"),
        start(2, "02"),
        start(2, "04"),
        wait(2, "03", REGISTRY, "04"),
        end(6, "02", 1, "minitable/reader.py"),
        start(6, "05"),
        start(6, "06"),
        end(7, "04", 1, "minitable/html.py", REGISTRY),
        start(7, "03"),
        end(10, "03", 1, "minitable/markdown.py", REGISTRY),
        start(10, "07"),
        end(11, "06", 1, "tests/test_fuzz.py"),
        end(12, "05", 1, "minitable/stats.py"),
        end(14, "07", 1, "minitable/cli.py"),
        start(14, "09"),
        start(14, "08"),
        end(16, "08", 1, "README.md"),
        end(19, "09", 1, "BENCH.md"),
        start(19, "10"),
        end(23, "10", 1, "dist/minitable.pyz"),
        finish(23),
    ]


def bad_run() -> list[Event]:
    """05 fails once and for all, 06 only the first time, 03 is skipped; 09 and 10 are never started."""
    return [
        *opening(*MINITABLE),
        start(0, "01"),
        end(2, "01", 1, "pyproject.toml"),
        start(2, "02"),
        start(2, "04"),
        wait(2, "03", REGISTRY, "04"),
        skip(3, "03"),
        end(6, "02", 1, "minitable/reader.py"),
        start(6, "05"),
        start(6, "06"),
        end(7, "04", 1, "minitable/html.py", REGISTRY),
        fail(7.2, "05"),
        fail(8, "06", retry_at=10, cause=Cause.TIMEOUT, detail="its time limit passed during: run fuzz"),
        start(8, "07"),
        start(10, "06", 2),
        end(12, "07", 1, "minitable/cli.py"),
        start(12, "08"),
        end(14, "08", 1, "README.md"),
        end(15, "06", 2, "tests/test_fuzz.py"),
        finish(15),
    ]


def held_run() -> list[Event]:
    """02 finds its account used up at 3 s, until 63 s; 04 says nothing after a question; nobody knows what 01 cost."""
    why = "runbook is used up: try again later"
    return [
        *opening(*MINITABLE, settings={"budget": "2usd"}),
        start(0, "01"),
        told(2, "01"),
        end(2, "01", 1, "pyproject.toml"),
        start(2, "02"),
        start(2, "04"),
        told(3, "02", 1, 700, 0.75),
        closed(3, 63, why=why),
        fail(3, "02", outcome=Outcome.STOPPED, cause=Cause.QUOTA, detail=why, retry_at=63),
        silence(9, "04", 4, "Overwrite html.py? [y/n]"),
    ]


# -- stories by chance ------------------------------------------------------------------------------------------

_NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda text: text.isprintable() and bool(text.strip())
)
_WORDS = st.text(max_size=30)


@st.composite
def plans(draw: st.DrawFn) -> tuple[PhaseInfo, ...]:
    """A few phases in a sound order, some without an estimate, with names in any script."""
    ids = draw(st.lists(_NAMES, min_size=1, max_size=7, unique=True))
    found = []
    for place, name in enumerate(ids):
        needs = draw(st.lists(st.sampled_from(ids[:place]), unique=True, max_size=3)) if place else []
        hours = draw(st.none() | st.floats(0, 2))
        outputs = draw(st.lists(st.sampled_from(["a.py", "src/", "src/b.py", "*.md"]), unique=True, max_size=2))
        found.append(PhaseInfo(name, draw(_NAMES), tuple(needs), tuple(outputs), hours))
    return tuple(found)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """A legal history of such a plan: whatever the fold allows may happen, with any words in it."""
    phases = draw(plans())
    selected = tuple(draw(st.sets(st.sampled_from([one.id for one in phases])))) if draw(st.booleans()) else ()
    gate = draw(st.sampled_from(["none", "none", "wave", "phase"]))
    more: dict[str, Any] = draw(st.sampled_from([{}, {"budget": "2ktok"}, {"fallback_agent": "x", "budget": None}]))
    settings = {"wave_delay_seconds": draw(st.sampled_from([0, 5])), "gate": gate, **more}
    isolation = draw(st.sampled_from(["shared", "worktree"]))
    agents = draw(st.integers(1, 3))
    events = opening(*phases, agents=agents, selected=selected, settings=settings, isolation=isolation)
    state, at, open_run = replay(events), 0.0, True
    for _ in range(draw(st.integers(0, 25))):
        at += draw(st.sampled_from([0.0, 0.5, 7.0, 4000.0]))
        choices = _choices(state, at, draw(_WORDS), open_run)
        event = draw(st.sampled_from(choices))
        open_run = (open_run or isinstance(event, ev.CoordinatorStarted)) and not isinstance(
            event, ev.RunStopped | ev.RunFinished
        )
        state = evolve(state, event)
        events.append(event)
    return events


def _choices(state: ExecutionState, at: float, words: str, open_run: bool) -> list[Event]:
    if not open_run:
        return [charge(at, state.epoch + 1, 2), land(at, words), *_resets(state, at, words), *_plans(state, at)]
    found: list[Event] = [charge(at, state.epoch + 1, 2), pause(at, words), go_on(at)]
    found += [closed(at, at + 60, account, words) for account in ("runbook", "x", words)]
    found += [spent(at, budget) for budget in ("2ktok", words)]
    found += [*_answers(state, at, words), forbidden(at, words, "x", suspects=tuple(state.running))]
    for name in state.queued:
        number = state.phase_states[name].attempts + 1
        found += [start(at, name, number), work(at, name, number), work(at, name, number)]
        holders = [*state.running, *state.queued, words]
        found += [wait(at, name, words, holder) for holder in holders if holder != name]
        found += [skip(at, name, words, words)]
        found += [ev.UndeclaredWrites(at=T0 + at, suspects=(name,), paths=(words,))]
        found += [ev.PhaseRefused(at=T0 + at, phase=name, cause=Cause.LOCK, detail=words)]
    for name in state.running:
        number = state.phase_states[name].attempts
        found += [end(at, name, number, "a.py")] * 3
        found += [seal(at, name, words, attempt=number)] * 2
        if state.phase_states[name].sealed:
            found += [propose(at, name, number), clash(at, name, words, words, attempt=number)]
            found += [merged(at, name, number, words), fail(at, name, number, cause=Cause.MERGE, detail=words)]
        found += [told(at, name, number, tokens, 0.5) for tokens in (None, 700)]
        found += [silence(at, name, since, words, number) for since in (None, at - 61)]
        stopped: dict[str, Any] = {"outcome": Outcome.STOPPED, "retry_at": at + 60, "detail": words}
        found += [fail(at, name, number, cause=cause, **stopped) for cause in (Cause.QUOTA, Cause.SILENCE)]
        found += [ev.AttemptAdopted(at=T0 + at, phase=name, attempt=number)]
        found += [fail(at, name, number, cause=cause, detail=words) for cause in (Cause.CHECK, Cause.EXIT)]
        found += [fail(at, name, number, retry_at=at + 3, detail=words)]
        found += [fail(at, name, number, retry_at=at, outcome=Outcome.LOST, cause=Cause.LOST, detail=words)]
        found += [fail(at, name, number, outcome=Outcome.STOPPED, cause=Cause.STOPPED, detail=words)]
    if not state.running:
        missing = (words,) if words else ()
        unproven = tuple(name for name, one in state.phase_states.items() if one.status is PhaseStatus.COMPLETED)
        found += [stop(at, words or "SIGINT"), ev.RunFinished(at=T0 + at, missing=missing)]
        found += [finish(at, unproven), stop(at, "needs approval: wave 2"), stop(at, "its budget of 2ktok is spent")]
    return found + _resets(state, at, words)


def _answers(state: ExecutionState, at: float, words: str) -> list[Event]:
    gates = [words, "wave 1", "wave 2", *(f"phase {name}" for name in list(state.phase_states)[:2])]
    answers: list[Event] = [asked(at, gate) for gate in gates]
    answers += [approve(at, gate, words, words) for gate in gates]
    return answers + [reject(at, gate, words, words) for gate in gates]


def _plans(state: ExecutionState, at: float) -> list[Event]:
    """The same plan again, and the plan without its last phase, which nothing rests on."""
    phases = tuple(state.graph.nodes.values())
    last = phases[-1].id
    shorter = [new_plan(at, *phases[:-1])] if len(phases) > 1 and last not in state.running else []
    if state.selected and not state.selected - {last}:
        shorter = []
    return [new_plan(at, *phases), *shorter]


def _resets(state: ExecutionState, at: float, words: str) -> list[Event]:
    ended = (PhaseStatus.COMPLETED, PhaseStatus.FAILED)
    return [reset(at, name, words) for name, found in state.phase_states.items() if found.status in ended]
