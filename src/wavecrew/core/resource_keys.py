"""From the text of a claim to the key that conflicts are judged by, as the file system of the workspace sees it.

What it does: resolves links (also for files that do not exist yet), `..`, Unicode forms and, where the file system
takes two spellings for one name, letter case; refuses what lies outside the workspace.
What it does not know: who claims what. Whether two keys meet is pure and told in `models.resources`.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from wavecrew.errors import InvalidValueError
from wavecrew.models.resources import Claim, Resource, ResourceKind, literal_prefix, parse_resource


class ResourceKeys:
    """Makes keys for one workspace. `fold_case` is found out once, by looking, unless it is given."""

    def __init__(self, workspace: Path, *, fold_case: bool | None = None) -> None:
        self.workspace = Path(os.path.realpath(workspace))
        self._fold_case = _folds_case(self.workspace) if fold_case is None else fold_case

    def key(self, text: str) -> Resource:
        """The key of a resource that is written relative to the workspace, or as an absolute path inside it.

        Raises InvalidValueError for a path that leaves the workspace, by itself or through a link, and for a ring
        of links.
        """
        if text.startswith("/"):
            text = self._relative(text)
        resource = parse_resource(text)
        if resource.kind is ResourceKind.NAME:
            return resource
        if resource.kind is ResourceKind.GLOB:
            prefix = literal_prefix(text)
            pattern = parse_resource(text[len(prefix) :].lstrip("/")).key
            real = self._real(prefix)
            return Resource(ResourceKind.GLOB, self.spelling(f"{real}/{pattern}" if real else pattern))
        # the text is resolved, not the tidied key: `link/../x` is not `x` when `link` leads elsewhere
        real = self._real(text)
        is_tree = resource.kind is ResourceKind.TREE or (self.workspace / real).is_dir()
        return Resource(ResourceKind.TREE if is_tree else ResourceKind.FILE, self.spelling(real))

    def claim(self, claim: Claim) -> Claim:
        """The same wish on the key as the file system sees it."""
        return Claim(self.key(str(claim.resource)), claim.exclusive)

    def _relative(self, text: str) -> str:
        inside = f"{self.workspace}/"
        if text.startswith(inside):  # as it is written: `..` means something only after links are followed
            return text[len(inside) :].lstrip("/") or "."
        slash = "/" if text.endswith("/") else ""
        resolved = Path(os.path.realpath(text))
        if resolved.is_relative_to(self.workspace):
            return f"{resolved.relative_to(self.workspace)}{slash}"
        raise InvalidValueError(f"{text!r} is outside the workspace {self.workspace}")

    def _real(self, relative: str) -> str:
        """The path with every link followed, relative to the workspace; the part that is not there yet is kept."""
        full = os.path.realpath(self.workspace / relative)
        try:
            is_ring = Path(full).is_symlink()  # realpath gives up without a word on a ring of links
        except OSError as error:
            raise InvalidValueError(f"{relative!r} cannot be a path here: {error.strerror}") from None
        if is_ring:
            raise InvalidValueError(f"{relative!r} is a ring of links")
        if full != str(self.workspace) and not full.startswith(f"{self.workspace}/"):
            raise InvalidValueError(
                f"{relative!r} leads out of the workspace through a link", fix="claim the path it leads to, or move it"
            )
        path = os.path.relpath(full, self.workspace)
        return "" if path == "." else path

    def spelling(self, key: str) -> str:
        key = unicodedata.normalize("NFC", key)
        return key.casefold() if self._fold_case else key


def is_temporary(name: str) -> bool:
    """Whether a file name is one that we give to a file for the instant before it is in its place."""
    return name.startswith(".") and name.endswith(".wavecrew")


def _folds_case(folder: Path) -> bool:
    """Whether the folder's own name in the other case leads to the same folder."""
    for candidate in (folder / ".wavecrew", folder):
        other = candidate.with_name(candidate.name.swapcase())
        if candidate.exists() and other.name != candidate.name:
            try:
                return other.samefile(candidate)
            except OSError:
                return False
    return False
