"""The configuration as a person or a program reads it: a table of 80 columns, or JSON.

What it does: puts each setting, its value and (if asked for) its origin into text that fits a terminal.
What it does not know: how the values were found, and where the text goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import zip_longest

from wavecrew.config.parallel_config import settings
from wavecrew.config.sources import LoadedConfig

WIDTH = 80
_GAP = "  "


def config_table(loaded: LoadedConfig, *, origins: bool = False, width: int = WIDTH) -> str:
    """One setting a line; what is too long goes on below itself. With `origins`, a column tells where from."""
    rows = [("setting", "value", "origin")]
    rows += [(name, _seen(text), _seen(loaded.origins[name].text)) for name, text in _texts(loaded)]
    first = max(len(row[0]) for row in rows)
    room = width - first - len(_GAP)
    if not origins:
        return _laid_out(((row[:2]) for row in rows), (first, room))
    third = min(max(len(row[2]) for row in rows), room // 2)
    second = min(max(len(row[1]) for row in rows), room - third - len(_GAP))
    return _laid_out(rows, (first, second, room - second - len(_GAP)))


def config_json(loaded: LoadedConfig) -> str:
    """Every setting with its value and origin, the files looked at, and the warnings."""
    values = loaded.config.model_dump(mode="json")
    return json.dumps(
        {
            "settings": {
                name: {"value": value, "origin": loaded.origins[name].text, "source": loaded.origins[name].kind}
                for name, value in values.items()
            },
            "files": [{"path": str(file.path), "source": file.kind, "read": file.read} for file in loaded.files],
            "warnings": [
                {"code": found.code, "message": found.message, "place": str(found.place), "fix": found.fix}
                for found in loaded.diagnostics
            ],
        },
        indent=2,
    )


def config_reference() -> str:
    """Every setting as a page of Markdown: meaning, range, default, flag and variable."""
    lines = [
        "# Configuration",
        "",
        "Made by `wavecrew config reference`. A value comes from the weakest of: default, user file, project file",
        "(`wavecrew.toml`, or `[tool.wavecrew]` in `pyproject.toml`), environment, plan document, flag; a later one",
        "replaces an earlier one. `wavecrew config show --origin` tells where each value in force was set.",
        "",
        "| setting | meaning | allowed | default | flag | variable |",
        "|---|---|---|---|---|---|",
    ]
    for name, told in settings().items():
        cells = (f"`{name}`", told.description, told.allowed, f"`{told.text(told.default)}`", f"`{told.flag}`")
        lines.append(f"| {' | '.join(cells)} | `{told.variable}` |")
    return "\n".join(lines) + "\n"


def _texts(loaded: LoadedConfig) -> Iterable[tuple[str, str]]:
    return ((name, told.text(getattr(loaded.config, name))) for name, told in settings().items())


def _seen(text: str) -> str:
    """The text with everything invisible written out, so that it cannot steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _laid_out(rows: Iterable[tuple[str, ...]], widths: tuple[int, ...]) -> str:
    lines = []
    for row in rows:
        columns = (_pieces(cell, width) for cell, width in zip(row, widths, strict=True))
        for pieces in zip_longest(*columns, fillvalue=""):
            padded = (piece.ljust(width) for piece, width in zip(pieces, widths, strict=True))
            lines.append(_GAP.join(padded).rstrip())
    return "\n".join(lines) + "\n"


def _pieces(text: str, width: int) -> list[str]:
    """The text in pieces of at most `width`, cut anywhere: an argument may be one long word."""
    return [text[start : start + width] for start in range(0, len(text), width)] or [""]
