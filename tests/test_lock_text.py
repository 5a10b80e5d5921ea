"""The table of locks for a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wavecrew.models.parallel_execution import LockType, ResourceLock
from wavecrew.views.lock_text import lock_table
from wavecrew.views.terminal_text import cells

NOW = 1_000_000.0


def held(path: str, owner: str, since: float, kind: LockType = LockType.EXCLUSIVE, fence: int = 7) -> ResourceLock:
    return ResourceLock(path, owner, NOW - since, kind, fence)


def test_one_row_a_lock_and_a_line_for_each_who_waits() -> None:
    locks = [held("src/", "phase 03", 4.2), held("port:8080", "phase 04", 200, LockType.SHARED, fence=12)]
    assert lock_table(locks, [("src/a.py", "phase 05", "phase 03", NOW - 61)], NOW) == (
        " FENCE FILE OR NAME                MODE      HOLDER              HELD\n"
        "     7 src/                        exclusive phase 03            4.2s\n"
        "    12 port:8080                   shared    phase 04              3m\n"
        "  phase 05 waits 1m for src/a.py, held by phase 03\n"
        "2 locks, 1 waiter"
    )


def test_nothing_held_is_one_line() -> None:
    assert lock_table([], [], NOW) == "0 locks, 0 waiters"


def test_ages_of_every_size() -> None:
    for age, words in ((-3, "0.0s"), (59.9, "59.9s"), (60, "1m"), (3599, "60m"), (7200, "2.0h")):
        assert lock_table([held("f", "x", age)], [], NOW).splitlines()[1].endswith(f" {words}")


_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda text: text.isprintable() and bool(text.strip())
)


@given(_NAMES, st.text(min_size=1, max_size=60), st.integers(40, 120), st.floats(0, 1e7))
def test_every_line_keeps_to_the_width_and_holds_no_control_characters(
    path: str, name: str, width: int, age: float
) -> None:
    owner = name.strip() or "x"
    text = lock_table([held(path.replace("/", "_"), owner, age)], [(path, name, owner, NOW - age)], NOW, width)
    for line in text.split("\n"):
        assert line.isprintable()
        assert cells(line) <= max(width, 73)
