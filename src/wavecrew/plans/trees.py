"""Files listed in a fenced block: a path per line, or a drawn tree.

What it does: gives the paths of a block that holds nothing else; the folders of a tree are put in front of what stands
below them, and a folder counts itself only if nothing does.
What it does not know: whether the block stands where files are told (`fields` does), and what is done with the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from wavecrew.plans.markdown import Fence
from wavecrew.plans.paths import clean_path

_INFOS: Final = frozenset({"", "text", "txt", "plain", "plaintext", "tree", "files", "ascii"})
_BRANCH: Final = re.compile(r"[ \t│┃|├└┣┗─━+`\\*-]*")
_REMARK: Final = re.compile(r"[ \t]+(?:#|//|←|<-|--|—|–|\(|\[)|[ \t]{2,}\S")
_MOST: Final = 2_000


def listed_paths(fence: Fence) -> list[tuple[int, str]]:
    """The paths in a block, with the number of their line in it (from 1); empty when a line is no path."""
    if fence.info.strip().casefold() not in _INFOS or len(fence.text) > 100_000:
        return []
    lines: list[tuple[int, int, str]] = []
    for number, line in enumerate(fence.text.split("\n"), start=1):
        branch = _BRANCH.match(line)
        indent = branch.end() if branch else 0
        name = _REMARK.split(line[indent:], maxsplit=1)[0].strip()
        if not name or name in (".", "./", "...", "…"):
            continue
        if " " in name or clean_path(name if "/" in name or "." in name else f"{name}/") is None:
            return []
        lines.append((number, indent, name))
    return list(_leaves(lines[:_MOST]))


def _leaves(lines: list[tuple[int, int, str]]) -> Iterator[tuple[int, str]]:
    folders: list[tuple[int, str]] = []
    for position, (number, indent, name) in enumerate(lines):
        while folders and folders[-1][0] >= indent:
            folders.pop()
        following = lines[position + 1][1] if position + 1 < len(lines) else 0
        if following > indent:
            folders.append((indent, name.rstrip("/")))
            continue
        path = clean_path("/".join([folder for _, folder in folders[-20:]] + [name]))
        if path is not None:
            yield number, path
