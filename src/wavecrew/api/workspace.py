"""Where work happens: the workspace folder, its configuration and its state.

What it does: finds the workspace for a folder that somebody stands in, and remembers which commands of which plan
its user has agreed to.
What it does not know: plans and runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wavecrew.api.places import find_workspace
from wavecrew.config.sources import LoadedConfig, load_config
from wavecrew.core.store import Store
from wavecrew.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder that phases work in, with the configuration in force there."""

    folder: Path
    loaded: LoadedConfig

    def open_store(self, *, create: bool = True) -> Store:
        """Open its state. Raises StoreError, and NotFoundError when there is none and none shall be made."""
        return Store.open(self.folder, create=create)


def open_workspace(
    start: Path,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    config_file: Path | None = None,
    use_files: bool = True,
    document: Mapping[str, object] | None = None,
) -> Workspace:
    """The workspace for a folder: the nearest one above with a state folder, a wavecrew.toml or a git repository,
    else the folder itself. Raises NotFoundError and ConfigError."""
    if not start.is_dir():
        raise NotFoundError(f"there is no folder {start}")
    loaded = load_config(
        start,
        flags=flags or {},
        environ=os.environ if environ is None else environ,
        config_file=config_file,
        use_files=use_files,
        document=document or {},
    )
    project = any(file.read and file.kind == "project" for file in loaded.files)
    return Workspace(find_workspace(start, loaded.root if project else None), loaded)


class Consent:
    """What a user has agreed to run, by workspace and content. Kept in the user's own folder, never in a repository,
    so that a repository cannot bring its own consent along."""

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            from platformdirs import user_state_path

            folder = user_state_path("wavecrew", appauthor=False)
        self._file = folder / "consent.json"

    def given(self, workspace: Path, digest: str) -> bool:
        """Whether exactly this content was agreed to in this workspace."""
        return digest in self._read().get(str(workspace), [])

    def give(self, workspace: Path, digest: str) -> None:
        """Remember an agreement. If it cannot be kept, it will be asked for again; that is no reason to stop."""
        known = self._read()
        known.setdefault(str(workspace), []).append(digest)
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = self._file.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
            temporary.replace(self._file)
        except OSError:
            return

    def _read(self) -> dict[str, list[str]]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        entries = found.items() if isinstance(found, dict) else ()
        return {folder: digests for folder, digests in entries if isinstance(digests, list)}
