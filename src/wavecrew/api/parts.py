"""From settings to those who work for a run: who makes its jobs, in which order phases start, what they rest on.

What it does: puts parts of the core together for one run.
What it does not know: which run that is and where it stands.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from wavecrew.agents.command import CommandAgent
from wavecrew.agents.prompt import check_template
from wavecrew.agents.runbook import RunbookAgent
from wavecrew.api.evidence import evidence_for
from wavecrew.api.plans import load_agents
from wavecrew.api.rules import by_agent, care_for
from wavecrew.api.workspace import Workspace
from wavecrew.config.parallel_config import ParallelExecutionConfig
from wavecrew.config.sources import LoadedConfig
from wavecrew.core.bounds import Bounds
from wavecrew.core.ceiling import probe
from wavecrew.core.commits import identity
from wavecrew.core.git import Git
from wavecrew.core.inputs import InputReader
from wavecrew.core.jobs import JobMaker
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.core.scheduler import Policy
from wavecrew.core.store import STATE_FOLDER
from wavecrew.errors import ConfigError, Place, PreflightError
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.parallel_execution import DependencyGraph, PhaseInfo
from wavecrew.models.schedule import Estimates, priorities


def job_maker(workspace: Workspace, run: str, *, worktrees: bool = False) -> JobMaker:
    """Who puts the jobs of a run together, which works in `worktrees` or not. Raises ConfigError for a template of
    prompts that cannot be used."""
    config, agents = workspace.loaded.config, load_agents()
    return JobMaker(
        run=run,
        workspace=workspace.folder,
        state_folder=workspace.folder / STATE_FOLDER,
        agents=agents,
        keys=ResourceKeys(workspace.folder),
        default_agent=config.agent,
        fallback_agent=config.fallback_agent or "",
        command=config.command,
        prompt_by_file=config.command_prompt == "file",
        model=config.model or "",
        models=dict(pair.split(":", 1) for pair in config.agent_models),
        prompt_template=_prompt_template(workspace.loaded),
        bounds=bounds_for(workspace.folder, config, agents),
        timeout=config.phase_timeout_seconds,
        grace=config.grace_seconds,
        log_limit=config.log_limit_bytes,
        setup=config.setup,
        first_port=config.first_port,
        passed_on=config.env,
        passed_to=by_agent(config.agent_env),
        environ=dict(os.environ),
        identity=identity(Git.open(workspace.folder), config.author or "") if worktrees else {},
    )


def bounds_for(folder: Path, config: ParallelExecutionConfig, agents: Mapping[str, object]) -> Bounds:
    """What keeps agents within what their phases may write. Raises PreflightError for a ceiling that cannot be."""
    found = probe()
    if config.ceiling == "on" and not found.available:
        raise PreflightError(f"there is no ceiling here: {found.reason}", fix="run with --ceiling auto")
    return Bounds(
        agents,
        folder / STATE_FOLDER / "runs",
        gate_seconds=config.lock_timeout_seconds if config.write_gate != "off" else None,
        ceiling=config.ceiling != "off" and found.available,
        harmless=config.harmless_tools,
        environ={name: _handed(config, name) for name in agents},
        tools=config.phase_tools == "on",
    )


def _handed(config: ParallelExecutionConfig, agent: str) -> dict[str, str]:
    """What an agent sees of the variables that the configuration names."""
    names = (*config.env, *by_agent(config.agent_env).get(agent, ()))
    return {name: os.environ[name] for name in names if name in os.environ}


def _prompt_template(loaded: LoadedConfig) -> str:
    """The text that prompts are made from; empty for ours."""
    path = loaded.template_path
    if path is None:
        return ""
    shown = loaded.config.prompt_template or ""
    try:
        return check_template(path.read_text(encoding="utf-8"), shown)
    except (OSError, UnicodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or "it is no UTF-8 text"
        raise ConfigError(
            f"the template of prompts cannot be read: {why}", place=Place(shown), fix="correct `prompt_template`"
        ) from None


def policy_for(graph: DependencyGraph, config: ParallelExecutionConfig, jobs: JobMaker, *, attended: bool) -> Policy:
    """The rules of the run. Urgency is the longest remaining chain by estimates; plan order settles ties."""
    remaining = priorities(graph, Estimates.of(graph).durations)
    place = {name: position for position, name in enumerate(graph.nodes)}
    order = sorted(graph.nodes, key=lambda name: (-remaining[name], place[name]))
    return Policy(
        agent_limit=config.max_parallel_agents,
        rank={name: position for position, name in enumerate(order)},
        claims={name: jobs.claims(phase) for name, phase in graph.nodes.items()},
        wave_delay_seconds=config.wave_delay_seconds,
        gate=config.gate,
        attended=attended,
        fail_fast=config.fail_fast,
        agents={name: jobs.agents_for(phase) for name, phase in graph.nodes.items()},
    )


def input_reader(workspace: Workspace, state: ExecutionState | None, jobs: JobMaker) -> InputReader:
    """Who says what phases rest on: those of a run, or of one that is about to begin."""
    return InputReader(
        evidence_for(workspace, state),
        claims=jobs.claims,
        key=jobs.keys.key,
        agent=jobs.agent_of,
        settings=_work_settings(workspace.loaded.config, jobs),
    )


def session_ahead(
    state: ExecutionState, phase: PhaseInfo, jobs: JobMaker, config: ParallelExecutionConfig, inputs: Mapping[str, str]
) -> str:
    """The session in which the next attempt of a phase would go on by its own agent; empty if it would begin afresh.
    `inputs` are what it would rest on."""
    agent = jobs.agent_of(phase)
    if not state.phase_states[phase.id].session or not jobs.resumes(agent):
        return ""
    care = care_for(jobs.keys, {phase.id: jobs.claims(phase)}, config)
    return care.session_for(state, jobs.state_folder, phase.id, agent, inputs)


def _work_settings(config: ParallelExecutionConfig, jobs: JobMaker) -> Callable[[PhaseInfo], Mapping[str, object]]:
    """The settings that change what an agent does; all others say when, how long, or what is shown."""
    for_all: dict[str, object] = {"setup": list(config.setup), "gate_commands": list(config.gate_commands)}
    prompted: dict[str, object] = {"command": list(config.command)}
    if config.command:
        prompted["command_prompt"] = config.command_prompt
    if jobs.prompt_template:
        prompted["prompt_template"] = jobs.prompt_template

    def settings(phase: PhaseInfo) -> Mapping[str, object]:
        agent = jobs.agent_of(phase)
        if phase.command or agent == RunbookAgent.name:
            return for_all
        model = jobs.model_of(phase) if agent != CommandAgent.name else ""
        return for_all | prompted | ({"model": model} if model else {})

    return settings
