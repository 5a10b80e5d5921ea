"""From a phase to the job that its attempt carries out: which agent, which steps, which environment, which locks.

What it does: is the one place where a job is put together, for a real run and for a dry run alike, so that the two
cannot disagree.
What it does not know: when a phase may start, and what becomes of the job.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from wavecrew.core import acp_driver, agent_home
from wavecrew.core.attempts import LOG_NAME, Job, attempt_folder, files_folder
from wavecrew.core.bounds import Bounds
from wavecrew.core.liveness import ATTEMPT_MARK
from wavecrew.core.redaction import Redaction
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.errors import PreflightError
from wavecrew.models.events import AttemptStarted
from wavecrew.models.invocation import INTERPRETERS, AttemptContext, Invocation, JobStep, JobStepKind, script_step
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo, Step, StepKind
from wavecrew.models.resources import Claim

PASSED_ON: Final = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM")
"""Environment variables that every agent may see; all that start with LC_ as well. Others are named in `env`."""


PORTS_PER_SLOT: Final = 10
_TOOLS: Final = (sys.executable, "-P", "-m", "wavecrew", "mcp")
_TITLE: Final = 80


class Agent(Protocol):
    """What a job maker needs of an agent. It is found by the entry point `wavecrew.agents`."""

    @property
    def name(self) -> str:
        """The name that documents and settings use."""

    @property
    def summary(self) -> str:
        """One line for people."""

    def problem(self, phase: PhaseInfo, command: tuple[str, ...]) -> str:
        """Why this phase cannot be given to this agent; empty if it can."""

    def prepare(self, phase: PhaseInfo, context: AttemptContext) -> Invocation:
        """What to carry out."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where an attempt works: the folder, and what is its own while it does. `base` and `branch` are those of its
    worktree, empty in a shared folder; `slot` counts from 1."""

    workspace: Path
    slot: int = 1
    base: str = ""
    branch: str = ""
    earlier_branch: str = ""
    """The branch that holds what an earlier attempt left, if there is one."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One attempt, ready to be written down and started."""

    phase: PhaseInfo
    attempt: int
    agent: str
    folder: Path
    job: Job
    claims: tuple[Claim, ...]
    desk: Desk
    inputs: Mapping[str, str] = field(default_factory=dict)
    """A digest of each thing that its work rests on, by name."""
    session: str = ""
    """The session of the attempt before, if it goes on in that."""
    model: str = ""
    """The model that its agent is told to use; empty leaves it to that."""

    def started(self, now: float, fence: int, state_folder: Path) -> AttemptStarted:
        """The event that tells of its start; `now` is in seconds since 1970."""
        return AttemptStarted(
            at=now,
            phase=self.phase.id,
            attempt=self.attempt,
            agent=self.agent,
            fence=fence,
            log=str((self.folder / LOG_NAME).relative_to(state_folder)),
            slot=self.desk.slot,
            base=self.desk.base,
            branch=self.desk.branch,
            inputs=self.inputs,
            session=self.session,
        )


