"""Phases, their dependency graph, its waves, and locks: the nouns of a plan.

What it does: holds one phase as a value, and answers every question about the order of phases (dependencies,
dependents, ancestors, cycles, waves, topological order) in time linear in phases and dependencies.
What it does not know: documents, hours and agents (`schedule` does the arithmetic of time), and what runs right now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from math import isfinite
from types import MappingProxyType
from typing import Final

from wavecrew.errors import CycleError, InvalidValueError
from wavecrew.models.knots import knots, shortest_ring
from wavecrew.models.phase_status import PhaseStatus
from wavecrew.models.resources import Claim, parse_resource

MAX_ID_LENGTH: Final = 200


def _texts(owner: str, name: str, values: Iterable[str]) -> tuple[str, ...]:
    """A tuple of non-empty texts; a single text where a list belongs is the classic slip and is refused."""
    if isinstance(values, str):
        raise InvalidValueError(f"{owner}: {name} must be a list of texts, not the text {values!r}")
    texts = tuple(values)
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise InvalidValueError(f"{owner}: {name} holds {text!r}, which is no text")
    return texts


def _identifier(owner: str, name: str, value: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidValueError(f"{owner}: {name} must not be empty")
    if len(value) > MAX_ID_LENGTH:
        raise InvalidValueError(f"{owner}: {name} has {len(value)} characters (at most {MAX_ID_LENGTH})")
    if not value.isprintable():
        raise InvalidValueError(f"{owner}: {name} {value!r} holds characters that cannot be seen")


class StepKind(StrEnum):
    """What a step of a runbook does: run a script, check the result, or write a file."""

    RUN = "run"
    CHECK = "check"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Step:
    """One fenced block of a phase document that is meant to be carried out.

    `language` is the first word of its info string (`sh`, `python`), `path` the target of a `file` step.
    """

    kind: StepKind
    text: str
    language: str = "sh"
    path: str = ""
    line: int = 0

    def __post_init__(self) -> None:
        if (self.kind is StepKind.FILE) != bool(self.path):
            raise InvalidValueError("a file step, and only a file step, names a path")


@dataclass(frozen=True, slots=True)
class Source:
    """The stretch of a document that a phase was read from. Lines count from 1, `last_line` is inclusive."""

    file: str
    line: int = 1
    last_line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _PhaseDetails:
    """What a phase carries besides its founding fields; everything here may stay empty."""

    description: str = ""
    """The task in words: the prompt of an agent."""
    reads: tuple[str, ...] = ()
    """Resources that are read only: claimed shared, so that readers go together and keep writers out."""
    locks: tuple[str, ...] = ()
    """Further resources that this phase alone may use while it runs, such as `port:8080`."""
    checks: tuple[tuple[str, ...], ...] = ()
    """Commands (argument lists) that must all exit 0 after the agent is done."""
    command: tuple[str, ...] = ()
    """Argument list for the `command` agent."""
    steps: tuple[Step, ...] = ()
    """Blocks for the `runbook` agent, in document order."""
    agent: str = ""
    """Name of the agent to use; empty means the one of the configuration."""
    fallback: str = ""
    """Name of the agent that stands in while the account of that one is used up; empty as above."""
    model: str = ""
    """The model that its own agent uses, as the program calls it; empty means the one of the configuration."""
    timeout_seconds: float | None = None
    """Longest time for one attempt; None means the one of the configuration."""
    retries: int | None = None
    """Further attempts after a failed one; None means the number of the configuration."""
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class PhaseInfo(_PhaseDetails):
    """One unit of work: what it needs, what it makes and how long that is expected to take.

    `estimated_time` is in hours; None means unknown and is never taken for zero. `outputs` are paths, folders
    (`src/`) or patterns relative to the workspace; they are claimed exclusively while the phase runs and must exist
    when it ends. Lists are accepted for tuples. Raises InvalidValueError for values that no phase can have.
    """

    id: str
    name: str
    dependencies: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    estimated_time: float | None = None

    def __post_init__(self) -> None:
        _identifier("phase", "id", self.id)
        owner = f"phase {self.id!r}"
        _identifier(owner, "name", self.name)
        put = object.__setattr__
        for name in ("dependencies", "outputs", "reads", "locks", "command"):
            put(self, name, _texts(owner, name, getattr(self, name)))
        put(self, "checks", tuple(_texts(owner, "checks", check) for check in self.checks))
        put(self, "steps", tuple(self.steps))
        for name in ("estimated_time", "timeout_seconds"):
            amount = getattr(self, name)
            if amount is not None and not (isinstance(amount, int | float) and isfinite(amount) and amount >= 0):
                raise InvalidValueError(f"{owner}: {name} must be a number that is not negative, not {amount!r}")
        if self.retries is not None and self.retries < 0:
            raise InvalidValueError(f"{owner}: retries must not be negative")

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The locks of this phase: outputs and locks exclusive, reads shared, each once. Raises InvalidValueError
        for a resource outside the workspace."""
        wanted = {parse_resource(text): False for text in self.reads}
        wanted.update((parse_resource(text), True) for text in (*self.outputs, *self.locks))
        return tuple(Claim(resource, exclusive) for resource, exclusive in sorted(wanted.items()))


