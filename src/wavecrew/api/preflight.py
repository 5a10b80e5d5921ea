"""Whether the programs that a run needs are there, and ask before they write, before anything is started.

What it does: looks for the agent programs of the phases that are to be done, asks them whether somebody is logged in,
has those tried that are to ask our gate, and refuses what is missing, or would pass over the gate in silence.
What it does not know: how programs are asked (`agent_programs`) and tried (`gate_proof`), and repositories (`isolation`
looks at those).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec

from wavecrew.api.agent_programs import ask_logins, look_for, program_of
from wavecrew.config.parallel_config import ParallelExecutionConfig
from wavecrew.core.jobs import Agent, JobMaker
from wavecrew.errors import PreflightError
from wavecrew.models.agent_programs import InstalledProgram
from wavecrew.models.agent_report import Known
from wavecrew.models.parallel_execution import PhaseInfo

_UNASKED = "use a version that is known to (wavecrew agents list), or let it work without: --write-gate off"


def require_programs(
    jobs: JobMaker,
    phases: Iterable[PhaseInfo],
    config: ParallelExecutionConfig,
    tell: Callable[[str], None] = lambda words: None,
) -> None:
    """Raise PreflightError for a phase whose agent program is not installed, cannot be started, or would write without
    asking although it has to ask. `tell` is told what takes its time, and what is in doubt."""
    if config.phase_tools == "on" and find_spec("mcp") is None:
        raise PreflightError(
            "phase_tools = on needs the library for the Model Context Protocol", fix="pip install 'wavecrew[mcp]'"
        )
    first: dict[str, PhaseInfo] = {}
    for phase in phases:
        first.setdefault(jobs.agent_of(phase), phase)
    used = {name: jobs.agents[name] for name in first if program_of(jobs.agents[name]) is not None}
    found = look_for(used, jobs.environ) if used else {}
    for name, one in found.items():
        if one.problem:
            raise PreflightError(
                f"phase {first[name].id} is to be done by {name}, but {one.problem}",
                fix=f"install {one.program}, or choose another agent; see: wavecrew agents list",
            )
        if one.doubt and one.gate_works is not False:
            tell(f"{name} {one.version}: {one.doubt}")
    _require_logins(used, found, jobs, tell)
    if config.write_gate == "on":
        _require_askers(first, jobs)
    gated = {name: agent for name, agent in used.items() if jobs.bounds is not None and jobs.bounds.is_gated(name)}
    _require_gates(gated, found, config, tell)


def _require_logins(
    agents: Mapping[str, Agent], found: Mapping[str, InstalledProgram], jobs: JobMaker, tell: Callable[[str], None]
) -> None:
    for name, answer in ask_logins(agents, found, jobs.visible_to).items():
        fix = getattr(agents[name], "login_fix", "")
        if answer is Known.NO:
            raise PreflightError(f"nobody is logged in to {name}", fix=fix)
        if answer is Known.UNKNOWN:
            tell(f"it is not known whether anybody is logged in to {name}: {fix}")


def _require_askers(names: Iterable[str], jobs: JobMaker) -> None:
    for name in names:
        if jobs.bounds is None or not jobs.bounds.is_gated(name):
            raise PreflightError(
                f"{name} cannot ask before it writes, and write_gate = on wants that",
                fix="choose another agent (wavecrew agents list), or let it work without: --write-gate auto",
            )


def _require_gates(
    agents: Mapping[str, Agent],
    found: Mapping[str, InstalledProgram],
    config: ParallelExecutionConfig,
    tell: Callable[[str], None],
) -> None:
    """What a program says of itself comes first; it costs nothing."""
    for name in agents:
        if found[name].gate_works is False:
            raise PreflightError(
                f"{name} {found[name].version} would not ask before it writes: it does not trust our hook", fix=_UNASKED
            )
    if not agents or config.gate_proof == "off":
        return
    from wavecrew.api.gate_proof import kept_proofs, prove_gates

    proofs = kept_proofs(agents, found)
    proofs |= prove_gates({name: agent for name, agent in agents.items() if name not in proofs}, found, tell=tell)
    for name in agents:
        proof = proofs.get(name)
        if proof is not None and proof.holds is False:
            raise PreflightError(f"{name} {proof.version} does not ask before it writes: {proof.reason}", fix=_UNASKED)
        if proof is None or proof.holds is None:
            reason = proof.reason if proof else "our model does not speak its language"
            doubt = f"whether {name} {found[name].version} asks before it writes is not proven: {reason}"
            if config.write_gate == "on":
                raise PreflightError(doubt, fix="see what it does: wavecrew doctor --prove-gate")
            tell(doubt)
