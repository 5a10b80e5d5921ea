"""Who is asking.

What it does: names the user of this process, for the history, and the program that asks on their behalf.
What it does not know: rights; whoever can write the state folder may ask.
"""

from __future__ import annotations

import getpass
import os
from typing import Final

VIA_VARIABLE: Final = "WAVECREW_VIA"
"""What a program that carries out our commands calls itself. It is added to the name of the user and never hides it."""
_LONGEST: Final = 100


def who() -> str:
    """The login name, or the number of the user where there is none; after what asks on their behalf, if something
    does: `mcp (claude-code) for ann`."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"user {os.getuid()}"
    via = "".join(one for one in os.environ.get(VIA_VARIABLE, "") if one.isprintable()).strip()[:_LONGEST]
    return f"{via} for {name}" if via else name
