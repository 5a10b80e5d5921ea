"""Stretches of a document that may be phases, and what tells that they are.

What it does: holds a part with its title, and tells whether parts speak about each other (`Depends on: 2` where there
is a part 2), which lists of steps and references of an API never do.
What it does not know: where parts come from (`outline` and `unnumbered` find them), and what else they say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wavecrew.plans.dependencies import Dependencies, parse_dependencies
from wavecrew.plans.documents import Document
from wavecrew.plans.fields import Contents, entries_of, read_contents
from wavecrew.plans.labels import Kind
from wavecrew.plans.markdown import Heading
from wavecrew.plans.notations import Title, loose_id, slug, tells_dependency


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a document that tells about one unit of work: its title and its blocks."""

    title: Title
    heading: Heading
    start: int
    end: int
    last_line: int


def contents_of(document: Document, part: Part) -> Contents:
    """The fields, tables and fences of a part."""
    return read_contents(document.blocks, part.start, part.end)


def know_each_other(document: Document, parts: Sequence[Part], *, by_name: bool = False) -> bool:
    """Whether some part says that it waits for another one, or (unless they have mere names) for none."""
    ids = {loose_id(part.title.id) for part in parts}
    names = {slug(part.title.name) for part in parts}
    return any(
        _speaks(meaning, ids, names, sure=by_name) for part in parts[:400] for meaning in _meanings(document, part)
    )


def _meanings(document: Document, part: Part) -> Iterator[Dependencies]:
    for note in part.title.notes:
        if tells_dependency(note):
            yield parse_dependencies(note)
    for field in contents_of(document, part).fields:
        if field.kind is Kind.DEPENDS and not field.inner:
            yield from (parse_dependencies(entry.text) for entry in entries_of(field))


def _speaks(meaning: Dependencies, ids: set[str], names: set[str], *, sure: bool) -> bool:
    if meaning.all_previous or meaning.previous or (meaning.none and not sure):
        return True
    for reference in (*meaning.references, *meaning.soft):
        if reference.named and any(slug(piece) in names for piece in (reference.text, *reference.text.split(","))):
            return True
        if not reference.named and loose_id(reference.text) in ids:
            return True
    return False
