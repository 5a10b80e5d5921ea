"""What phases rest on, looked up where they work.

What it does: reads the contents of a folder, and puts together what an attempt is made from, at the moment it starts.
What it does not know: what follows from a change (`models.keeping`), and commits (another `Evidence` looks there).

The digest of a file is the id that git gives to the same bytes, so that a folder and a commit can be compared.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from wavecrew.core.audit import TOOL_FOLDERS
from wavecrew.core.outputs import missing_outputs
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.inputs import AFTER, ATTEMPT, Evidence, attempt_digest, own_inputs, work_digest
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo
from wavecrew.models.phase_state import PhaseState
from wavecrew.models.resources import (
    Claim,
    ClaimIndex,
    Resource,
    ResourceKind,
    literal_prefix,
    meets,
    parse_resource,
)

UNREADABLE: Final = "unreadable"
NO_FILE: Final = "no file"
"""A pipe, a socket or a device: opening it could wait for ever."""
_PIECE: Final = 1 << 20


class FolderEvidence:
    """What can be seen in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def missing(self, outputs: Iterable[str]) -> tuple[str, ...]:
        """Those of some declared outputs that are not there."""
        return missing_outputs(self._folder, outputs)

    def contents(self, resource: Resource, without: Callable[[str], bool]) -> Mapping[str, str]:
        """A digest of each file that belongs to a resource, by path. Folders that tools fill by themselves are passed
        over, and links are not followed below the place that was named."""
        names = (name for name in self._names(resource) if not without(name))
        found = ((name, _content(self._folder / name, follow=name == resource.key)) for name in names)
        return {name: content for name, content in found if content}

    def _names(self, resource: Resource) -> Iterator[str]:
        match resource.kind:
            case ResourceKind.NAME:
                return
            case ResourceKind.GLOB:
                for name in self._below(literal_prefix(resource.key)):
                    if meets(resource, Resource(ResourceKind.FILE, name)):
                        yield name
            case _ if (self._folder / resource.key).is_dir():
                yield from self._below(resource.key)
            case _:
                yield resource.key

    def _below(self, start: str) -> Iterator[str]:
        """Files and links, and folders that cannot be looked into."""
        closed: list[str] = []
        for place, folders, files in os.walk(self._folder / start, onerror=lambda error: closed.append(error.filename)):
            folder = Path(place)
            links = [name for name in folders if (folder / name).is_symlink()]
            folders[:] = [name for name in folders if name not in TOOL_FOLDERS]
            for name in (*files, *links):
                yield str((folder / name).relative_to(self._folder))
        for name in closed:
            if Path(name).is_dir():  # else it was only not there
                yield str(Path(name).relative_to(self._folder))


def _content(path: Path, *, follow: bool) -> str:
    """The id of a file or link; empty when there is none."""
    try:
        found = path.stat() if follow else path.lstat()
        if stat.S_ISLNK(found.st_mode):
            return _blob(os.fsencode(path.readlink()))
        if stat.S_ISDIR(found.st_mode):
            return UNREADABLE
        return _hashed(path, found.st_size) if stat.S_ISREG(found.st_mode) else NO_FILE
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError:
        return UNREADABLE


def _hashed(path: Path, size: int) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class InputReader:
    """Says what phases rest on now.

    `claims` gives the locks of a phase and `key` that of a text, both as the file system sees them; `agent` who does a
    phase, and `settings` what of the configuration changes its work.
    """

    def __init__(
        self,
        evidence: Evidence,
        *,
        claims: Callable[[PhaseInfo], Iterable[Claim]],
        key: Callable[[str], Resource],
        agent: Callable[[PhaseInfo], str],
        settings: Callable[[PhaseInfo], Mapping[str, object]],
    ) -> None:
        self.evidence = evidence
        self._claims = claims
        self._key = key
        self._agent = agent
        self._settings = settings
        self._written: tuple[DependencyGraph, ClaimIndex[str]] | None = None
        self._works: dict[str, tuple[PhaseState, str]] = {}

    def inputs(self, state: ExecutionState, phase: PhaseInfo) -> Mapping[str, str]:
        """What the next attempt of a phase is made from."""
        after = {AFTER + other: self._work(state, other) for other in state.graph.dependencies(phase.id)}
        number = state.phase_states[phase.id].attempts + 1
        return {**self.own(state.graph, phase), **after, ATTEMPT: attempt_digest(state.run, phase.id, number)}

    def own(self, graph: DependencyGraph, phase: PhaseInfo) -> Mapping[str, str]:
        """What a phase rests on, but for the work of others."""
        files: dict[str, Mapping[str, str]] = {}
        for text in phase.reads:
            if parse_resource(text).kind is not ResourceKind.NAME:
                without = partial(_is_claimed, self._writes(graph))
                files[text] = self.evidence.contents(self._key(text), without)
        return own_inputs(phase, self._agent(phase), self._settings(phase), files)

    def missing(self, outputs: Iterable[str]) -> tuple[str, ...]:
        """Those of some declared outputs that are not there."""
        return self.evidence.missing(outputs)

    def _work(self, state: ExecutionState, name: str) -> str:
        found = state.phase_states[name]
        known = self._works.get(name)
        if known is None or known[0] is not found:
            known = self._works[name] = (found, work_digest(state, name))
        return known[1]

    def _writes(self, graph: DependencyGraph) -> ClaimIndex[str]:
        """What the phases of a plan may write; looked up once for each plan, and only if somebody reads files."""
        if self._written is None or self._written[0] is not graph:
            index: ClaimIndex[str] = ClaimIndex()
            for phase in graph.nodes.values():
                index.add(phase.id, (claim for claim in self._claims(phase) if claim.exclusive))
            self._written = graph, index
        return self._written[1]


def _is_claimed(written: ClaimIndex[str], name: str) -> bool:
    return next(written.in_the_way("", (Claim(Resource(ResourceKind.FILE, name)),)), None) is not None
