"""What all tests share: no test may fail because a machine is slow, so examples have no deadline."""

from __future__ import annotations

import contextlib
import signal

from hypothesis import settings

settings.register_profile("wavecrew", deadline=None)
settings.load_profile("wavecrew")


# Started in the background of a script, this process ignores Ctrl-C, and so would every process that tests start.
with contextlib.suppress(ValueError):  # outside of the main thread nothing can be set, and nothing is wrong either
    signal.signal(signal.SIGINT, signal.default_int_handler)
