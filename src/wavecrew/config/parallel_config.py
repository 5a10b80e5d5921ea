"""Every setting of wavecrew: its name, type, range, default and meaning, each on one line of `ParallelExecutionConfig`.

What it does: holds a checked, immutable set of values. The schema, the environment variable, the flag's help, the
documentation's table and the origin of a value are all derived from the same line: to add a setting, add a line.
What it does not know: files, variables and flags (`sources` reads them), and what the values bring about.
"""

# ruff: noqa: E501 -- all that is said about a setting stands on its line
from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from wavecrew.config.settings import Setting, did_you_mean
from wavecrew.errors import InvalidValueError

PROMPT_FILE: Final = "{prompt_file}"
"""Stands in `command` for the path of the file that holds the task."""

WEB_ADDRESS: Final = r"^https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?([/?][!-~]*)?$"
"""An address that messages may be sent to. It names no user and no password."""

_DAY: Final = 86_400
_WEEK: Final = 7 * _DAY


def _plain_number(value: float) -> float:
    """300.0 and 300 are one value, so they are shown and stored as one."""
    return int(value) if value == int(value) else value


def _no_blank(value: str) -> str:
    if not value or value != value.strip() or not value.isprintable():
        raise ValueError("empty, unprintable, or blank at an end")
    return value


def _no_nul(values: tuple[str, ...]) -> tuple[str, ...]:
    if any("\0" in value for value in values) or not all(values[:1]):
        raise ValueError("no program, or an argument that the system cannot pass on")
    return values


def _command_line(value: str) -> str:
    """A program and its arguments as a shell would split them; no shell reads it."""
    if "\0" in value or not shlex.split(value):
        raise ValueError("no program, or an argument that the system cannot pass on")
    return value


def _budget(value: str) -> str:
    """A budget as it was written; `models.usage` reads it. None of nothing."""
    if not re.fullmatch(r"\d+(\.\d+)? ?(usd|[kMG]?tok)", value, re.ASCII) or not re.search(r"[1-9]", value):
        raise ValueError("no amount of money or tokens")
    return value


