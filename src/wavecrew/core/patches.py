"""Which files a patch changes, from its text alone.

What it does: reads the headers of the patches that coding agents write (`*** Update File: a.py`) and of unified
diffs (`+++ b/a.py`, renames of git).
What it does not know: whether the patch fits, and where its paths are relative to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_OF_AGENTS: Final = re.compile(r"^\*\*\* (?:Add File|Update File|Delete File|Move to): (.+?)[ \t\r]*$", re.MULTILINE)
_OF_DIFFS: Final = re.compile(
    r"^(?:--- |\+\+\+ )(?P<side>[^\t\r\n]+)|^(?:rename|copy) (?:from|to) (?P<moved>[^\r\n]+)"
    r"|^diff --git a/(?P<twice>[^\r\n]+) b/(?P=twice)\r?$",
    re.MULTILINE,
)
_START: Final = "*** Begin Patch"


def is_patch(text: str) -> bool:
    """Whether a text holds a patch as agents write it."""
    return _START in text


def agent_patch(text: str) -> tuple[str, ...]:
    """The paths in a patch as agents write it, without repetition."""
    return tuple(dict.fromkeys(found.group(1) for found in _OF_AGENTS.finditer(text)))


def unified_diff(text: str, strip: int = 1) -> tuple[str, ...]:
    """The paths in a unified diff, without repetition and without their first `strip` folders."""
    return tuple(dict.fromkeys(_stripped(text, strip)))


def _stripped(text: str, strip: int) -> Iterator[str]:
    for found in _OF_DIFFS.finditer(text):
        if found["moved"] or found["twice"]:
            yield found["moved"] or found["twice"]
        elif found["side"] != "/dev/null":
            yield "/".join(found["side"].split("/")[strip:])