@dataclass(frozen=True, slots=True)
class JobMaker:
    """Puts jobs together for one run in one workspace. Times are in seconds."""

    run: str
    workspace: Path
    state_folder: Path
    agents: Mapping[str, Agent]
    keys: ResourceKeys
    default_agent: str
    fallback_agent: str = ""
    """The agent that stands in for another one whose account is used up."""
    command: tuple[str, ...] = ()
    prompt_by_file: bool = False
    model: str = ""
    """The model that agents with a choice of models use; empty leaves it to them."""
    models: Mapping[str, str] = field(default_factory=dict)
    """The models of single agents, by their names."""
    prompt_template: str = ""
    bounds: Bounds | None = None
    """What keeps agents within what their phases may write, beside the claims."""
    timeout: float | None = None
    grace: float = 10.0
    log_limit: int | None = None
    setup: tuple[str, ...] = ()
    """Command lines that make a worktree ready before the agent starts."""
    first_port: int = 20_000
    passed_on: tuple[str, ...] = ()
    passed_to: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Environment variables that single agents may see, by their names."""
    environ: Mapping[str, str] = field(default_factory=dict)
    identity: Mapping[str, str] = field(default_factory=dict)
    """Variables with the name of an author, for commits in worktrees, where git knows none."""
    of_attempt: Callable[[str, int], Mapping[str, str]] = lambda phase, attempt: {}
    """Further variables of each attempt, by its phase and number."""

    def agent_of(self, phase: PhaseInfo) -> str:
        """The name of the agent for a phase: its own, `command` if it brings a command, else the default one."""
        if phase.agent:
            return phase.agent
        return "command" if phase.command else self.default_agent

    def model_of(self, phase: PhaseInfo, agent: str = "") -> str:
        """The model for a phase with its own agent or with `agent`: that of the document, which is meant for its own
        agent alone, else that of the agent, else that of all. Empty leaves the choice to the agent."""
        agent = agent or self.agent_of(phase)
        own = phase.model if agent == self.agent_of(phase) else ""
        return own or self.models.get(agent, "") or self.model

    def redacted(self, text: str) -> str:
        """A text without the values of the variables that are handed to agents by name."""
        names = (*self.passed_on, *(name for names in self.passed_to.values() for name in names))
        return Redaction(names, self.environ).text(text)

    def require_agents(self, phases: Iterable[PhaseInfo]) -> None:
        """Raise PreflightError, naming every phase that its agent cannot do, before anything is started."""
        problems = [(phase, problem) for phase in phases if (problem := self._problem(phase))]
        if problems:
            phase, problem = problems[0]
            more = f" (and {len(problems) - 1} more phases have a problem)" if len(problems) > 1 else ""
            raise PreflightError(
                f"phase {phase.id} cannot be given to the agent {self.agent_of(phase)}: {problem}{more}",
                fix="choose another agent with --agent or in the document; see: wavecrew agents list",
            )

    def require_fallback(self) -> None:
        """Raise PreflightError for a stand-in that nobody knows; in a document a check of the plan finds it."""
        if self.fallback_agent and self.fallback_agent not in self.agents:
            raise PreflightError(
                f"there is no agent {self.fallback_agent}, which should stand in for others",
                fix=f"set fallback_agent to one of {', '.join(sorted(self.agents))}, or to none",
            )

    def agents_for(self, phase: PhaseInfo) -> tuple[str, ...]:
        """The agents that can work on a phase: its own, then the one that stands in for it, if that can."""
        own, other = self.agent_of(phase), phase.fallback or self.fallback_agent
        able = other not in ("", own) and other in self.agents and not self.agents[other].problem(phase, self.command)
        return (own, other) if able else (own,)

    def resumes(self, agent: str) -> bool:
        """Whether an agent can go on with a session of an earlier attempt."""
        return bool(getattr(getattr(self.agents.get(agent), "capabilities", None), "resume", "") == "yes")

    def _problem(self, phase: PhaseInfo) -> str:
        name = self.agent_of(phase)
        if name not in self.agents:
            return f"there is no agent of this name; known are {', '.join(sorted(self.agents))}"
        return self.agents[name].problem(phase, self.command) or _strange_check(phase)

    def claims(self, phase: PhaseInfo) -> tuple[Claim, ...]:
        """The locks of a phase, as the file system sees their paths. Raises InvalidValueError."""
        return tuple(sorted({self.keys.claim(claim) for claim in phase.claims}))

    def prepare(
        self,
        graph: DependencyGraph,
        phase: PhaseInfo,
        attempt: int,
        previous_failure: str = "",
        desk: Desk | None = None,
        inputs: Mapping[str, str] = MappingProxyType({}),
        agent: str = "",
        session: str = "",
        answers: tuple[tuple[str, str], ...] = (),
    ) -> Prepared:
        """Everything about one attempt of a phase, by its own agent or by `agent`, in a new session or in `session`;
        `answers` are what people answered to questions of earlier ones.
        Nothing is written or started."""
        name = agent or self.agent_of(phase)
        folder = self.folder(phase.id, attempt)
        desk = desk or Desk(self.workspace)
        setup = command_steps(JobStepKind.SETUP, self.setup) if desk.base else ()
        context = AttemptContext(
            run=self.run,
            attempt=attempt,
            workspace=str(desk.workspace),
            prompt_file=str(folder / f"input-{len(setup)}"),
            command=self.command,
            prompt_by_file=self.prompt_by_file,
            produced={other: graph.nodes[other].outputs for other in graph.dependencies(phase.id)},
            previous_failure=previous_failure,
            earlier_branch=desk.earlier_branch,
            session=session,
            answers=answers,
            model=(model := self.model_of(phase, name)),
            template=self.prompt_template,
            files=str(files_folder(folder)),
            launcher=(sys.executable, "-I", "-S", agent_home.__file__),
            driver=(sys.executable, "-E", "-P", acp_driver.__file__),  # with site-packages: it needs a library
        )
        if self.bounds is not None:
            context = replace(
                context,
                hook=self.bounds.hook(name, self.run, phase.id, attempt),
                hook_timeout=self.bounds.hook_timeout,
                ceiling=self.bounds.is_limited(name),
            )
            if self.bounds.tools and getattr(self.agents[name], "takes_tools", False):
                context = replace(context, tools=_TOOLS, tools_environment=self._marks(phase.id, attempt, desk, folder))
        invocation = self.agents[name].prepare(phase, context)
        own, more = invocation.steps, dict(invocation.environment)
        if self.bounds is not None:
            own = self.bounds.limited(name, own, folder, desk.workspace, git=bool(desk.base))
            more |= self.bounds.environment(name)
        carried_out = {(step.argv, step.stdin) for step in invocation.steps}  # a runbook has them in their order
        blocks = (step for step in map(_block_step, _check_blocks(phase)) if (step.argv, step.stdin) not in carried_out)
        steps = (*setup, *own, *blocks, *_command_checks(phase))
        timeout = self.timeout if phase.timeout_seconds is None else phase.timeout_seconds
        job = self._job(phase.id, attempt, desk, folder, steps, more, timeout, self.passed_to.get(name, ()))
        job = replace(job, files=invocation.files)
        return Prepared(phase, attempt, name, folder, job, self.claims(phase), desk, inputs, session, model)

    def folder(self, phase: str, attempt: int) -> Path:
        """Where an attempt keeps its log, its job and its result."""
        return attempt_folder(self.state_folder, self.run, phase, attempt)

    def beside(self, phase: str, attempt: int, desk: Desk, folder: Path, steps: tuple[JobStep, ...]) -> Job:
        """A job for commands of the configuration, at the desk of an attempt and in its environment."""
        return self._job(phase, attempt, desk, folder, steps, {}, self.timeout)

    def visible_to(self, agent: str) -> dict[str, str]:
        """The variables of the user's environment that an agent sees."""
        return self._visible(self.passed_to.get(agent, ()))

    def _visible(self, passed_to: tuple[str, ...]) -> dict[str, str]:
        wanted = {*PASSED_ON, *self.passed_on, *passed_to}
        return {name: text for name, text in self.environ.items() if name in wanted or name.startswith("LC_")}

    def _marks(self, phase: str, attempt: int, desk: Desk, folder: Path) -> dict[str, str]:
        """The variables that tell which attempt a process belongs to."""
        return {
            ATTEMPT_MARK: str(folder),
            "WAVECREW_RUN": self.run,
            "WAVECREW_PHASE": phase,
            "WAVECREW_ATTEMPT_NUMBER": str(attempt),
            "WAVECREW_WORKSPACE": str(desk.workspace),
        }

    def _job(
        self,
        phase: str,
        attempt: int,
        desk: Desk,
        folder: Path,
        steps: tuple[JobStep, ...],
        more: Mapping[str, str],
        timeout: float | None,
        passed_to: tuple[str, ...] = (),
    ) -> Job:
        own = {
            **self._marks(phase, attempt, desk, folder),
            "WAVECREW_ROOT": str(self.workspace),
            "WAVECREW_INDEX": str(desk.slot),
            "WAVECREW_PORT_BASE": str(self.first_port + (desk.slot - 1) * PORTS_PER_SLOT),
            **self.of_attempt(phase, attempt),
        }
        return Job(
            workspace=str(desk.workspace),
            steps=steps,
            environment={**(self.identity if desk.base else {}), **self._visible(passed_to), **own, **more},
            timeout=timeout,
            grace=self.grace,
            log_limit=self.log_limit,
        )


