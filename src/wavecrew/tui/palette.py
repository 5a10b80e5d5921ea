"""How the styles of the board look: dark, light, and without any colour of ours.

What it does: gives each name of a style its look in three themes, and chooses one for a terminal. Contrast is at least
4.5 to 1 on the background of the theme; without colour, weight and reversal do what colours do elsewhere.
What it does not know: what is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.style import Style
from textual.theme import Theme

DARK: Final = "wavecrew-dark"
LIGHT: Final = "wavecrew-light"
PLAIN: Final = "wavecrew-plain"
NAMES: Final = {"dark": DARK, "light": LIGHT, "plain": PLAIN}

_TERMINALS_OWN: Final = (
    *("ansi-background", "ansi-foreground", "border-blurred", "block-cursor-foreground", "block-cursor-background"),
    *("input-cursor-background", "input-cursor-foreground", "input-selection-background"),
    *("input-selection-foreground", "screen-selection-background", "screen-selection-foreground"),
)
THEMES: Final = (
    Theme(
        name=DARK,
        primary="#58a6ff",
        foreground="#e6edf3",
        background="#0d1117",
        surface="#0d1117",
        panel="#21262d",
        success="#56d364",
        warning="#e3b341",
        error="#ff7b72",
        dark=True,
    ),
    Theme(
        name=LIGHT,
        primary="#0550ae",
        foreground="#1f2328",
        background="#ffffff",
        surface="#ffffff",
        panel="#e7ebf0",
        success="#116329",
        warning="#7d4e00",
        error="#a40e26",
        dark=False,
    ),
    Theme(
        name=PLAIN,
        ansi=True,
        primary="ansi_default",
        secondary="ansi_default",
        warning="ansi_default",
        error="ansi_default",
        success="ansi_default",
        accent="ansi_default",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        dark=True,
        variables={**dict.fromkeys(_TERMINALS_OWN, "ansi_default"), "input-cursor-text-style": "reverse"},
    ),
)

_DARK: Final = {
    "good": "#56d364",
    "bad": "bold #ff7b72",
    "busy": "#79c0ff",
    "wait": "#e3b341",
    "quiet": "#9198a1",
    "head": "bold #ffffff",
    "mark": "bold #0d1117 on #e3b341",
    "key": "bold #79c0ff",
    "add": "#56d364",
    "remove": "#ff7b72",
    "bar": "#e6edf3 on #21262d",
    "tab": "bold #ffffff on #1f6feb",
    "chosen": "bold on #2d3b52",
    "chosen-far": "on #21262d",
}
_LIGHT: Final = {
    "good": "#116329",
    "bad": "bold #a40e26",
    "busy": "#0550ae",
    "wait": "#7d4e00",
    "quiet": "#57606a",
    "head": "bold #000000",
    "mark": "bold #ffffff on #7d4e00",
    "key": "bold #0550ae",
    "add": "#116329",
    "remove": "#a40e26",
    "bar": "#1f2328 on #e7ebf0",
    "tab": "bold #ffffff on #0550ae",
    "chosen": "bold on #d0e2fb",
    "chosen-far": "on #e7ebf0",
}
_PLAIN: Final = {
    "bad": "bold",
    "head": "bold",
    "mark": "bold reverse",
    "key": "bold",
    "add": "bold",
    "bar": "underline",
    "tab": "bold reverse",
    "chosen": "bold reverse",
    "chosen-far": "bold",
}


def _parsed(table: Mapping[str, str]) -> Mapping[str, Style]:
    return {name: Style.parse(text) for name, text in table.items()}


STYLES: Final[Mapping[str, Mapping[str, Style]]] = {
    DARK: _parsed(_DARK),
    LIGHT: _parsed(_LIGHT),
    PLAIN: _parsed(_PLAIN),
}
_NONE: Final = Style()
_LIGHT_BACKGROUNDS: Final = frozenset({"7", "9", "10", "11", "12", "13", "14", "15"})


def style_of(theme: str, name: str) -> Style:
    """The look of a style; none for a name that the theme does not distinguish."""
    return STYLES.get(theme, STYLES[DARK]).get(name, _NONE)


def theme_for(environment: Mapping[str, str], *, color: bool) -> str:
    """The theme that fits a terminal: no colours where none are wanted, light where it says that it is light."""
    if not color:
        return PLAIN
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT if background in _LIGHT_BACKGROUNDS else DARK
