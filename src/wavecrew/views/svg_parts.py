"""Small parts of our drawings: safe text, guessed text widths, shapes, and the colours of light and dark.

What it does: escapes and cuts foreign text for SVG, and holds every sign as a path, because fonts lack glyphs.
What it does not know: plans, and where a part is put.
"""

from __future__ import annotations

from html import escape
from typing import Final
from unicodedata import combining, east_asian_width

from wavecrew.models.phase_status import PhaseStatus
from wavecrew.views.words import printable

_NARROW: Final = frozenset("ijl.,:;'|!()[]{}`ftrI/\\ ")
_WIDE: Final = frozenset("mwMWABCDEFGHKNOPQRSTUVXYZ@%&")
SIGNS: Final = {
    PhaseStatus.NOT_STARTED: "M6 1.8a4.2 4.2 0 1 0 .01 0zM6 3.4a2.6 2.6 0 1 1-.01 0z",  # ring
    PhaseStatus.QUEUED: "M2 1h8v1.6L7.2 6 10 9.4V11H2V9.4L4.8 6 2 2.6z",  # hourglass
    PhaseStatus.IN_PROGRESS: "M3 1.4 10.4 6 3 10.6z",  # triangle
    PhaseStatus.COMPLETED: "M1.2 6.4 2.8 4.8 4.8 6.8 9.6 2 11.2 3.6 4.8 10z",  # tick
    PhaseStatus.FAILED: "M2.8 1.4 6 4.6 9.2 1.4 10.6 2.8 7.4 6l3.2 3.2-1.4 1.4L6 7.4 2.8 10.6 1.4 9.2 4.6 6 1.4 2.8z",
}
"""A shape of 12 by 12 for each status."""
DIAMOND: Final = "M6 .8 11.2 6 6 11.2 .8 6z"
EXCLAMATION: Final = "M5.1 2.4h1.8l-.3 4.7H5.4zM5 8h2v1.8H5z"


def words_of(status: PhaseStatus) -> str:
    """The status as it is written in a picture."""
    return status.value.lower().replace("_", " ")


def safe(text: str) -> str:
    """Foreign text made harmless in XML content and in quoted attributes."""
    return escape(printable(text), quote=True)


def text_width(text: str, size: float) -> float:
    """About how wide a text is in a sans-serif font, rather too wide than too narrow."""
    return sum(map(_letter_width, text)) * size


def _letter_width(letter: str) -> float:
    if letter in _NARROW:
        return 0.4
    if letter in _WIDE:
        return 0.78 if letter not in "mwMW@%" else 0.95
    if combining(letter):
        return 0.0
    return 1.05 if east_asian_width(letter) in "WF" or ord(letter) > 0xFFFF else 0.6


def cut(text: str, size: float, room: float) -> str:
    """A text that fits a room, with an ellipsis if something had to go."""
    clean = printable(text)
    if text_width(clean, size) <= room:
        return clean
    room -= 0.9 * size
    kept = ""
    for letter in clean:
        room -= _letter_width(letter) * size
        if room < 0:
            break
        kept += letter
    return kept.rstrip() + "…"


def in_lines(text: str, size: float, room: float, most: int) -> list[str]:
    """A text broken between words into a few lines that fit a room; the last one is cut if need be."""
    words = printable(text).split()
    lines: list[str] = []
    while words and len(lines) < most - 1:
        taken = 1
        while taken < len(words) and text_width(" ".join(words[: taken + 1]), size) <= room:
            taken += 1
        line = " ".join(words[:taken])
        if text_width(line, size) > room:
            break
        lines.append(line)
        words = words[taken:]
    return [*lines, cut(" ".join(words), size, room)] if words else lines


def number(value: float) -> str:
    """A coordinate, as short as can be."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def sign(shape: str, x: float, y: float, kind: str, scale: float = 1.0) -> str:
    """A shape with its upper left corner at a point."""
    size = f" scale({number(scale)})" if scale != 1 else ""
    return f'<path class="{kind}" transform="translate({number(x)} {number(y)}){size}" d="{shape}"/>'


_LIGHT: Final = {
    "bg": "#ffffff",
    "band": "#f4f6f9",
    "box": "#ffffff",
    "rim": "#b4bfcc",
    "edge": "#93a0b0",
    "text": "#18202b",
    "soft": "#566273",
    "key": "#3b45b8",
    "clash": "#a8410a",
    "done": "#1a7336",
    "fail": "#b42525",
    "work": "#1b62b5",
    "wait": "#7a5a00",
}
_DARK: Final = {
    "bg": "#0f141b",
    "band": "#161d27",
    "box": "#1d2632",
    "rim": "#46546a",
    "edge": "#65758b",
    "text": "#e8edf4",
    "soft": "#a3b0c2",
    "key": "#9aa6ff",
    "clash": "#ffa366",
    "done": "#56c983",
    "fail": "#ff8680",
    "work": "#73b5ff",
    "wait": "#e3b84d",
}
_RULES: Final = """\
§{background:var(--bg);fill:var(--text);--line:var(--rim);--thick:1.2}
§ text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
§ .ground{fill:var(--bg)}§ .band{fill:var(--band)}
§ .title{font-size:18px;font-weight:650}§ .about{font-size:13px;fill:var(--soft)}
§ .wave{font-size:11px;font-weight:600;letter-spacing:.07em;fill:var(--soft)}
§ .r{text-anchor:end}§ .name{font-size:13px;font-weight:600;fill:var(--text)}§ .small{font-size:11.5px;fill:var(--soft)}
§ .box{fill:var(--box);stroke:var(--line);stroke-width:var(--thick)}
§ .critical{--line:var(--key);--thick:2.6}§ .held .box{stroke-dasharray:5 4}
§ .edge{fill:none;stroke:var(--edge);stroke-width:1.4}§ .tip{fill:var(--edge)}
§ .edge.key{stroke:var(--key);stroke-width:3}§ .tip.key{fill:var(--key)}
§ .diamond{fill:var(--key)}§ .clash{fill:var(--clash)}
§ .link{fill:none;stroke:var(--clash);stroke-width:1.6;stroke-dasharray:5 4}
§ .seal{fill:var(--bg);stroke:var(--clash);stroke-width:1.4}
§ .IN_PROGRESS{--now:var(--work)}§ .COMPLETED{--now:var(--done)}
§ .FAILED{--now:var(--fail)}§ .QUEUED{--now:var(--wait)}§ .NOT_STARTED{--now:var(--soft)}
§ .state{fill:var(--now);font-weight:600}§ .foot{fill:var(--now);opacity:.1}
§ .ring{fill:none;stroke:var(--fail);stroke-width:1.6;stroke-dasharray:2 3}§ .tip.ring{fill:var(--fail);stroke:none}"""


def style(scope: str) -> str:
    """The style sheet, bound to one class so that a page may hold several drawings beside other things."""
    light, dark = ("".join(f"--{name}:{value};" for name, value in shades.items()) for shades in (_LIGHT, _DARK))
    return (
        f"<style>.{scope}{{{light}}}\n@media (prefers-color-scheme:dark){{.{scope}{{{dark}}}}}\n"
        f"{_RULES.replace('§', f'.{scope}')}</style>"
    )