def check_steps(phase: PhaseInfo) -> tuple[JobStep, ...]:
    """The checks that must hold once the phase is done, as steps of a job. A block marked `check` that stands before
    a block that goes on with the work is none of them: what it looks at may be gone by then."""
    last = max((place for place, step in enumerate(phase.steps) if step.kind is not StepKind.CHECK), default=-1)
    blocks = (step for step in phase.steps[last + 1 :] if step.language in INTERPRETERS)
    return (*map(_block_step, blocks), *_command_checks(phase))


def _command_checks(phase: PhaseInfo) -> tuple[JobStep, ...]:
    return tuple(JobStep(JobStepKind.CHECK, f"check {' '.join(argv)}"[:_TITLE], argv) for argv in phase.checks)


def _check_blocks(phase: PhaseInfo) -> tuple[Step, ...]:
    return tuple(step for step in phase.steps if step.kind is StepKind.CHECK)


def _strange_check(phase: PhaseInfo) -> str:
    strange = [step for step in _check_blocks(phase) if step.language not in INTERPRETERS]
    if not strange:
        return ""
    return f"line {strange[0].line}: a check cannot be written in {strange[0].language!r} (sh, bash and python it can)"


def _block_step(step: Step) -> JobStep:
    return script_step(JobStepKind.CHECK, step.language, step.text)


def command_steps(kind: JobStepKind, lines: Iterable[str]) -> tuple[JobStep, ...]:
    """Command lines of the configuration as steps. No shell reads them."""
    return tuple(JobStep(kind, f"{kind.value} {line}"[:_TITLE], tuple(shlex.split(line))) for line in lines)
