"""`retry`, `skip`, `pause`, `continue`, `cancel`, `approve`, `reject`, `answer`: wishes about a run, from anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import click

from wavecrew.cli.globals import Globals, echo_json, pass_globals, show, with_globals
from wavecrew.core.wishes import MOST_ANSWER, Wish, WishKind
from wavecrew.errors import ExitCode, UsageError
from wavecrew.models.gates import GateStatus

if TYPE_CHECKING:
    from wavecrew.api.history import OpenedRun
    from wavecrew.models.execution_state import ExecutionState

_MakeWish: TypeAlias = "Callable[[ExecutionState], Wish]"
_RUN = click.option("--run", default="latest", show_default=True, metavar="RUN", help="The run that is meant.")


@click.command()
@click.argument("phases", nargs=-1, required=True, metavar="PHASE...")
@click.option("--with-downstream", is_flag=True, help="Also everything ended that depends on them.")
@click.option("--reason", default="", help="Why, for the history.")
@_RUN
@with_globals
@pass_globals
def retry(settings: Globals, phases: tuple[str, ...], with_downstream: bool, reason: str, run: str) -> int:
    """Have phases done again that have ended, well or not."""
    return _wish(settings, run, WishKind.RETRY, phases, reason=reason, hard=with_downstream)


@click.command()
@click.argument("phases", nargs=-1, required=True, metavar="PHASE...")
@click.option("--reason", required=True, help="Why; it stands in every report.")
@_RUN
@with_globals
@pass_globals
def skip(settings: Globals, phases: tuple[str, ...], reason: str, run: str) -> int:
    """Waive phases: what depends on them may start although they were not done. This is kept on record."""
    return _wish(settings, run, WishKind.SKIP, phases, reason=reason)


@click.command()
@click.option("--now", is_flag=True, help="End the agents that are at work, too; they will start again.")
@click.option("--reason", default="", help="Why, for the history.")
@_RUN
@with_globals
@pass_globals
def pause(settings: Globals, now: bool, reason: str, run: str) -> int:
    """Start nothing new. What is at work ends in its own time."""
    return _wish(settings, run, WishKind.PAUSE, (), reason=reason, hard=now)


@click.command("continue")
@_RUN
@with_globals
@pass_globals
def continue_(settings: Globals, run: str) -> int:
    """End a pause."""
    return _wish(settings, run, WishKind.CONTINUE, ())


@click.command()
@click.argument("phases", nargs=-1, metavar="[PHASE...]")
@_RUN
@with_globals
@pass_globals
def cancel(settings: Globals, phases: tuple[str, ...], run: str) -> int:
    """End the agents of PHASES for good, or, without PHASES, all agents and the coordinator.

    A run that was cancelled as a whole can be taken up with `wavecrew run`.
    """
    return _wish(settings, run, WishKind.CANCEL, phases)


@click.command()
@click.argument("gates", nargs=-1, metavar="[GATE...]")
@click.option("--all", "everything", is_flag=True, help="Every gate that is open for an answer.")
@click.option("--reason", default="", help="Why, for the history.")
@_RUN
@with_globals
@pass_globals
def approve(settings: Globals, gates: tuple[str, ...], everything: bool, reason: str, run: str) -> int:
    """Agree to what waits for approval: `wave 2`, or a phase. GATE may be left out if only one waits."""
    if gates and everything:
        raise UsageError("name gates, or say --all, but not both")
    return _answer(settings, run, WishKind.APPROVE, gates, reason=reason, everything=everything)


@click.command()
@click.argument("gates", nargs=-1, required=True, metavar="GATE...")
@click.option("--reason", required=True, help="Why; it stands in every report.")
@_RUN
@with_globals
@pass_globals
def reject(settings: Globals, gates: tuple[str, ...], reason: str, run: str) -> int:
    """Refuse what waits for approval: the phases behind it are given up.

    `wavecrew approve` takes that back, and `wavecrew retry` has it asked again.
    """
    return _answer(settings, run, WishKind.REJECT, gates, reason=reason)


@click.command()
@click.argument("phase", metavar="PHASE")
@click.argument("text", nargs=-1, required=True, metavar="TEXT...")
@click.option("--question", type=click.IntRange(1), default=None, metavar="N", help="Which one, if it asks several.")
@_RUN
@with_globals
@pass_globals
def answer(settings: Globals, phase: str, text: tuple[str, ...], question: int | None, run: str) -> int:
    """Answer what the agent of PHASE asks. It gets TEXT at once, or when it asks again."""
    from wavecrew.api.selection import phase_named
    from wavecrew.api.users import who

    words = answer_text(" ".join(text))

    def make(state: ExecutionState) -> Wish:
        name = phase_named(state.graph, phase)
        return Wish(kind=WishKind.ANSWER, by=who(), phases=(name,), text=words, question=question or 0)

    return _fulfil(settings, run, make)


def answer_text(text: str) -> str:
    """An answer without blanks at its ends. Raises UsageError for one that says nothing, or too much."""
    told = text.strip()
    if not told or len(told) > MOST_ANSWER:
        raise UsageError(f"an answer is a text of 1 to {MOST_ANSWER} characters", fix="say it in a few sentences")
    return told


def reopen(settings: Globals, run: str, accounts: tuple[str, ...], reason: str) -> int:
    """Have closed accounts of a run used again."""
    from wavecrew.api.users import who

    return _fulfil(settings, run, lambda state: Wish(kind=WishKind.REOPEN, by=who(), reason=reason, accounts=accounts))


def _answer(
    settings: Globals, run: str, kind: WishKind, words: tuple[str, ...], *, reason: str, everything: bool = False
) -> int:
    from wavecrew.api.users import who

    def make(state: ExecutionState) -> Wish:
        gates = gates_named(state, words) if words else _open_gates(state, everything)
        return Wish(kind=kind, by=who(), reason=reason, gates=gates)

    return _fulfil(settings, run, make)


def _open_gates(state: ExecutionState, everything: bool) -> tuple[str, ...]:
    found = state.needs_you
    if not found:
        raise UsageError(f"nothing in run {state.run} waits for approval", fix="see where it stands: wavecrew status")
    if len(found) > 1 and not everything:
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        shown = ", ".join(found[:5])
        raise UsageError(f"{len(found)} gates wait for approval: {shown}{more}", fix="name some of them, or say --all")
    return found


def gates_named(state: ExecutionState, words: tuple[str, ...]) -> tuple[str, ...]:
    """The gates that words mean: `wave 2` (in quotes or not), `2`, `phase ID`, or the id or name of a phase.

    Raises NotFoundError for a word that means none, or several.
    """
    left, found = list(words), []
    while left:
        word = left.pop(0)
        if word.casefold() in ("wave", "phase") and word not in state.graph.nodes and left:
            word = f"{word} {left.pop(0)}"
        found.append(_gate_named(state, word))
    return tuple(dict.fromkeys(found))


def _gate_named(state: ExecutionState, word: str) -> str:
    from wavecrew.api.selection import phase_named
    from wavecrew.models.gates import behind, phase_gate, wave_gate, wave_number

    kind, _, rest = word.partition(" ")
    wave = wave_gate(wave_number(rest.strip() if kind.casefold() == "wave" else word))
    if behind(state.graph, wave) and (rest or _by_waves(state)):
        return wave
    if kind.casefold() == "phase" and word not in state.graph.nodes:
        word = rest.strip()
    return phase_gate(phase_named(state.graph, word))


def _by_waves(state: ExecutionState) -> bool:
    """Whether a bare number is more likely a wave than a phase."""
    return state.settings.get("gate") == "wave" or any(gate.startswith("wave ") for gate in state.needs_you)


def _wish(
    settings: Globals, run: str, kind: WishKind, words: tuple[str, ...], *, reason: str = "", hard: bool = False
) -> int:
    from wavecrew.api.selection import phase_named
    from wavecrew.api.users import who

    def make(state: ExecutionState) -> Wish:
        names = tuple(dict.fromkeys(phase_named(state.graph, word) for word in words))
        return Wish(kind=kind, by=who(), phases=names, reason=reason, hard=hard)

    return _fulfil(settings, run, make)


def _fulfil(settings: Globals, run: str, make: _MakeWish) -> int:
    """Have the wish fulfilled that fits the state of a run, and say so."""
    from wavecrew.api.control import ask
    from wavecrew.api.history import open_run
    from wavecrew.api.places import find_workspace
    from wavecrew.core.store import Store

    folder = find_workspace(settings.directory)
    with Store.open(folder, create=False) as store:
        opened = open_run(store, run)
        if not opened.state.graph.nodes:
            raise UsageError(f"run {opened.row.id} has no phases")
        wish = make(opened.state)
        live = ask(store, folder, opened.row.id, wish)
        after = open_run(store, opened.row.id)
    if settings.json:
        about = {"phases": list(wish.phases), "gates": list(wish.gates), "accounts": list(wish.accounts)}
        echo_json({"run": opened.row.id, "wish": wish.kind.value, **about, "coordinator": live})
        return ExitCode.OK
    names = (*wish.phases, *wish.gates, *wish.accounts)
    what = f" {', '.join(names)}" if names else ""
    idle = _was_so(wish, opened.state)
    show(f"{wish.kind.value}{what}: " + (f"nothing to do, {idle}" if idle else f"done, run {opened.row.id}"))
    if not live and wish.kind is not WishKind.CANCEL:
        _show_ways_on(after)
    return ExitCode.OK


def _was_so(wish: Wish, state: ExecutionState) -> str:
    """Why a wish changes nothing; empty if it does."""
    gates = [state.gates.get(gate) for gate in wish.gates]
    match wish.kind:
        case WishKind.CONTINUE if not state.paused_by:
            return f"run {state.run} is {'over' if state.end_time is not None else 'not paused'}"
        case WishKind.PAUSE if state.paused_by and not wish.hard:
            return f"run {state.run} was paused already, by {state.paused_by}"
        case WishKind.APPROVE if all(gate is not None and gate.status is GateStatus.APPROVED for gate in gates):
            return "approved already"
        case WishKind.REJECT if all(gate is not None and gate.status is GateStatus.REJECTED for gate in gates):
            return "rejected already"
        case _:
            return ""


def _show_ways_on(after: OpenedRun) -> None:
    """What comes next, while nobody is at work on the run; that is not always to run it."""
    from wavecrew.views.run_next import next_lines
    from wavecrew.views.summary import summarize

    for line in next_lines(summarize(after.state, time.time(), alive=after.alive), 80):
        show(line)
