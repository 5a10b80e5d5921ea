"""Which values of the environment must not leave this machine with the words of a run.

What it does: finds the variables that a run gave to its agents, and those whose names say that they are secret.
What it does not know: how they are hidden (`views.secrets`), and in what.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

_SECRET_NAME: Final = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|AUTH)(?:_|$)", re.IGNORECASE
)


def values_to_hide(environ: Mapping[str, str], named: Iterable[str]) -> dict[str, str]:
    """The values of variables that are `named`, or whose names sound secret, by their names. A path is no secret."""
    wanted = set(named)
    found = ((name, value) for name, value in environ.items() if name in wanted or _SECRET_NAME.search(name))
    return {name: value for name, value in found if not value.startswith("/")}


def named_in(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The variables that the settings of a run, as they were recorded, give to agents."""
    own, each = settings.get("env"), settings.get("agent_env")
    names = [name for name in own if isinstance(name, str)] if isinstance(own, list | tuple) else []
    names += [one.partition(":")[2] for one in each if isinstance(one, str)] if isinstance(each, list | tuple) else []
    return tuple(names)