class LockType(StrEnum):
    """Whether others may hold the same resource at the same time."""

    SHARED = "shared"
    EXCLUSIVE = "exclusive"


@dataclass(frozen=True, slots=True)
class ResourceLock:
    """A lock that somebody holds: the resource as its normalised key, the owner, since when, and how.

    `lock_time` is in seconds since 1970 (UTC). `fence` rises with every grant in a workspace: of two holders of the
    same resource the one with the higher number is the later.
    """

    resource_path: str
    owner_phase: str
    lock_time: float
    lock_type: LockType = LockType.EXCLUSIVE
    fence: int = 0

    def __post_init__(self) -> None:
        if not self.owner_phase:
            raise InvalidValueError("a lock needs an owner")
        if not isfinite(self.lock_time):
            raise InvalidValueError(f"a lock time must be a number, not {self.lock_time!r}")
        object.__setattr__(self, "lock_type", LockType(self.lock_type))

    @property
    def claim(self) -> Claim:
        """This lock as a claim, to be judged against others."""
        return Claim(parse_resource(self.resource_path), self.lock_type is LockType.EXCLUSIVE)

    def conflicts_with(self, other: ResourceLock) -> bool:
        """Whether both cannot be held at once. An owner is never in conflict with itself."""
        return self.owner_phase != other.owner_phase and self.claim.collides(other.claim)


@dataclass(frozen=True, slots=True)
class ExecutionWave:
    """Phases that could run side by side: a way of looking at a plan, and a barrier only where one is asked for.

    `wave_number` counts from 1. `start_time` (seconds since 1970) is when its first phase started. `status` follows
    from the phases; `with_statuses` works it out.
    """

    wave_number: int
    phases: tuple[str, ...]
    start_time: float | None = None
    status: PhaseStatus = PhaseStatus.NOT_STARTED

    def __post_init__(self) -> None:
        if self.wave_number < 1:
            raise InvalidValueError(f"waves count from 1, not from {self.wave_number}")
        object.__setattr__(self, "phases", _texts(f"wave {self.wave_number}", "phases", self.phases))
        object.__setattr__(self, "status", PhaseStatus(self.status))

    def with_statuses(self, statuses: Mapping[str, PhaseStatus]) -> ExecutionWave:
        """The same wave with its status worked out: failed if a phase failed and none is open any more, completed
        if all are, in progress if some work has begun, queued if a phase is ready."""
        found = {statuses.get(phase, PhaseStatus.NOT_STARTED) for phase in self.phases}
        return replace(self, status=_joint_status(found))


def _joint_status(found: set[PhaseStatus]) -> PhaseStatus:
    if found <= {PhaseStatus.COMPLETED}:
        return PhaseStatus.COMPLETED if found else PhaseStatus.NOT_STARTED
    if PhaseStatus.IN_PROGRESS in found:
        return PhaseStatus.IN_PROGRESS
    if PhaseStatus.FAILED in found and PhaseStatus.QUEUED not in found:
        return PhaseStatus.FAILED
    if PhaseStatus.COMPLETED in found or PhaseStatus.FAILED in found:
        return PhaseStatus.IN_PROGRESS
    return PhaseStatus.QUEUED if PhaseStatus.QUEUED in found else PhaseStatus.NOT_STARTED


