"""Runs of other workspaces, to be looked at: where they lie, how they are found, and how they go again.

What it does: keeps each in a folder with a store of its own, apart from the runs of this workspace: every view reads
one like any other, and nothing can go on with it, change it, or take it for the latest run of a plan.
What it does not know: archives (`unpacking` takes them apart).
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wavecrew.core.store import STATE_FOLDER, Store
from wavecrew.errors import NotFoundError, StoreError, UsageError

FOLDER: Final = "imports"
MARK: Final = "imported.json"
"""A file in the state folder of an imported run, which makes it one."""
NEW: Final = ".new-"


@dataclass(frozen=True, slots=True)
class Import:
    """An imported run: `at` is when (seconds since 1970), `source` the name of the file that it came in."""

    run: str
    workspace: Path
    at: float
    source: str

    @property
    def words(self) -> str:
        """Where it comes from, for people; the name of the file is foreign text."""
        return f"imported from {self.source}; it can be looked at, and nothing can go on with it"


def imports_in(state_folder: Path) -> list[Import]:
    """The imported runs beside a state folder, the latest import first."""
    found = []
    with contextlib.suppress(OSError):
        for folder in (state_folder / FOLDER).iterdir():
            one = None if folder.name.startswith(".") else import_of(folder / STATE_FOLDER)
            found += [one] if one is not None else []
    return sorted(found, key=lambda one: (-one.at, one.run))


def import_of(state_folder: Path) -> Import | None:
    """The imported run that a state folder is of; None for that of a workspace."""
    try:
        told = json.loads((state_folder / MARK).read_bytes())
        return Import(state_folder.parent.name, state_folder.parent, float(told["at"]), str(told["source"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        return Import(state_folder.parent.name, state_folder.parent, 0.0, "an unknown file")


def import_named(state_folder: Path, reference: str) -> Import | None:
    """The imported run that a reference names: `latest`, or the beginning of its id. None for none and for several."""
    found = imports_in(state_folder)
    if reference == "latest":
        return found[0] if found else None
    hits = [one for one in found if one.run == reference] or [one for one in found if one.run.startswith(reference)]
    return hits[0] if reference and len(hits) == 1 else None


def forget(store: Store, reference: str) -> Import:
    """Remove an imported run. Raises UsageError for a run of this workspace, NotFoundError for one that is not here."""
    one = import_named(store.folder, reference)
    if one is None:
        if any(row.id.startswith(reference) for row in store.runs()):
            raise UsageError(f"run {reference} is one of this workspace; only imported runs are forgotten")
        raise NotFoundError(f"no imported run begins with {reference!r}", fix="see: wavecrew runs list")
    gone = one.workspace.with_name(f"{NEW}gone-{one.run}")
    try:
        one.workspace.rename(gone)  # at once; what is left of it, should we die now, is cleared up by the next import
        shutil.rmtree(gone)
    except OSError as error:
        raise StoreError(f"{one.workspace} cannot be removed: {error.strerror}") from None
    return one