def _told(*, flag: str = "", form: str = "") -> dict[str, Any]:
    """How a setting is spelt on the command line, and how its values are called, where that cannot be derived."""
    return {key: value for key, value in (("flag", flag), ("form", form)) if value}


Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict(), AfterValidator(_plain_number)]
Limit = Annotated[float, Strict(), Field(gt=0, le=_WEEK), AfterValidator(_plain_number)] | None
Bytes = Annotated[int, Strict(), Field(ge=65_536)] | None
Switch = Annotated[bool, Strict()]
Text = Annotated[str, Strict(), AfterValidator(_no_blank)]
Name = Annotated[str, Strict(), StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Arguments = Annotated[tuple[Annotated[str, Strict()], ...], AfterValidator(_no_nul)]
Names = tuple[Annotated[str, Strict(), StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], ...]


ForAgents = tuple[
    Annotated[str, Strict(), StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*:[\x21-\x2b\x2d-\x7e]+$")], ...
]
NamesForAgents = tuple[
    Annotated[str, Strict(), StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*:[A-Za-z_][A-Za-z0-9_]*$")], ...
]
ToolNames = tuple[
    Annotated[str, Strict(), StringConstraints(pattern=r"^[A-Za-z0-9_.:/*?-]*[A-Za-z0-9][A-Za-z0-9_.:/*?-]*$")], ...
]
Amount = Annotated[str, Strict(), AfterValidator(_budget)]
CommandLines = tuple[Annotated[str, Strict(), AfterValidator(_command_line)], ...]
Channels = tuple[Annotated[str, Strict(), StringConstraints(pattern=r"^(terminal|bell|command|webhook)$")], ...]
Address = Annotated[str, Strict(), StringConstraints(pattern=WEB_ADDRESS + r"|^\$[A-Za-z_][A-Za-z0-9_]*$")]
Headers = tuple[Annotated[str, Strict(), StringConstraints(pattern=r"^[A-Za-z0-9-]+=[A-Za-z_][A-Za-z0-9_]*$")], ...]
Person = Annotated[str, Strict(), StringConstraints(pattern=r"^[^<>\s]([^<>\r\n\x00]*[^<>\s])? <[^<>\s\x00]+>$")]


class ParallelExecutionConfig(BaseModel):
    """All settings of a run. A wrong value or an unknown name raises InvalidValueError with a readable reason."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # fmt: off
    max_parallel_agents: Whole = Field(default=3, ge=1, le=1000, description="How many agents work at the same time.", json_schema_extra=_told(flag="-j"))
    lock_timeout_seconds: Number = Field(default=300, ge=0, le=_WEEK, description="Longest wait of a requester for a lock, in seconds; 0 does not wait. A held lock ends with its owner, never by age.")
    wave_delay_seconds: Number = Field(default=5, ge=0, le=_DAY, description="Pause before the first start of the next wave, in seconds from the start of the wave before it; with gate = wave, from its end.")
    conflict_retry_attempts: Whole = Field(default=3, ge=0, le=100, description="How often a phase is tried again after a conflict with other work. A try counts only when the cause has changed.")
    monitoring_update_interval: Number = Field(default=2, gt=0, le=3600, description="Heartbeat of views and plain output, in seconds.")

    plan: Text = Field(default="plan", description="Folder or file that holds the plan.", json_schema_extra=_told(flag="PLAN", form="a path"))
    agent: Name = Field(default="runbook", description="Name of the agent that works on a phase which names none itself.", json_schema_extra=_told(form="a name of letters, digits, dots and dashes"))
    fallback_agent: Name | None = Field(default=None, description="Agent that works on a phase while the account of its own agent is used up, if it can; none waits.", json_schema_extra=_told(form="a name of letters, digits, dots and dashes"))
    command: Arguments = Field(default=(), description="Program and arguments that the agents named command and acp run.", json_schema_extra=_told(form="a list of a program and its arguments"))
    command_prompt: Literal["stdin", "file"] = Field(default="stdin", description="How that program gets the task: on standard input, or in a file that {prompt_file} in command stands for.")
    model: Text | None = Field(default=None, description="Model that agents with a choice of models use, as their program calls it; none leaves the choice to the program.", json_schema_extra=_told(form="the name of a model"))
    agent_models: ForAgents = Field(default=(), description="Models of single agents, which count more than model, as AGENT:MODEL; a document can name one for its phase.", json_schema_extra=_told(form="a list like claude:MODEL"))
    prompt_template: Text | None = Field(default=None, description="File with the text that prompts are made from, with {placeholders}; none takes ours. See docs/agents.md.", json_schema_extra=_told(form="a path"))
    phase_timeout_seconds: Limit = Field(default=None, description="Longest time for one attempt, in seconds; none sets no limit.", json_schema_extra=_told(flag="--timeout"))
    retries: Whole = Field(default=0, ge=0, le=100, description="Further attempts after a failed one.")
    retry_delay_seconds: Number = Field(default=0, ge=0, le=_DAY, description="Pause before such an attempt, in seconds.")
    grace_seconds: Number = Field(default=10, ge=0, le=3600, description="Time that an agent has to end by itself between TERM and KILL, in seconds.", json_schema_extra=_told(flag="--grace"))
    budget: Amount | None = Field(default=None, description="What a run may use: money or tokens, counted as its agents tell. Nothing new starts once it is spent; none sets no limit.", json_schema_extra=_told(form="like 5usd, 200ktok or 2Mtok"))
    budget_hard: Switch = Field(default=False, description="Whether a spent budget also ends the agents that are at work.")
    silent_after_seconds: Limit = Field(default=60, description="Time after which an agent of which nothing was heard is named, in seconds; none does not look.")
    stall: Literal["tell", "restart", "fail"] = Field(default="tell", description="What becomes of such an agent: it is only named; it is ended and its phase tried again, twice at most and without costing a retry; or its phase fails.")
    fail_fast: Switch = Field(default=False, description="Whether the first failed phase keeps all others from starting.")
    gate: Literal["none", "wave", "phase"] = Field(default="none", description="Before what a person has to agree: each wave but the first, which then also waits for the end of the one before it; each phase; or nothing.")
    min_free_memory: Whole = Field(default=256, ge=0, le=16_777_216, description="Memory that must be free before another agent starts beside those at work, in MiB.")
    max_load: Limit = Field(default=None, description="Load of the machine per core (one minute's average) above which no agent starts beside those at work; none does not look.")
    isolation: Literal["auto", "worktree", "shared"] = Field(default="auto", description="Where attempts work: each in a git worktree of its own, or all in one shared folder; auto takes worktrees in a git repository that has commits.")
    setup: CommandLines = Field(default=(), description="Commands that make a fresh worktree ready before its agent starts.", json_schema_extra=_told(form="a list of command lines"))
    teardown: CommandLines = Field(default=(), description="Commands that clear up after an attempt, before its worktree goes.", json_schema_extra=_told(form="a list of command lines"))
    gate_commands: CommandLines = Field(default=(), description="Commands that must succeed in the merged tree before the work of a phase becomes part of the result.", json_schema_extra=_told(form="a list of command lines"))
    author: Person | None = Field(default=None, description="Author of our commits; none takes the identity that git knows.", json_schema_extra=_told(form="like Name <mail@host>"))
    first_port: Whole = Field(default=20_000, ge=1024, le=65_000, description="First port of the first slot (WAVECREW_PORT_BASE); each further slot has the next ten.")
    audit: Literal["off", "warn", "fail"] = Field(default="warn", description="What a file leads to that changed without a claim: nothing, a warning, or the failure of each phase that was at work then.")
    write_gate: Literal["auto", "on", "off"] = Field(default="auto", description="Whether agents that can ask before they write have to: auto lets them write what their phase has claimed, claims for them what is free, and makes them wait for what somebody else holds; on also refuses to run an agent that cannot ask, or of which that is not proven.")
    harmless_tools: ToolNames = Field(default=(), description="Tools of agents, as patterns of their names, that write no files here, such as those of an MCP server: nobody is asked about their calls. Tools that are known to write are asked about in any case.", json_schema_extra=_told(form="a list of names of tools, where * stands for anything"))
    phase_tools: Literal["off", "on"] = Field(default="off", description="Whether agents get tools by which they tell how far they are, ask a person, and ask for locks, from a server that their programs start (pip install 'wavecrew[mcp]'). See docs/mcp.md.")
    gate_proof: Literal["once", "off"] = Field(default="once", description="Whether an agent program is tried before it works for the first time: against a scripted model on this machine it must not write what somebody else holds. Once for each of its versions; off takes its word.")
    ceiling: Literal["auto", "on", "off"] = Field(default="auto", description="Whether the kernel keeps agents from writing outside of their work, their own folders and the one for temporary files; on refuses to run where it cannot, auto says so and goes on.")
    put_back: Switch = Field(default=True, description="Whether an attempt that is repeated starts from the claimed files as they were before the failed one.")
    env: Names = Field(default=(), description="Environment variables that agents may see beyond the basic ones; names, never values.", json_schema_extra=_told(form="a list of names of environment variables"))
    agent_env: NamesForAgents = Field(default=(), description="Environment variables that only one agent may see, as AGENT:NAME; names, never values.", json_schema_extra=_told(form="a list like claude:ANTHROPIC_API_KEY"))
    ui: Literal["auto", "tui", "live", "plain", "jsonl", "none"] = Field(default="auto", description="How progress is shown; auto is live on a terminal and plain elsewhere. tui fills the terminal, and the run goes on without it.")
    log_limit_bytes: Bytes = Field(default=None, description="Largest log of one attempt, in bytes; beyond it head and tail are kept. none sets no limit.")
    notify: Channels = Field(default=(), description="Where news worth a person goes: to the terminal as a notification, as a bell, to notify_command, to notify_webhook. See docs/notifications.md.", json_schema_extra=_told(form="a list of terminal, bell, command and webhook"))
    notify_command: Arguments = Field(default=(), description="Program and arguments that get each message as JSON on standard input.", json_schema_extra=_told(form="a list of a program and its arguments"))
    notify_webhook: Address | None = Field(default=None, description="Address that each message is posted to as JSON; or the name of an environment variable that holds it, after a dollar sign.", json_schema_extra=_told(form="an http or https address without user and password, or like $NAME"))
    notify_headers: Headers = Field(default=(), description="Headers for the webhook, each with the name of the environment variable that holds its value; never the value.", json_schema_extra=_told(form="a list like Authorization=VARIABLE"))
    traces: Literal["none", "otlp"] = Field(default="none", description="Whether a run is sent as an OpenTelemetry trace at its end, to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names. See docs/traces.md.")
    # fmt: on

    if not TYPE_CHECKING:  # pragma: no branch -- checkers see the fields; at run time a refusal is put into our words

        def __init__(self, **values: object) -> None:
            try:
                super().__init__(**values)
            except ValidationError as refused:
                raise _in_our_words(refused, values) from None

    @model_validator(mode="after")
    def _task_reaches_the_program(self) -> Self:
        named = any(PROMPT_FILE in argument for argument in self.command)
        if self.command and named != (self.command_prompt == "file"):
            lack = "is not in command" if self.command_prompt == "file" else "in command would stay as it is"
            raise ValueError(f"command_prompt is {self.command_prompt}, but {PROMPT_FILE} {lack}")
        return self

    def changed(self, **values: object) -> Self:
        """A checked copy with some other values. Raises InvalidValueError as the class itself does."""
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | values)


@cache
def settings() -> Mapping[str, Setting]:
    """Every setting by its name, in the order of the lines above."""
    fields = ParallelExecutionConfig.model_fields
    told = ParallelExecutionConfig.model_json_schema()["properties"]
    return MappingProxyType({name: Setting.of(name, field.default, told[name]) for name, field in fields.items()})


def setting(name: str) -> Setting:
    """The setting of this name. Raises InvalidValueError, with the nearest name as the fix, if there is none."""
    if name not in settings():
        near = did_you_mean(
            name.lower().replace("-", "_"), tuple(settings()), "wavecrew config show lists all settings"
        )
        raise InvalidValueError(f"there is no setting {name if name.isprintable() else repr(name)}", fix=near)
    return settings()[name]


def checked(name: str, value: object) -> object:
    """One value, checked by itself, so that a refusal can name where it was written. Raises InvalidValueError."""
    told = setting(name)
    try:
        return _adapter(name).validate_python(value)
    except ValidationError:
        raise InvalidValueError(told.refusal(value)) from None


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    field = ParallelExecutionConfig.model_fields[name]
    form: Any = Annotated[field.annotation, field]
    return TypeAdapter(form)


def _in_our_words(refused: ValidationError, values: Mapping[str, object]) -> InvalidValueError:
    """One sentence for each setting that was refused; an unknown name comes first, for it may explain the rest."""
    reasons: dict[str, None] = {}
    for error in refused.errors():
        if not error["loc"]:
            fix = f"set command_prompt to file and write {PROMPT_FILE} in command, or neither"
            return InvalidValueError(str(error["ctx"]["error"]), fix=fix)
        name = str(error["loc"][0])
        try:
            reasons[setting(name).refusal(values[name])] = None
        except InvalidValueError as unknown:
            return unknown
    return InvalidValueError("; ".join(reasons))
