"""What people want of a run, from the page: the verbs of the command line, with the same answers.

What it does: reads a wish from a request, with limits, and has it fulfilled by `api.control`.
What it does not know: what a wish means, and whether a coordinator is alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from wavecrew.api.control import ask
from wavecrew.api.users import who
from wavecrew.core.store import Store
from wavecrew.core.wishes import Wish, WishKind
from wavecrew.errors import InvalidValueError

VERBS: Final = ("retry", "skip", "pause", "continue", "cancel", "approve", "reject")
_NEED_REASONS: Final = ("skip", "reject")
_NEED_PHASES: Final = ("retry", "skip")
_NEED_GATES: Final = ("approve", "reject")
_KEYS: Final = frozenset({"phases", "gates", "reason", "hard"})
_MOST: Final = 200
_LONGEST: Final = 500


def wish_from(verb: str, data: object) -> Wish:
    """The wish that a request holds. Raises InvalidValueError for one that is none."""
    if verb not in VERBS:
        raise InvalidValueError("there is no such wish")
    if not isinstance(data, Mapping) or not data.keys() <= _KEYS:
        raise InvalidValueError(f"a wish is an object with some of {', '.join(sorted(_KEYS))}")
    phases, gates = _texts(data.get("phases", [])), _texts(data.get("gates", []))
    reason, hard = data.get("reason", ""), data.get("hard", False)
    if not isinstance(reason, str) or len(reason) > _LONGEST or not isinstance(hard, bool):
        raise InvalidValueError(f"a reason is a text of at most {_LONGEST} characters, and hard is true or false")
    if verb in _NEED_REASONS and not reason.strip():
        raise InvalidValueError(f"to {verb} needs a reason; it stands in every report")
    if bool(phases) > (verb in (*_NEED_PHASES, "cancel")) or bool(gates) > (verb in _NEED_GATES):
        raise InvalidValueError(f"to {verb} does not go with phases or gates like that")
    if (verb in _NEED_PHASES and not phases) or (verb in _NEED_GATES and not gates):
        raise InvalidValueError(f"to {verb} needs the name of something")
    return Wish(kind=WishKind(verb), by=f"web ({who()})", phases=phases, gates=gates, reason=reason.strip(), hard=hard)


def _texts(found: Any) -> tuple[str, ...]:
    if not isinstance(found, list) or len(found) > _MOST or not all(isinstance(one, str) for one in found):
        raise InvalidValueError(f"phases and gates are lists of at most {_MOST} texts")
    return tuple(dict.fromkeys(found))


def fulfil(workspace: Path, run: str, wish: Wish) -> bool:
    """Have it fulfilled, on a connection of its own. Tells whether a living coordinator did it. Raises what
    `api.control.ask` does."""
    with Store.open(workspace, create=False) as store:
        return ask(store, workspace, run, wish)
