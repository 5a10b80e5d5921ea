"""The table of locks for a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wavecrew.models.parallel_execution import LockType, ResourceLock
from wavecrew.views.lock_text import Broken, Held, Wait, lock_table
from wavecrew.views.terminal_text import cells

NOW = 1_000_000.0


def held(path: str, owner: str, since: float, kind: LockType = LockType.EXCLUSIVE, fence: int = 7) -> ResourceLock:
    return ResourceLock(path, owner, NOW - since, kind, fence)


def test_one_row_a_lock_and_a_line_for_each_who_waits() -> None:
    locks = [
        Held(held("src/", "phase 03", 4.2)),
        Held(held("port:8080", "phase 04", 200, LockType.SHARED, fence=12)),
    ]
    assert lock_table(locks, [Wait("src/a.py", "phase 05", "phase 03", NOW - 61)], NOW) == (
        "    ID FILE OR NAME                 MODE      HOLDER              HELD OWNER\n"
        "     7 src/                         exclusive phase 03            4.2s alive\n"
        "    12 port:8080                    shared    phase 04              3m alive\n"
        "  phase 05 waits 1m for src/a.py, held by phase 03\n"
        "2 locks, 1 waiter"
    )


def test_of_an_owner_in_doubt_it_is_told_once_why_and_what_to_do() -> None:
    far, gone = "it is on host b, which cannot be seen from here", "process 12 has ended"
    locks = [
        Held(held("docs/", "phase 04", 200), "suspect", far),
        Held(held("src/", "phase 04", 200), "suspect", far),
        Held(held("x", "command sh", 5400, fence=12), "dead", gone),
    ]
    waits = [Wait("x", "phase 05", "command sh", NOW - 1, "dead")]
    assert lock_table(locks, waits, NOW).split("\n")[1:] == [
        "     7 docs/                        exclusive phase 04              3m suspect",
        "     7 src/                         exclusive phase 04              3m suspect",
        "    12 x                            exclusive command sh          1.5h dead",
        "     7 phase 04 is suspect: it is on host b, which cannot be seen from here; if",
        "       you know that it is gone: wavecrew locks break 7 --force --reason WHY",
        "    12 command sh is dead: process 12 has ended; it loses the lock as soon as",
        "       somebody wants it",
        "  phase 05 waits 1.0s for x, held by command sh; it is dead",
        "3 locks, 1 waiter",
    ]


def test_locks_that_were_broken_last_are_told_with_who_and_why() -> None:
    broken = [Broken(number, f"phase {number}", NOW - 60, "ada", "its\ncontainer is gone") for number in (9, 8, 7, 6)]
    assert lock_table([], [], NOW, broken=broken).split("\n") == [
        "  1m ago  9 of phase 9 was broken by ada: its container is gone",
        "  1m ago  8 of phase 8 was broken by ada: its container is gone",
        "  1m ago  7 of phase 7 was broken by ada: its container is gone",
        "0 locks, 0 waiters",
    ]


def test_nothing_held_is_one_line() -> None:
    assert lock_table([], [], NOW) == "0 locks, 0 waiters"


def test_ages_of_every_size() -> None:
    for age, words in ((-3, "0.0s"), (59.9, "59.9s"), (60, "1m"), (3599, "60m"), (7200, "2.0h")):
        assert lock_table([Held(held("f", "x", age))], [], NOW).splitlines()[1].endswith(f" {words} alive")


_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda text: text.isprintable() and bool(text.strip())
)


@given(
    _NAMES,
    st.text(min_size=1, max_size=60),
    st.integers(40, 120),
    st.floats(0, 1e7),
    st.sampled_from(["alive", "suspect", "dead"]),
)
def test_every_line_keeps_to_the_width_and_holds_no_control_characters(
    path: str, name: str, width: int, age: float, word: str
) -> None:
    owner = name.strip() or "x"
    text = lock_table(
        [Held(held(path.replace("/", "_"), owner, age), word, name)],
        [Wait(path, name, owner, NOW - age, word)],
        NOW,
        broken=[Broken(7, owner, NOW - age, name, path)],
        width=width,
    )
    for line in text.split("\n"):
        assert line.isprintable()
        assert cells(line) <= max(width, 73)
