"""Plans written as one JSON, YAML or TOML file.

What it does: finds the list of phases in `{"name": ..., "phases": [...]}` and in the task lists of other tools, and
turns each entry into a draft.
What it does not know: the keys of a phase (`records` does), and how references are looked up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wavecrew.errors import Place, PlanError, Severity
from wavecrew.models.parallel_execution import Source
from wavecrew.plans.data import DataError, Node, Tree, read_data
from wavecrew.plans.documents import DATA, shown_path
from wavecrew.plans.draft import Draft, Findings, shown
from wavecrew.plans.records import fill_from, id_in

MAX_PHASES: Final = 100_000
_LISTS: Final = ("phases", "tasks", "steps", "stages", "milestones")
_NO_SETTINGS: Final = frozenset((*_LISTS, "name", "title", "description", "$schema", "version", "meta", "metadata"))
_AROUND: Final = ("project", "plan", "roadmap", "workflow", "pipeline", "prd", "spec", "data")
_FIX: Final = 'write {"name": "...", "phases": [{"id": "1", "name": "...", "dependencies": []}]}'


_WORD: Final = re.compile(r"[^\W\d_][\w.-]{0,60}")


@dataclass(slots=True)
class DataPlan:
    """What a data file holds: the phases, the name, and keys for the whole run."""

    drafts: list[Draft] = field(default_factory=list)
    name: str = ""
    settings: dict[str, object] = field(default_factory=dict)


def read_data_plan(path: Path, text: str, findings: Findings) -> DataPlan:
    """Read a data plan. Raises PlanError when the text is no data or holds no list of phases."""
    place = Place(shown_path(path))
    try:
        tree = read_data(text, DATA[path.suffix.casefold()])
    except DataError as error:
        place = Place(place.file, error.line, error.column)
        raise PlanError(
            f"cannot be read as {path.suffix[1:].upper()}: {shown(error.reason, 160)}",
            place=place,
            fix="correct the text at this place",
        ) from None
    _report_repeated(tree, place.file, findings)
    root = _innermost(tree.root)
    entries = _entries(root, place, findings)
    plan = DataPlan()
    fields, outer = root.fields or {}, tree.root.fields or {}
    name = fields.get("name") or fields.get("title")
    plan.name = name.text.strip() if name is not None and name.text else ""
    if any(key in fields for key in _LISTS):
        plan.settings = {key: _plain(node) for key, node in fields.items() if key not in _NO_SETTINGS}
    if not plan.name:
        plan.name = next((node.text.strip() for key in _AROUND if (node := outer.get(key)) and node.text), "")
    entries = _named_entries(entries)
    for number, (key, node) in enumerate(entries, start=1):
        if number > MAX_PHASES:
            findings.add(
                "WC112",
                Severity.ERROR,
                f"more than {MAX_PHASES:,} phases; the rest was left out",
                place,
                "cut the plan into several",
            )
            break
        draft = _draft(key, node, number, place.file, findings)
        if draft is not None:
            plan.drafts.append(draft)
    return plan


def _report_repeated(tree: Tree, file: str, findings: Findings) -> None:
    for key, line, column in tree.repeated[:50]:
        message = f"the key {shown(key)!r} stands twice; the last one counts"
        findings.add("WC114", Severity.WARNING, message, Place(file, line, column), "take one of them out")


def _entries(root: Node, place: Place, findings: Findings) -> list[tuple[str, Node]]:
    """The phases as (key, node); the key is empty in a list."""
    if root.items is not None and any(entry.fields is not None for entry in root.items):
        return [("", entry) for entry in root.items]
    fields = root.fields or {}
    for key in _LISTS:
        if key in fields:
            return _listed(fields[key], place)
    tags = {key: entries for key, node in fields.items() if (entries := _tagged(node))}
    if tags:
        chosen = "master" if "master" in tags else next(iter(tags))
        if len(tags) > 1:
            others = ", ".join(shown(key, 30) for key in tags if key != chosen)
            findings.add(
                "WC122",
                Severity.INFO,
                f"only the tasks below {chosen!r} are read, not those below {others[:200]}",
                place,
            )
        return [("", entry) for entry in tags[chosen]]
    found = ", ".join(f"`{shown(key, 30)}`" for key in list(fields)[:6])
    told = f"; its keys are {found}" if found else ""
    raise PlanError(f"there is no list of `phases` here{told}", place=place, fix=_FIX)


def _innermost(root: Node) -> Node:
    """`{"project": {"phases": [...]}}`: the mapping that holds the list of phases."""
    fields = root.fields or {}
    if any(key in fields for key in _LISTS):
        return root
    inside = [node for key in _AROUND if (node := fields.get(key)) is not None]
    return next((node for node in inside if any(key in (node.fields or {}) for key in _LISTS)), root)


def _named_entries(entries: list[tuple[str, Node]]) -> list[tuple[str, Node]]:
    """A list in which nobody has an id but everybody a name of one word (`name: build`): the names are the ids."""
    names = [node.fields["name"].text if node.fields and "name" in node.fields else None for _, node in entries]
    words = {name for name in names if name and _WORD.fullmatch(name)}
    if len(words) < len(entries) or any(key or id_in(node.fields or {}) for key, node in entries):
        return entries
    return [(name or "", node) for name, (_, node) in zip(names, entries, strict=True)]


def _tagged(node: Node) -> list[Node]:
    """The tasks of `{"master": {"tasks": [...]}}` or `{"master": [...]}`."""
    inner = node.fields.get("tasks") if node.fields is not None else node
    entries = inner.items if inner is not None else None
    return entries if entries and all(entry.fields is not None and "id" in entry.fields for entry in entries) else []


def _listed(node: Node, place: Place) -> list[tuple[str, Node]]:
    if node.items is not None:
        return [("", entry) for entry in node.items]
    if node.fields is not None:
        return list(node.fields.items())
    raise PlanError("the phases must be a list", place=Place(place.file, node.line, node.column), fix=_FIX)


def _draft(key: str, node: Node, number: int, file: str, findings: Findings) -> Draft | None:
    place = Place(file, node.line, node.column)
    fields: Mapping[str, Node] | None = node.fields
    if fields is None:
        findings.add(
            "WC116", Severity.ERROR, f"entry {number} of the phases must be a mapping with `id` and `name`", place, _FIX
        )
        return None
    written = id_in(fields) or key or _number_in(fields)
    draft = Draft(written or str(number), place=place)
    if not written:
        given = "id" in fields and (fields["id"].text is None or fields["id"].quoted)
        findings.add(
            "WC127",
            Severity.ERROR if given else Severity.WARNING,
            f"entry {number} of the phases has no id; {number} is taken",
            place,
            'write `"id": "..."`',
            (draft.id,),
        )
    draft.source = Source(file, max(node.line, 1), node.line)
    fill_from(draft, fields, findings)
    draft.unit = ""
    if not draft.name:
        texts = (fields[key].text for key in ("task", "label", "summary", "goal", "objective") if key in fields)
        draft.name = next((text.strip() for text in texts if text and text.strip() != draft.id), draft.id)
    details = fields.get("details")
    if details is not None and details.text:
        draft.description = f"{draft.description}\n\n{details.text.strip()}".strip()
    return draft


def _number_in(fields: Mapping[str, Node]) -> str:
    texts = (fields[key].text for key in ("key", "slug", "number", "no", "phase_number") if key in fields)
    return next((text.strip() for text in texts if text and len(text) <= 80), "")


def _plain(node: Node) -> object:
    if node.items is not None:
        return [_plain(entry) for entry in node.items]
    if node.fields is not None:
        return {key: _plain(entry) for key, entry in node.fields.items()}
    return node.value
