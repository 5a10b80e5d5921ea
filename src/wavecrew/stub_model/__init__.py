"""A model that follows a script: real agent programs can be run, and their gates proven, without a key and a network.

`with StubModel() as stub:` starts it on loopback. `surroundings("claude", stub.url)` tells what makes a program use it.
What it is to do stands in the prompt itself, see `script`.
"""

from wavecrew.stub_model.dialogue import Tokens
from wavecrew.stub_model.server import KEY, NO_MODEL, Request, StubModel
from wavecrew.stub_model.surroundings import PROGRAMS, Surroundings, surroundings

__all__ = ["KEY", "NO_MODEL", "PROGRAMS", "Request", "StubModel", "Surroundings", "Tokens", "surroundings"]
