"""From settings to the rules that an engine keeps.

What it does: translates the settings of a run for those who judge attempts and look after files.
What it does not know: where settings come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wavecrew.agents.runbook import RunbookAgent
from wavecrew.config.parallel_config import ParallelExecutionConfig
from wavecrew.core.care import AuditPolicy, Care
from wavecrew.core.oversight import OversightRules
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.core.verdicts import RetryRules
from wavecrew.errors import InvalidValueError
from wavecrew.models.agent_report import Known
from wavecrew.models.resources import Claim
from wavecrew.models.usage import Budget


def retry_rules(config: ParallelExecutionConfig) -> RetryRules:
    """How often phases are tried again, and how long they wait for locks."""
    return RetryRules(
        config.retries,
        config.retry_delay_seconds,
        config.lock_timeout_seconds,
        max(1, config.conflict_retry_attempts),
        config.conflict_retry_attempts,
        restarts_silent=config.stall == "restart",
    )


def oversight_rules(config: ParallelExecutionConfig) -> OversightRules:
    """What is done about agents that fall silent, and what the run may use."""
    budget = Budget.parse(config.budget) if config.budget else None
    return OversightRules(config.silent_after_seconds, config.stall, budget, config.budget_hard)


def care_for(keys: ResourceKeys, claims: Mapping[str, tuple[Claim, ...]], config: ParallelExecutionConfig) -> Care:
    """The care for the files of the workspace."""
    return Care(keys, claims, AuditPolicy(config.audit), put_back=config.put_back)


def by_agent(pairs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """`claude:KEY` as the names of variables that each agent may see."""
    found: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        agent, _, name = pair.partition(":")
        found[agent] = (*found.get(agent, ()), name)
    return found


def untold(config: ParallelExecutionConfig, agents: Mapping[str, object]) -> tuple[str, ...]:
    """Why a budget may not be kept: agents that are not known to tell what it counts. A runbook uses nothing."""
    if config.budget is None:
        return ()
    budget = Budget.parse(config.budget)
    what = "cost" if budget.cost_usd is not None else "tokens"
    names = [name for name, agent in agents.items() if name != RunbookAgent.name and not _tells(agent, what)]
    if not names:
        return ()
    who = ", ".join(sorted(names))
    return (f"the budget of {budget.text} counts what agents tell, and {who} may not tell any {what}",)


def _tells(agent: object, what: str) -> bool:
    return getattr(getattr(agent, "capabilities", None), what, Known.NO) is Known.YES


def recorded_config(settings: Mapping[str, Any]) -> ParallelExecutionConfig:
    """The settings that a run was started with; the defaults if another version of wavecrew has recorded them."""
    known = {name: value for name, value in settings.items() if name in ParallelExecutionConfig.model_fields}
    try:
        return ParallelExecutionConfig(**known)
    except InvalidValueError:
        return ParallelExecutionConfig()
