"""Data about a phase in a fenced block of its section: YAML or TOML with `depends_on`, `estimate`, `outputs`.

What it does: reads the first block of a section as front matter of that section, if all of its keys are keys of phases.
What it does not know: what the keys mean (`records` does). Any other block is an example and stays one.
"""

from __future__ import annotations

from typing import Final

from wavecrew.plans.data import DataError, read_data
from wavecrew.plans.draft import Draft, Findings
from wavecrew.plans.markdown import Fence
from wavecrew.plans.records import FOREIGN, fill_from, key_of

_KINDS: Final = {"yaml": "yaml", "yml": "yaml", "toml": "toml", "json": "json"}
_TELLING: Final = frozenset({"dependencies", "estimate", "outputs"})
_LONGEST: Final = 20_000


def enter_data_block(draft: Draft, fences: tuple[Fence, ...], findings: Findings) -> None:
    """Enter what the first fenced block of a section says, if it is data about the phase."""
    fence = fences[0] if fences else None
    kind = _KINDS.get(fence.info.strip().casefold()) if fence is not None else None
    if fence is None or kind is None or len(fence.text) > _LONGEST:
        return
    try:
        fields = read_data(fence.text, kind).root.fields or {}
    except DataError:
        return
    known = {key_of(key) for key in fields}
    if known & _TELLING and all(key_of(key) or key.casefold() in FOREIGN for key in fields):
        shifted = {key: node.shifted(fence.line) for key, node in fields.items() if key_of(key) != "id"}
        fill_from(draft, shifted, findings)
