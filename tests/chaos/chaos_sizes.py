"""The two sizes of every test of chaos.

WAVECREW_CHAOS=long makes the long form. WAVECREW_CHAOS_PART=0..2 chooses the third of the failpoints for the short
form; by default the day of the year does.
"""

from __future__ import annotations

import os
import time

LONG = os.environ.get("WAVECREW_CHAOS") == "long"
PARTS = 3
PART = int(os.environ.get("WAVECREW_CHAOS_PART", time.gmtime().tm_yday)) % PARTS


def times(short: int, long: int) -> int:
    """How often something is done in this form."""
    return long if LONG else short
