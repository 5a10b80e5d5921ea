"""What all tests share: no test may fail because a machine is slow, so examples have no deadline."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("wavecrew", deadline=None)
settings.load_profile("wavecrew")
