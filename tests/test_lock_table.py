"""The lock table as rows: whole sets, ticket order, hand-over, rings. No waiting and no processes here."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_builders import owner
from wavecrew.core import lock_table
from wavecrew.core.store import Store
from wavecrew.models.resources import Claim, parse_resource

QUICK_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None


def claims(text: str) -> tuple[Claim, ...]:
    """`a.py +b.py`: a.py exclusive, b.py shared."""
    return tuple(Claim(parse_resource(word.lstrip("+")), not word.startswith("+")) for word in text.split())


class Table:
    """A lock table in which owners are letters and everything happens at once."""

    def __init__(self, tx: sqlite3.Connection) -> None:
        self.tx = tx

    def ask(self, who: str, wanted: str) -> tuple[int, int | None]:
        ticket = lock_table.insert(self.tx, owner(who), claims(wanted), 1.0)
        return ticket, lock_table.grant_if_free(self.tx, ticket, 2.0)

    def drop(self, *tickets: int) -> list[int]:
        return lock_table.drop(self.tx, tickets, 3.0)

    def obstacles(self, ticket: int) -> list[str]:
        return sorted({found.label for found in lock_table.obstacles(self.tx, ticket)})


@contextmanager
def opened() -> Iterator[Table]:
    with (
        tempfile.TemporaryDirectory(dir=QUICK_DISK) as folder,
        Store.open(Path(folder)) as store,
        store.transaction() as tx,
    ):
        yield Table(tx)


@pytest.fixture
def table() -> Iterator[Table]:
    with opened() as found:
        yield found


@pytest.mark.parametrize(
    ("held", "wanted", "free"),
    [
        ("a.py", "a.py", False),
        ("a.py", "b.py", True),
        ("+a.py", "+a.py", True),
        ("+a.py", "a.py", False),
        ("a.py", "+a.py", False),
        ("src/", "src/deep/a.py", False),
        ("src/deep/a.py", "src/", False),
        ("src/", "src2/a.py", True),
        ("src/", "src", False),
        ("src2/a.py", "src/", True),
        ("src-x", "src/", True),  # sorts between src and src/
        ("src0", "src/", True),  # sorts just behind all that lies in src/
        ("src/a/", "src/b/", True),
        ("./", "any/where", False),
        ("any/where", "./", False),
        ("./", "port:1", True),
        ("port:1", "./", True),
        ("port:1", "port:1", False),
        ("port:1", "port:2", True),
        ("src/*.py", "src/a.py", False),
        ("src/a.py", "src/*.py", False),
        ("src/*.py", "src/a.txt", True),
        ("src/*.py", "src/deep/a.py", True),
        ("src/**/*.py", "src/deep/", False),
        ("src/deep/", "**/*.py", False),
        ("**/a.py", "src/*.py", False),
        ("src/[ab].py", "src/[cd].py", True),
        ("a.py b.py", "c.py b.py", False),
        ("a.py +b.py", "c.py +b.py", True),
        ("slot:gpu", "slot:gpu", False),
        ("slot:gpu/2", "slot:gpu/2", True),
        ("slot:gpu/2", "slot:gpu/1", False),  # of two sizes of a pool the smaller counts
        ("slot:gpu/1", "slot:gpu/2", False),
        ("slot:gpu", "slot:tpu", True),
    ],
)
def test_what_goes_together(table: Table, held: str, wanted: str, free: bool) -> None:
    table.ask("A", held)

    ticket, fence = table.ask("B", wanted)

    assert (fence is not None) is free
    assert table.obstacles(ticket) == ([] if free else ["A"])


def test_of_two_claims_on_one_resource_the_stronger_counts(table: Table) -> None:
    for first, second in (("x", "+x"), ("+y", "y")):
        ticket, _ = table.ask("A", f"{first} {second}")
        assert lock_table.claims_of(table.tx, ticket) == claims(first.lstrip("+"))

        assert table.ask("B", f"+{first.lstrip('+')}")[1] is None


def test_an_owner_does_not_stand_in_its_own_way(table: Table) -> None:
    table.ask("A", "src/")

    assert table.ask("A", "src/a.py")[1] is not None
    assert table.ask("B", "src/a.py")[1] is None


def test_a_set_is_granted_whole_or_not_at_all(table: Table) -> None:
    held, _ = table.ask("A", "b.py")
    table.ask("B", "a.py b.py c.py")

    assert table.ask("C", "c.py")[1] is None  # B does not have it, but asked before
    assert table.drop(held) == [2]
    assert {found.owner.label: found.granted for found in lock_table.requests(table.tx)} == {"B": True, "C": False}


def test_a_waiting_writer_keeps_later_readers_behind_it(table: Table) -> None:
    reader, _ = table.ask("R1", "+x")
    writer, refused = table.ask("W", "x")
    later, behind = table.ask("R2", "+x")

    assert refused is None
    assert behind is None
    assert table.drop(reader) == [writer]
    assert table.drop(writer) == [later]


def test_a_pool_has_as_many_places_as_it_says_in_ticket_order(table: Table) -> None:
    first, _ = table.ask("A", "slot:gpu/2")
    table.ask("B", "slot:gpu/2 x")
    third, refused = table.ask("C", "slot:gpu/2")
    fourth, _ = table.ask("D", "slot:gpu/2")

    assert refused is None
    assert table.obstacles(third) == ["A", "B"]
    assert table.ask("A", "slot:gpu/2")[1] is None  # somebody was first
    assert table.drop(first) == [third]
    assert table.obstacles(fourth) == ["B", "C"]


def test_hand_over_goes_in_ticket_order_and_to_all_that_go_together(table: Table) -> None:
    held, _ = table.ask("A", "x y")
    first, _ = table.ask("B", "+x")
    second, _ = table.ask("C", "y")
    third, _ = table.ask("D", "x")
    fourth, _ = table.ask("E", "+x")

    assert table.drop(held) == [first, second]
    assert table.drop(first) == [third]
    assert table.drop(third) == [fourth]


def test_one_that_leaves_the_queue_frees_those_behind_it(table: Table) -> None:
    table.ask("A", "+x")
    impatient, _ = table.ask("B", "x")
    reader, _ = table.ask("C", "+x")

    assert table.drop(impatient) == [reader]


def test_unrelated_requests_pass_a_queue(table: Table) -> None:
    table.ask("A", "x")
    table.ask("B", "x")

    assert table.ask("C", "z")[1] is not None


def test_fences_rise_and_requests_tell_their_history(table: Table) -> None:
    _, first = table.ask("A", "x")
    waiting, _ = table.ask("B", "x y")
    _, second = table.ask("C", "z")
    table.drop(1)

    (found,) = lock_table.requests(table.tx, "ticket = ?", waiting)

    assert first is not None
    assert second is not None
    assert first < second < found.fence
    assert (found.granted, found.asked, found.since) == (True, 1.0, 3.0)
    assert found.owner == owner("B")
    assert set(found.claims) == set(claims("x y"))


def test_tickets_are_never_used_twice(table: Table) -> None:
    first, _ = table.ask("A", "x")
    table.drop(first)

    assert table.ask("A", "x")[0] > first


# -- rings ------------------------------------------------------------------------------------------------------


def test_two_that_hold_and_want_what_the_other_has_are_a_ring(table: Table) -> None:
    table.ask("A", "a")
    table.ask("B", "b")
    waiting, _ = table.ask("A", "b")
    assert lock_table.closes_a_ring(table.tx, waiting) is None

    closing, _ = table.ask("B", "a")

    assert lock_table.closes_a_ring(table.tx, closing) == "A"


def test_a_long_ring_is_told_by_the_neighbour_that_leads_into_it(table: Table) -> None:
    for who in "ABCD":
        table.ask(who, who.lower())
    table.ask("B", "c")
    table.ask("C", "d")
    table.ask("D", "a")

    closing, _ = table.ask("A", "b")

    assert lock_table.closes_a_ring(table.tx, closing) == "B"


def test_two_readers_who_both_want_to_write_are_a_ring(table: Table) -> None:
    table.ask("A", "+x")
    table.ask("B", "+x")
    table.ask("A", "x")

    second, _ = table.ask("B", "x")

    assert lock_table.closes_a_ring(table.tx, second) == "A"


def test_waiting_for_somebody_who_waits_for_somebody_else_is_no_ring(table: Table) -> None:
    table.ask("A", "a")
    table.ask("B", "b")
    table.ask("B", "a")  # B waits for A
    table.ask("C", "c")

    waiting, _ = table.ask("C", "b")
    shared_end, _ = table.ask("C", "a b")  # reaches A on two ways

    assert lock_table.closes_a_ring(table.tx, waiting) is None
    assert lock_table.closes_a_ring(table.tx, shared_end) is None


# -- against a model that is too simple to be wrong ---------------------------------------------------------------

MEANS = {
    "a/x.py": {"a/x.py"},
    "a/": {"a", "a/x.py", "a/y.txt", "a/b", "a/b/x.py", "a/b/z.md"},
    "a/b/": {"a/b", "a/b/x.py", "a/b/z.md"},
    "a/b/x.py": {"a/b/x.py"},
    "a/*.py": {"a/x.py"},
    "a/*": {"a/x.py", "a/y.txt", "a/b"},
    "**/x.py": {"x.py", "a/x.py", "a/b/x.py"},
    "x.py": {"x.py"},
    "*": {"x.py", "a"},
    "./": {"x.py", "a", "a/x.py", "a/y.txt", "a/b", "a/b/x.py", "a/b/z.md"},
    "port:1": {"port:1"},
    "slot:g/2": set(),
    "slot:g/3": set(),
}
"""Every claim by the files that it means, out of a world with one file for each way in which two of them can meet."""


def places(wanted: list[tuple[str, bool]]) -> int:
    """The size of the pool that a request wants a place in; 0 if it wants none."""
    return min((int(name[-1]) for name, _ in wanted if name.startswith("slot:")), default=0)


class Model:
    def __init__(self) -> None:
        self.queue: list[tuple[int, str, list[tuple[str, bool]]]] = []
        self.granted: set[int] = set()

    @staticmethod
    def collide(mine: list[tuple[str, bool]], theirs: list[tuple[str, bool]]) -> bool:
        return any((x or y) and MEANS[a] & MEANS[b] for a, x in mine for b, y in theirs)

    def settle(self) -> set[int]:
        """Everyone in ticket order who collides with no holder and with nobody before them. Gives the new ones."""
        before = set(self.granted)
        for ticket, who, wanted in self.queue:
            others = [
                (other, theirs)
                for number, other, theirs in self.queue
                if other != who and (number in self.granted or number < ticket)
            ]
            pool = [(other, places(theirs)) for other, theirs in others if places(theirs)]
            is_full = bool(places(wanted) and pool) and len({other for other, _ in pool}) >= min(
                places(wanted), *(size for _, size in pool)
            )
            if ticket not in self.granted and not is_full and not any(self.collide(wanted, o) for _, o in others):
                self.granted.add(ticket)
        return self.granted - before

    def remove(self, gone: list[int]) -> None:
        self.queue = [entry for entry in self.queue if entry[0] not in gone]
        self.granted -= set(gone)


_WANTED = st.lists(st.tuples(st.sampled_from(sorted(MEANS)), st.booleans()), min_size=1, max_size=3)
_ACTION = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from("ABCDE"), _WANTED),
    st.tuples(st.just("release"), st.integers(0, 9), st.none()),
    st.tuples(st.just("die"), st.sampled_from("ABCDE"), st.none()),
)


@settings(max_examples=150)
@given(actions=st.lists(_ACTION, max_size=30))
def test_any_history_of_asking_and_releasing_goes_as_in_the_model(actions: list[tuple[str, object, object]]) -> None:
    model = Model()
    fences: list[int] = []
    with opened() as table:
        for kind, subject, wanted in actions:
            if kind == "ask":
                assert isinstance(wanted, list)
                text = " ".join(name if exclusive else f"+{name}" for name, exclusive in wanted)
                ticket, fence = table.ask(str(subject), text)
                model.queue.append((ticket, str(subject), wanted))
                assert model.settle() == ({ticket} if fence else set())
            else:
                gone = [ticket for position, (ticket, who, _) in enumerate(model.queue) if subject in (position, who)]
                model.remove(gone)
                assert set(table.drop(*gone)) == model.settle()
            rows = lock_table.requests(table.tx)
            assert {row.ticket for row in rows if row.granted} == model.granted
            assert [row.ticket for row in rows] == [ticket for ticket, _, _ in model.queue]
            fences += sorted(row.fence for row in rows if row.granted and row.fence not in fences)
            assert fences == sorted(set(fences))
        _no_overlaps(lock_table.requests(table.tx))
        assert table.drop(*[ticket for ticket, _, _ in model.queue]) == []
        assert table.tx.execute("SELECT count(*) FROM claim").fetchone() == (0,)


def _no_overlaps(rows: list[lock_table.Request]) -> None:
    held = [row for row in rows if row.granted]
    assert not any(
        mine.collides(theirs)
        for position, one in enumerate(held)
        for other in held[:position]
        if one.owner.name != other.owner.name
        for mine in one.claims
        for theirs in other.claims
    )