@dataclass(frozen=True)
class DependencyGraph:
    """Phases and what they depend on.

    `nodes` maps an id to its phase, in plan order; `edges` maps an id to the ids it depends on, as declared, without
    repetitions. Dependencies on ids that are no phase of this graph are kept in `missing` and otherwise ignored, and
    so is a phase's dependency on itself (`self_dependent`), so that a faulty plan can still be looked at.
    Build one with `DependencyGraph.of(phases)`.
    """

    nodes: Mapping[str, PhaseInfo]
    edges: Mapping[str, tuple[str, ...]]
    missing: tuple[tuple[str, str], ...] = ()
    self_dependent: tuple[str, ...] = ()
    _dependents: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        nodes, edges = dict(self.nodes), {name: tuple(self.edges.get(name, ())) for name in self.nodes}
        dependents: dict[str, list[str]] = {name: [] for name in nodes}
        for name, dependencies in edges.items():
            for dependency in dependencies:
                if dependency == name:
                    raise InvalidValueError(f"phase {name!r} depends on itself; DependencyGraph.of keeps that apart")
                if dependency not in nodes:
                    raise InvalidValueError(f"phase {name!r} depends on {dependency!r}, which is not in the graph")
                dependents[dependency].append(name)
        put = object.__setattr__
        put(self, "nodes", MappingProxyType(nodes))
        put(self, "edges", MappingProxyType(edges))
        put(self, "_dependents", MappingProxyType({name: tuple(found) for name, found in dependents.items()}))

    @classmethod
    def of(cls, phases: Iterable[PhaseInfo]) -> DependencyGraph:
        """Build the graph of some phases.

        Phases with the same id become one node: the first one stands for all and their dependencies are united.
        """
        nodes: dict[str, PhaseInfo] = {}
        wanted: dict[str, dict[str, None]] = {}
        for phase in phases:
            nodes.setdefault(phase.id, phase)
            wanted.setdefault(phase.id, {}).update(dict.fromkeys(phase.dependencies))
        edges: dict[str, tuple[str, ...]] = {}
        missing: list[tuple[str, str]] = []
        for name, dependencies in wanted.items():
            edges[name] = tuple(d for d in dependencies if d in nodes and d != name)
            missing.extend((name, d) for d in dependencies if d not in nodes)
        loops = tuple(name for name, dependencies in wanted.items() if name in dependencies)
        return cls(nodes, edges, tuple(missing), loops)

    # -- neighbours and reach

    def dependencies(self, phase: str) -> tuple[str, ...]:
        """Ids that this phase waits for directly. Raises KeyError for an unknown id, as all questions here do."""
        return self.edges[phase]

    def dependents(self, phase: str) -> tuple[str, ...]:
        """Ids that wait for this phase directly."""
        return self._dependents[phase]

    def ancestors(self, phase: str) -> frozenset[str]:
        """Everything that must be completed before this phase can start."""
        return self._reach(phase, self.edges)

    def descendants(self, phase: str) -> frozenset[str]:
        """Everything that cannot start before this phase is completed."""
        return self._reach(phase, self._dependents)

    @staticmethod
    def _reach(start: str, arrows: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
        seen: set[str] = set()
        stack = list(arrows[start])
        while stack:
            name = stack.pop()
            if name not in seen:
                seen.add(name)
                stack.extend(arrows[name])
        return frozenset(seen)

    def roots(self) -> tuple[str, ...]:
        """Phases that depend on nothing, in plan order."""
        return tuple(name for name, found in self.edges.items() if not found)

    def leaves(self) -> tuple[str, ...]:
        """Phases that nothing depends on, in plan order."""
        return tuple(name for name, found in self._dependents.items() if not found)

    # -- order

    @cached_property
    def _layers(self) -> tuple[tuple[str, ...], ...]:
        """Longest-path layers of all that lies neither in a cycle nor behind one (Kahn 1962, layer by layer)."""
        open_dependencies = {name: len(found) for name, found in self.edges.items()}
        place = {name: position for position, name in enumerate(self.nodes)}
        layer = [name for name, count in open_dependencies.items() if count == 0]
        layers: list[tuple[str, ...]] = []
        while layer:
            layers.append(tuple(layer))
            following: list[str] = []
            for name in layer:
                for dependent in self._dependents[name]:
                    open_dependencies[dependent] -= 1
                    if open_dependencies[dependent] == 0:
                        following.append(dependent)
            layer = sorted(following, key=place.__getitem__)
        return tuple(layers)

    def layers(self) -> tuple[tuple[str, ...], ...]:
        """Ids by longest path from a root, each layer in plan order; what a cycle holds up is left out."""
        return self._layers

    @cached_property
    def wave_of(self) -> Mapping[str, int]:
        """The number of the wave of each phase, from 1; what a cycle holds up is not in it."""
        return {name: number for number, layer in enumerate(self._layers, start=1) for name in layer}

    def waves(self) -> tuple[ExecutionWave, ...]:
        """The execution waves. Raises CycleError when there is a cycle, because then no order exists."""
        self.require_acyclic()
        return tuple(ExecutionWave(number, layer) for number, layer in enumerate(self._layers, start=1))

    def topological_order(self) -> tuple[str, ...]:
        """Every id after all that it depends on; plan order within a layer. Raises CycleError."""
        self.require_acyclic()
        return tuple(name for layer in self._layers for name in layer)

    def require_acyclic(self) -> None:
        """Raise CycleError, with the path, unless an order exists."""
        cycle = self.cycle()
        if cycle is not None:
            raise CycleError(cycle)

    # -- cycles

    def cycle(self) -> tuple[str, ...] | None:
        """The first cycle as a path whose first and last id are the same, each depending on the next; else None."""
        return next(iter(self.cycles()), None)

    def cycles(self) -> Iterator[tuple[str, ...]]:
        """Each self dependency, and one shortest ring for each knot of phases that wait for each other."""
        for name in self.self_dependent:
            yield (name, name)
        layered = {name for layer in self._layers for name in layer}
        # only what could not be layered can lie in a ring, so a sound plan costs nothing here
        for knot in knots(self.edges, self._dependents, (name for name in self.nodes if name not in layered)):
            yield shortest_ring(self.edges, knot)
