"""Who is asking.

What it does: names the user of this process, for the history.
What it does not know: rights; whoever can write the state folder may ask.
"""

from __future__ import annotations

import getpass
import os


def who() -> str:
    """The login name, or the number of the user where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
