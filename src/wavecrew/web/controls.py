"""What people want of a run, from the page: the verbs of the command line, with the same answers.

What it does: reads a wish from a request, with limits, and has it fulfilled by `api.control`; breaks locks as `wavecrew
locks break` does.
What it does not know: what a wish means, whether a coordinator is alive, and when an owner is proven dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wavecrew.api.control import ask
from wavecrew.api.users import who
from wavecrew.core.resource_manager import LockRegistry
from wavecrew.core.store import Store
from wavecrew.core.wishes import Wish, WishKind
from wavecrew.errors import InvalidValueError, NotFoundError, UsageError

VERBS: Final = ("retry", "skip", "pause", "continue", "cancel", "approve", "reject", "answer")
_NEED_REASONS: Final = ("skip", "reject")
_NEED_PHASES: Final = ("retry", "skip", "answer")
_NEED_GATES: Final = ("approve", "reject")
_KEYS: Final = frozenset({"phases", "gates", "reason", "hard", "text", "question"})
_MOST: Final = 200
_LONGEST: Final = 500
_LONGEST_ANSWER: Final = 4000
_MOST_NUMBER: Final = 2**53


class LookingOnlyError(UsageError):
    """Something was asked for on a page that is only for looking."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A lock that is to be taken away: its number, why, and whether somebody says that its owner is gone although that
    cannot be proven."""

    fence: int
    reason: str
    force: bool


def wish_from(verb: str, data: object) -> Wish:
    """The wish that a request holds. Raises InvalidValueError for one that is none."""
    if verb not in VERBS:
        raise InvalidValueError("there is no such wish")
    if not isinstance(data, Mapping) or not data.keys() <= _KEYS:
        raise InvalidValueError(f"a wish is an object with some of {', '.join(sorted(_KEYS))}")
    phases, gates = _texts(data.get("phases", [])), _texts(data.get("gates", []))
    reason, hard = data.get("reason", ""), data.get("hard", False)
    if not _is_text(reason, _LONGEST) or not isinstance(hard, bool):
        raise InvalidValueError(f"a reason is a text of at most {_LONGEST} characters, and hard is true or false")
    words, question = data.get("text", ""), data.get("question", 0)
    if not _is_text(words, _LONGEST_ANSWER) or not _is_number(question):
        raise InvalidValueError(f"an answer is a text of at most {_LONGEST_ANSWER} characters to a numbered question")
    if bool(words.strip()) != (verb == "answer") or (question and verb != "answer"):
        raise InvalidValueError(f"to {verb} does not go with a text like that")
    if verb in _NEED_REASONS and not reason.strip():
        raise InvalidValueError(f"to {verb} needs a reason; it stands in every report")
    if bool(phases) > (verb in (*_NEED_PHASES, "cancel")) or bool(gates) > (verb in _NEED_GATES):
        raise InvalidValueError(f"to {verb} does not go with phases or gates like that")
    if (verb in _NEED_PHASES and not phases) or (verb in _NEED_GATES and not gates):
        raise InvalidValueError(f"to {verb} needs the name of something")
    return Wish(
        kind=WishKind(verb),
        by=_me(),
        phases=phases,
        gates=gates,
        reason=reason.strip(),
        hard=hard,
        text=words.strip(),
        question=question,
    )


def breach_from(data: object) -> Breach:
    """The wish to break a lock that a request holds. Raises InvalidValueError for one that is none."""
    if not isinstance(data, Mapping) or not data.keys() <= {"fence", "reason", "force"}:
        raise InvalidValueError("to break a lock needs its fence and a reason, and may have force")
    fence, reason, force = data.get("fence", -1), data.get("reason", ""), data.get("force", False)
    if not _is_number(fence) or not isinstance(force, bool):
        raise InvalidValueError("a fence is the number of a lock, and force is true or false")
    if not _is_text(reason, _LONGEST) or not reason.strip():
        raise InvalidValueError(f"a lock is broken for a reason of at most {_LONGEST} characters")
    return Breach(fence, reason.strip(), force)


def _me() -> str:
    return f"web ({who()})"


def _is_number(found: Any) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and 0 <= found < _MOST_NUMBER


def _is_text(found: Any, longest: int) -> bool:
    """Whether it is a text that can be written down: half of a pair of surrogates, which JSON can name, cannot."""
    if not isinstance(found, str) or len(found) > longest:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in found)


def _texts(found: Any) -> tuple[str, ...]:
    if not isinstance(found, list) or len(found) > _MOST or not all(_is_text(one, _LONGEST_ANSWER) for one in found):
        raise InvalidValueError(f"phases and gates are lists of at most {_MOST} texts")
    return tuple(dict.fromkeys(found))


def fulfil(workspace: Path, run: str, wish: Wish) -> bool:
    """Have it fulfilled, on a connection of its own. Tells whether a living coordinator did it. Raises what
    `api.control.ask` does."""
    with Store.open(workspace, create=False) as store:
        return ask(store, workspace, run, wish)


def break_lock(workspace: Path, breach: Breach) -> str:
    """Take a lock away, and give who held it. Raises what `LockRegistry.break_lock` does, above all for an owner that
    is alive, and NotFoundError when nobody holds it."""
    with Store.open(workspace, create=False) as store:
        registry = LockRegistry(store, workspace)
        done = registry.break_lock(breach.fence, by=_me(), reason=breach.reason, though_unknown=breach.force)
    if done is None:
        raise NotFoundError(f"no lock has the number {breach.fence}", fix="it was given back meanwhile")
    return done.label
