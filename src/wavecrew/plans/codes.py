"""The findings of reading, by code.

What it does: gives every code of a finding about reading its one-line title, for lists and explanations.
What it does not know: findings across phases (WC101 to WC109), which belong to the checks.
"""

from __future__ import annotations

from typing import Final

READING_CODES: Final[dict[str, str]] = {
    "WC110": "a document cannot be read",
    "WC111": "a document is not valid UTF-8",
    "WC112": "a document or folder is larger than the limit",
    "WC113": "the front matter cannot be read",
    "WC114": "a key stands twice in the same block",
    "WC115": "a key of a phase is misspelt",
    "WC116": "a value has the wrong shape",
    "WC117": "a phase has a value that no phase can have",
    "WC118": "an estimate cannot be understood and stays unknown",
    "WC119": "a dependency names no phase and is shown as an external prerequisite",
    "WC120": "a wish to come after another phase is no dependency",
    "WC121": "no document states a dependency: all phases can start at once",
    "WC122": "a document is no phase and was left out",
    "WC123": "dependencies were taken from an overview, a table or a drawing",
    "WC124": "a runbook block cannot be used",
    "WC125": "the data of a plan cannot be read",
    "WC126": "a dependency is ambiguous: several phases fit",
    "WC127": "a phase has no id or name of its own",
    "WC128": "a heading begins like that of a phase, and what follows cannot be an id",
}
