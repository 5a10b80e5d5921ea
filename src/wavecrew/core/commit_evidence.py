"""What can be seen of files in commits: the result of a run, and what its user stands at.

What it does: looks for declared outputs in one commit, and for the contents that phases read in another.
What it does not know: which commits those are (it is told each time), and what follows from a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from wavecrew.core.commits import Contents, matches
from wavecrew.core.git import Git
from wavecrew.models.resources import Resource, ResourceKind, literal_prefix


class CommitEvidence:
    """Evidence from git alone. `outputs_at` and `contents_at` give the commits to look at; `prefix` is the workspace as
    seen from the top of the repository. Calls block, and raise GitError."""

    def __init__(self, git: Git, prefix: str, *, outputs_at: Callable[[], str], contents_at: Callable[[], str]) -> None:
        self._git = git
        self._prefix = prefix
        self._outputs_at = outputs_at
        self._contents_at = contents_at
        self._known: tuple[str, Contents] | None = None

    def missing(self, outputs: Iterable[str]) -> tuple[str, ...]:
        """Those of some declared outputs that are not in the commit."""
        commit = self._outputs_at()
        if self._known is None or self._known[0] != commit:
            self._known = commit, Contents(self._git, commit, self._prefix)
        return self._known[1].missing(outputs)

    def contents(self, resource: Resource, without: Callable[[str], bool]) -> Mapping[str, str]:
        """The id of each file that belongs to a resource, by path. A submodule counts as what it is pinned to."""
        if resource.kind is ResourceKind.NAME:
            return {}
        start = literal_prefix(resource.key) if resource.kind is ResourceKind.GLOB else resource.key
        top = f"{self._prefix}/" if self._prefix else ""
        place = (top + start).rstrip("/")
        listed = self._git.text(
            "ls-tree", "-r", "-z", "--full-tree", self._contents_at(), *(("--", place) if place else ())
        )
        found: dict[str, str] = {}
        for line in filter(None, listed.split("\0")):
            about, _, path = line.partition("\t")
            name = path.removeprefix(top)
            if (resource.kind is not ResourceKind.GLOB or matches(resource, name)) and not without(name):
                found[name] = about.split()[2]
        return found
