"""What all tests share: none may fail because a machine is slow, or by the examples that chance has drawn.

So drawn examples have no deadline and are the same in each run. `--hypothesis-profile=explore` draws new ones.
"""

from __future__ import annotations

import contextlib
import signal

from hypothesis import HealthCheck, settings

settings.register_profile("explore", deadline=None, derandomize=False, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("wavecrew", settings.get_profile("explore"), derandomize=True)
settings.load_profile("wavecrew")


# Started in the background of a script, this process ignores Ctrl-C, and so would every process that tests start.
with contextlib.suppress(ValueError):  # outside of the main thread nothing can be set, and nothing is wrong either
    signal.signal(signal.SIGINT, signal.default_int_handler)
