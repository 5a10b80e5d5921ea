"""Phases written as data: the front matter of a document, and the entries of a JSON, YAML or TOML plan.

What it does: reads the keys of a phase (`id`, `needs`, `writes`, `estimate`, `checks`, ...) and what they are called in
other formats into a draft, and says what is misspelt or has the wrong shape.
What it does not know: where the data came from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final

from wavecrew.errors import Place, Severity
from wavecrew.plans.data import Node
from wavecrew.plans.dependencies import Dependencies, parse_dependencies
from wavecrew.plans.draft import DependencyField, Draft, Findings, Statement, shown
from wavecrew.plans.durations import parse_duration
from wavecrew.plans.notations import parse_title
from wavecrew.plans.paths import Use, clean_path, read_paths
from wavecrew.plans.sections import report_estimate
from wavecrew.plans.wordlists import words

_ALIASES: Final = {
    "dependencies": "needs depends_on dependencies depends-on dependson depends dependency deps requires"
    " prerequisites prerequisite dependence depend require waits_for wait_for needed upstream depends_upon"
    " blocked_by blocked-by blockedby after predecessors prereqs dependsOn blockedBy",
    "outputs": "writes outputs output files_modified files files_to_create files_to_modify creates modifies"
    " deliverables artifacts"
    " output_files files_created expected_outputs outputFiles filesModified filesToCreate produces paths targets file"
    " touches",
    "reads": "reads inputs read_files files_read context_files",
    "locks": "locks",
    "estimate": "estimate estimated_time estimated_hours effort duration time_estimate estimated_effort"
    " estimated_duration hours"
    " estimation estimatedTime estimatedHours estimate_hours effort_hours est eta time hours_estimate estimated"
    " estimatedDuration duration_hours",
    "checks": "checks verify_commands",
    "command": "command",
    "agent": "agent",
    "fallback": "fallback fallback_agent",
    "model": "model",
    "timeout": "timeout timeout_seconds",
    "retries": "retries",
    "name": "name title",
    "id": "id",
    "description": "description prompt",
}
#: Every key of a phase with what it is called here.
KEYS: Final = {alias: key for key, aliases in _ALIASES.items() for alias in aliases.split()}
_OWN: Final = (
    "id", "name", "title", "needs", "depends_on", "dependencies", "writes", "outputs", "reads", "locks", "checks",
    "command", "agent", "fallback", "model",
    "timeout", "retries", "estimate", "description",
)  # fmt: skip
#: Keys of other tools that are passed over without a word.
FOREIGN: Final = words(
    "type status priority phase plan wave tags tag labels created updated date author owner assignee autonomous"
    " must_haves parallel"
    " conflicts_with issue github version branch epic story points size summary objective goal subtasks details"
    " test_strategy category"
    " requirements tools color context checked scope read_first note notes lock check names idea"
)

#: Words of other tools that leave the choice of a model to somebody else.
_ANY_MODEL: Final = frozenset({"inherit", "default", "auto", "any", "none"})

#: Keys by which a document shows that it is a phase.
MARKS: Final = frozenset(KEYS) - {
    "name",
    "title",
    "description",
    "agent",
    "fallback",
    "model",
    "prompt",
    "files",
    "output",
    "after",
    "requires",
    "hours",
    "time_estimate",
    "inputs",
    "est",
    "eta",
    "time",
    "estimated",
    "file",
    "paths",
    "targets",
    "touches",
    "produces",
    "upstream",
    "require",
    "depend",
    "needed",
}


def key_of(written: str) -> str | None:
    """What a key means here (`Depends-On` is `dependencies`), or None."""
    return KEYS.get(written) or KEYS.get(written.strip().casefold().replace("-", "_").replace(" ", "_"))


def is_mark(written: str) -> bool:
    """Whether a key tells that its document is a phase."""
    return written in MARKS or written.strip().casefold().replace("-", "_").replace(" ", "_") in MARKS


def declares_outputs(fields: Mapping[str, Node]) -> bool:
    """Whether the outputs are stated here, so that lists in the text are remarks on them."""
    return any(key_of(key) == "outputs" for key in fields)


def fill_from(draft: Draft, fields: Mapping[str, Node], findings: Findings) -> None:
    """Enter the keys of a phase. `id` is not read here: it decides what the draft is, see `id_in`."""
    reader = _Reader(draft, findings)
    for key, node in fields.items():
        known = key_of(key)
        if known is None:
            reader.unknown(key, node)
        elif known != "id":
            _READERS[known](reader, key, node)


def id_in(fields: Mapping[str, Node]) -> str:
    """The id that the data give: `id`, else the number of a phase or task."""
    for key in ("id", "phase_id", "task_id"):
        node = fields.get(key)
        if node is not None and node.text:
            return node.text.strip()
    for key in ("phase", "task", "step", "milestone"):
        node = fields.get(key)
        text = node.text.strip() if node is not None and node.text else ""
        if text and len(text) <= 12 and any(character.isdigit() for character in text):
            return text
    return ""


_NOTED: Final = re.compile(r"[`(,:\[\]]|\s[-\u2013\u2014]+\s")
"""Signs that an entry is more than a path: code marks, a note, a verb, a list."""


class _Reader:
    """Reads the value of one key after the other into a draft."""

    def __init__(self, draft: Draft, findings: Findings) -> None:
        self.draft, self.findings = draft, findings

    def place(self, node: Node) -> Place:
        return Place(self.draft.place.file, node.line or self.draft.place.line, node.column)

    def unknown(self, key: str, node: Node) -> None:
        if key.casefold() in FOREIGN or len(key) > 40:
            return
        close = get_close_matches(key.casefold().replace("-", "_"), _OWN, n=1, cutoff=0.8)
        if close:
            message = f"the key {shown(key)!r} is not known and was passed over"
            self.findings.add(
                "WC115", Severity.WARNING, message, self.place(node), f"did you mean `{close[0]}`?", (self.draft.id,)
            )

    def wrong(self, key: str, node: Node, wanted: str, fix: str) -> None:
        given = f", and not {shown(node.text, 30)!r}" if node.text else ""
        message = f"`{shown(key)}` must be {wanted}{given}"
        self.findings.add("WC116", Severity.ERROR, message, self.place(node), fix, (self.draft.id,))

    # -- the keys

    def name(self, key: str, node: Node) -> None:
        text = (node.text or "").strip()
        if node.text is None:
            self.wrong(key, node, "a text", f'write `{key}: "Set up the database"`')
        elif text and (key == "name" or not self.draft.name):
            title = parse_title(text) if key == "title" else None
            self.draft.name = (title.name if title is not None and title.unit else "") or text

    def description(self, key: str, node: Node) -> None:
        if node.text is None:
            self.wrong(key, node, "a text", "write the task in words")
        elif not self.draft.description:
            self.draft.description = node.text.strip()

    def dependencies(self, key: str, node: Node) -> None:
        entries = node.items if node.items is not None else [node]
        statements = []
        for entry in entries:
            text = entry.text
            if text is None and entry.fields:
                text = next(
                    (found.text for name in ("id", "phase", "task", "name") if (found := entry.fields.get(name))), None
                )
            if text is None:
                self.wrong(key, entry, "a list of phase ids", f"write `{key}: [1, 2]`")
            elif text.strip():
                meaning = parse_dependencies(text, identifiers=True)
                statements.append(Statement(meaning, text.strip(), self.place(entry)))
        if not statements:
            statements = [Statement(Dependencies(none=True), "", self.place(node))]
        self.draft.dependencies.append(DependencyField(statements, container=-3, binding=True))

    def outputs(self, key: str, node: Node) -> None:
        for text in self._texts(key, node):
            if key in ("writes", "outputs") and node.items is not None and not _NOTED.search(text):
                self.draft.add_paths(self.draft.outputs, [clean_path(text) or text])  # spaces and all
                continue
            mention = read_paths(text)
            row = {Use.READS: self.draft.reads, Use.REMOVES: self.draft.locks}.get(
                mention.use or Use.WRITES, self.draft.outputs
            )
            if mention.paths:
                self.draft.add_paths(row, mention.paths)
            elif key in ("writes", "outputs") or not any(character.isspace() for character in text):
                self.draft.add_paths(self.draft.outputs, [clean_path(text) or text])

    def reads(self, key: str, node: Node) -> None:
        for text in self._texts(key, node):
            self.draft.add_paths(self.draft.reads, read_paths(text).paths or ((text,) if key == "reads" else ()))

    def locks(self, key: str, node: Node) -> None:
        self.draft.add_paths(self.draft.locks, self._texts(key, node))

    def _texts(self, key: str, node: Node) -> list[str]:
        entries = node.items if node.items is not None else [node]
        texts: list[str] = []
        for entry in entries:
            text = entry.text
            if text is None and entry.fields:
                text = next((found.text for name in ("path", "file") if (found := entry.fields.get(name))), None)
            if text is None:
                self.wrong(key, entry, "a list of texts", f"write `{key}: [src/a.py, src/b.py]`")
            elif text.strip():
                texts.extend(part.strip() for part in text.split("\n") if part.strip())
        return texts

    def estimate(self, key: str, node: Node) -> None:
        text = (node.text or "").strip()
        if node.fields is not None:
            text = next(
                (found.text or "" for name in ("hours", "duration", "time") if (found := node.fields.get(name))), ""
            )
        hours = parse_duration(text, bare="hour")
        if hours is not None:
            self.draft.estimate = hours
        elif text and len(text) > 2:
            report_estimate(self.findings, text, self.place(node), self.draft.id)
        self.draft.estimate_stated = True

    def checks(self, key: str, node: Node) -> None:
        entries = node.items if node.items is not None else [node]
        for entry in entries:
            words = [word.text for word in entry.items] if entry.items is not None else None
            if entry.text and entry.text.strip():
                self.draft.checks.append(("sh", "-euc", entry.text.strip()))
            elif words and all(words):
                self.draft.checks.append(tuple(word for word in words if word))
            elif entry.text != "" or entry.quoted:
                self.wrong(key, entry, "a list of commands", f'write `{key}: ["make test"]`')

    def command(self, key: str, node: Node) -> None:
        words = [word.text for word in node.items] if node.items is not None else []
        if words and all(words):
            self.draft.command = tuple(word for word in words if word)
        elif node.text != "" or node.quoted:
            text = shown(node.text or "make all", 30)
            fix = f'write `{key}: ["sh", "-c", "{text}"]`' if node.text else f'write `{key}: ["make", "all"]`'
            self.wrong(key, node, "a list: the program and each of its arguments", fix)

    def agent(self, key: str, node: Node) -> None:
        if node.text is None:
            self.wrong(key, node, "the name of an agent", f"write `{key}: claude`")
        else:
            self.draft.agent = node.text.strip()

    def fallback(self, key: str, node: Node) -> None:
        if node.text is None:
            self.wrong(key, node, "the name of an agent", f"write `{key}: codex`")
        else:
            self.draft.fallback = node.text.strip()

    def model(self, key: str, node: Node) -> None:
        text = (node.text or "").strip()
        if not text or not text.isprintable() or text.startswith("-"):
            self.wrong(key, node, "the name of a model", f"write `{key}: ` and the name as the agent calls it")
        elif text.casefold() not in _ANY_MODEL:
            self.draft.model = text

    def timeout(self, key: str, node: Node) -> None:
        bare = "second" if key == "timeout_seconds" else "minute"
        hours = parse_duration(node.text, bare="second" if key == "timeout_seconds" else "") if node.text else None
        if hours is None or hours <= 0:
            self.wrong(
                key, node, "a duration", "write `timeout: 30m`" if bare == "minute" else "write `timeout_seconds: 1800`"
            )
        else:
            self.draft.timeout = hours * 3600

    def retries(self, key: str, node: Node) -> None:
        text = (node.text or "").strip()
        if text.isascii() and text.isdigit() and len(text) <= 4:
            self.draft.retries = int(text)
        else:
            self.wrong(key, node, "a whole number, 0 or more", "write `retries: 2`")


_READERS: Final[dict[str, Callable[[_Reader, str, Node], None]]] = {
    "name": _Reader.name,
    "description": _Reader.description,
    "dependencies": _Reader.dependencies,
    "outputs": _Reader.outputs,
    "reads": _Reader.reads,
    "locks": _Reader.locks,
    "estimate": _Reader.estimate,
    "checks": _Reader.checks,
    "command": _Reader.command,
    "agent": _Reader.agent,
    "fallback": _Reader.fallback,
    "model": _Reader.model,
    "timeout": _Reader.timeout,
    "retries": _Reader.retries,
}
