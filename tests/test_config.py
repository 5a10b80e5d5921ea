"""Settings, their sources and origins: what is refused, what wins, and what people are told."""

from __future__ import annotations

import json
import os
import shlex
import string
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wavecrew.config.config_files import ConfigFile
from wavecrew.config.parallel_config import ParallelExecutionConfig, checked, settings
from wavecrew.config.settings import ENVIRONMENT_PREFIX, NOTHING, Setting
from wavecrew.config.sources import RESERVED_VARIABLES, LoadedConfig, OriginKind, config_schema, load_config
from wavecrew.config.toml_lines import KeyLines
from wavecrew.errors import ConfigError, InvalidValueError, Place, Severity, UsageError
from wavecrew.models.usage import Budget
from wavecrew.views.config_text import config_json, config_table

FOUNDING = {
    "max_parallel_agents": 3,
    "lock_timeout_seconds": 300,
    "wave_delay_seconds": 5,
    "conflict_retry_attempts": 3,
    "monitoring_update_interval": 2,
}
FURTHER = {
    "plan": "plan",
    "agent": "runbook",
    "fallback_agent": None,
    "command": (),
    "command_prompt": "stdin",
    "model": None,
    "agent_models": (),
    "prompt_template": None,
    "phase_timeout_seconds": None,
    "retries": 0,
    "retry_delay_seconds": 0,
    "grace_seconds": 10,
    "budget": None,
    "budget_hard": False,
    "silent_after_seconds": 60,
    "stall": "tell",
    "fail_fast": False,
    "gate": "none",
    "min_free_memory": 256,
    "max_load": None,
    "isolation": "auto",
    "setup": (),
    "teardown": (),
    "gate_commands": (),
    "author": None,
    "first_port": 20_000,
    "audit": "warn",
    "write_gate": "auto",
    "harmless_tools": (),
    "phase_tools": "off",
    "gate_proof": "once",
    "ceiling": "auto",
    "put_back": True,
    "env": (),
    "agent_env": (),
    "ui": "auto",
    "log_limit_bytes": None,
    "notify": (),
    "notify_command": (),
    "notify_webhook": None,
    "notify_headers": (),
    "traces": "none",
}


def load(start: Path = Path("/"), **given_: Any) -> LoadedConfig:
    """Load without files, unless a test says otherwise."""
    return load_config(start, **{"flags": {}, "environ": {}, "use_files": False, **given_})


def _any(values: Any) -> Any:
    """Values that no type checker would let through."""
    return values


class Home:
    """A home folder of its own, a project in it, and short ways to write files into both."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.user = root / "settings" / "wavecrew"
        self.project = root / "work" / "project"
        self.project.mkdir(parents=True)

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def load(self, start: Path | None = None, **given_: Any) -> LoadedConfig:
        return load(start or self.project, **{"use_files": True, **given_})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    made = Home(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(made.user))
    return made


# -- the model --------------------------------------------------------------------------------------------------


def test_the_founding_settings_and_their_defaults() -> None:
    config = ParallelExecutionConfig()
    assert list(ParallelExecutionConfig.model_fields)[:5] == list(FOUNDING)
    assert config.model_dump() == FOUNDING | FURTHER


def test_a_config_cannot_be_changed_in_place() -> None:
    config = ParallelExecutionConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.retries = 3
    assert config == ParallelExecutionConfig()
    assert hash(config) == hash(ParallelExecutionConfig())


def test_changed_gives_a_checked_copy() -> None:
    before = ParallelExecutionConfig(retries=2, env=("A",))
    after = before.changed(max_parallel_agents=7)
    assert (after.max_parallel_agents, after.retries, after.env) == (7, 2, ("A",))
    assert before.max_parallel_agents == 3
    with pytest.raises(InvalidValueError, match=r"max_parallel_agents must be .* not 0"):
        before.changed(max_parallel_agents=0)
    with pytest.raises(InvalidValueError, match="there is no setting retrys"):
        before.changed(retrys=1)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_parallel_agents": 0}, "max_parallel_agents must be a whole number from 1 to 1000, not 0"),
    ({"max_parallel_agents": 1001}, "max_parallel_agents must be a whole number from 1 to 1000, not 1001"),
    ({"max_parallel_agents": True}, "max_parallel_agents must be a whole number from 1 to 1000, not True"),
    ({"max_parallel_agents": "3"}, "max_parallel_agents must be a whole number from 1 to 1000, not '3'"),
    ({"max_parallel_agents": 3.0}, "max_parallel_agents must be a whole number from 1 to 1000, not 3.0"),
    ({"max_parallel_agents": None}, "max_parallel_agents must be a whole number from 1 to 1000, not None"),
    ({"lock_timeout_seconds": -1}, "lock_timeout_seconds must be a number from 0 to 604800, not -1"),
    ({"lock_timeout_seconds": float("nan")}, "lock_timeout_seconds must be a number from 0 to 604800, not nan"),
    ({"lock_timeout_seconds": float("inf")}, "lock_timeout_seconds must be a number from 0 to 604800, not inf"),
    ({"wave_delay_seconds": False}, "wave_delay_seconds must be a number from 0 to 86400, not False"),
    ({"conflict_retry_attempts": -1}, "conflict_retry_attempts must be a whole number from 0 to 100, not -1"),
    ({"monitoring_update_interval": 0}, "monitoring_update_interval must be a number above 0 and up to 3600, not 0"),
    ({"phase_timeout_seconds": 0}, "phase_timeout_seconds must be a number above 0 and up to 604800, or none, not 0"),
    ({"log_limit_bytes": 65_535}, "log_limit_bytes must be a whole number of at least 65536, or none, not 65535"),
    ({"fail_fast": 1}, "fail_fast must be true or false, not 1"),
    ({"budget": "5"}, "budget must be like 5usd, 200ktok or 2Mtok, or none, not '5'"),
    ({"budget": "0.0usd"}, "budget must be like 5usd, 200ktok or 2Mtok, or none, not '0.0usd'"),
    ({"budget": 5}, "budget must be like 5usd, 200ktok or 2Mtok, or none, not 5"),
    ({"silent_after_seconds": 0}, "silent_after_seconds must be a number above 0 and up to 604800, or none, not 0"),
    ({"stall": "kill"}, "stall must be one of tell, restart, fail, not 'kill'"),
    ({"gate": "waves"}, "gate must be one of none, wave, phase, not 'waves'"),
    ({"isolation": "docker"}, "isolation must be one of auto, worktree, shared, not 'docker'"),
    ({"min_free_memory": -1}, "min_free_memory must be a whole number from 0 to 16777216, not -1"),
    ({"max_load": 0}, "max_load must be a number above 0 and up to 604800, or none, not 0"),
    ({"first_port": 1023}, "first_port must be a whole number from 1024 to 65000, not 1023"),
    ({"setup": "npm ci"}, "setup must be a list of command lines, not 'npm ci'"),
    ({"setup": [""]}, "setup must be a list of command lines, not ['']"),
    ({"teardown": ["a 'b"]}, 'teardown must be a list of command lines, not ["a \'b"]'),
    ({"gate_commands": ["\t"]}, "gate_commands must be a list of command lines, not ['\\t']"),
    ({"gate_commands": ["x", "a\0"]}, "gate_commands must be a list of command lines, not ['x', 'a\\x00']"),
    (
        {"notify": ["mail"]},
        "notify must be a list of terminal, bell, command and webhook, not ['mail']",
    ),
    ({"notify": "bell"}, "notify must be a list of terminal, bell, command and webhook, not 'bell'"),
    ({"notify_command": ["\0"]}, "notify_command must be a list of a program and its arguments, not ['\\x00']"),
    *(
        (
            {"notify_webhook": address},
            "notify_webhook must be an http or https address without user and password, or like $NAME, or none, not "
            + repr(address),
        )
        for address in (
            "ftp://a/b",
            "file:///etc/passwd",
            "https://me:word@host/",
            "https://host/ x",
            "https://",
            "$1",
            "javascript:alert(1)",
            "http://host:port/",
            "http://ho\nst/",
        )
    ),
    ({"notify_headers": ["A: b"]}, "notify_headers must be a list like Authorization=VARIABLE, not ['A: b']"),
    (
        {"notify_headers": ["A=Bearer x"]},
        "notify_headers must be a list like Authorization=VARIABLE, not ['A=Bearer x']",
    ),
    ({"budget": "0.0usd"}, "budget must be like 5usd, 200ktok or 2Mtok, or none, not '0.0usd'"),
    ({"author": "Ann"}, "author must be like Name <mail@host>, or none, not 'Ann'"),
    ({"author": "Ann <a b>"}, "author must be like Name <mail@host>, or none, not 'Ann <a b>'"),
    ({"author": "Ann\n<a@b>"}, "author must be like Name <mail@host>, or none, not 'Ann\\n<a@b>'"),
    ({"ui": None}, "ui must be one of auto, tui, live, plain, jsonl, none, not None"),
    ({"command_prompt": "argument"}, "command_prompt must be one of stdin, file, not 'argument'"),
    ({"plan": ""}, "plan must be a path, not ''"),
    ({"plan": " plan"}, "plan must be a path, not ' plan'"),
    ({"plan": "pl\x1ban"}, "plan must be a path, not 'pl\\x1ban'"),
    ({"agent": "-x"}, "agent must be a name of letters, digits, dots and dashes, not '-x'"),
    ({"command": "make all"}, "command must be a list of a program and its arguments, not 'make all'"),
    ({"command": ["make", 3]}, "command must be a list of a program and its arguments, not ['make', 3]"),
    ({"command": ["", "x"]}, "command must be a list of a program and its arguments, not ['', 'x']"),
    ({"gate_commands": ["  "]}, "gate_commands must be a list of command lines, not ['  ']"),
    ({"command": ["x", "a\0"]}, "command must be a list of a program and its arguments, not ['x', 'a\\x00']"),
    (
        {"harmless_tools": ["*"]},
        "harmless_tools must be a list of names of tools, where * stands for anything, not ['*']",
    ),
    ({"agent_env": ["KEY"]}, "agent_env must be a list like claude:ANTHROPIC_API_KEY, not ['KEY']"),
    ({"agent_models": ["claude:a b"]}, "agent_models must be a list like claude:MODEL, not ['claude:a b']"),
    ({"env": ["A=1"]}, "env must be a list of names of environment variables, not ['A=1']"),
    ({"retries": 10**5000}, "retries must be a whole number from 0 to 100, not this int"),
    ({"plan": "x" * 100 + "\n"}, f"plan must be a path, not '{'x' * 59}…"),
    (
        {"retries": -1, "gate": 5},
        "retries must be a whole number from 0 to 100, not -1; gate must be one of none, wave, phase, not 5",
    ),
    ({"no\nway": 5}, "there is no setting 'no\\nway'"),
]


@pytest.mark.parametrize(("values", "reason"), REFUSED, ids=[reason[:40] for _, reason in REFUSED])
def test_a_wrong_value_is_refused_in_one_sentence(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        ParallelExecutionConfig(**values)
    assert str(refused.value) == reason
    assert isinstance(refused.value, ValueError)


@given(st.text("0159.", max_size=4), st.sampled_from(["usd", " usd", "tok", "ktok", "Mtok", "Gtok", "mtok", "eur", ""]))
def test_a_budget_that_is_accepted_can_be_read_and_no_other(amount: str, unit: str) -> None:
    try:
        ParallelExecutionConfig(budget=amount + unit)
    except InvalidValueError:
        with pytest.raises(InvalidValueError):
            Budget.parse(amount + unit)
    else:
        assert Budget.parse(amount + unit).text == amount + unit


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("max_paralel_agents", "did you mean max_parallel_agents?"),
        ("fail-fast", "did you mean fail_fast?"),
        ("Retries", "did you mean retries?"),
        ("colour", "wavecrew config show lists all settings"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest_name(name: str, fix: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^there is no setting {name}$") as refused:
        ParallelExecutionConfig(**_any({name: 1, "retries": -1}))
    assert refused.value.fix == fix


@pytest.mark.parametrize(
    ("command", "prompt", "reason"),
    [
        (["x", "{prompt_file}"], "stdin", "command_prompt is stdin, but {prompt_file} in command would stay as it is"),
        (["x"], "file", "command_prompt is file, but {prompt_file} is not in command"),
    ],
)
def test_a_command_must_get_its_task(command: list[str], prompt: Any, reason: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        ParallelExecutionConfig(command=command, command_prompt=prompt)  # type: ignore[arg-type]
    assert str(refused.value) == reason
    assert "command_prompt" in refused.value.fix


def test_commands_that_do_get_their_task() -> None:
    assert ParallelExecutionConfig(command=("x", "-f={prompt_file}"), command_prompt="file").command_prompt == "file"
    assert ParallelExecutionConfig(command=("x",)).command == ("x",)
    assert ParallelExecutionConfig(command_prompt="file").command == ()  # phases name their commands themselves


def test_whole_seconds_are_one_value_however_written() -> None:
    config = ParallelExecutionConfig(lock_timeout_seconds=60.0, wave_delay_seconds=0.5, phase_timeout_seconds=90.0)
    assert repr((config.lock_timeout_seconds, config.wave_delay_seconds)) == "(60, 0.5)"
    assert repr(config.phase_timeout_seconds) == "90"


# -- what is derived from a setting's line ------------------------------------------------------------------------


def test_every_setting_tells_its_names_range_and_default() -> None:
    assert list(settings()) == list(ParallelExecutionConfig.model_fields)
    for name, told in settings().items():
        assert told.variable == "WAVECREW_" + name.upper()
        assert told.flag.startswith("-") or name == "plan"
        assert told.description.endswith(".")
        assert told.help == f"{told.description} Allowed: {told.allowed}. Default: {told.text(told.default)}."
        if name.endswith("_seconds"):
            assert "seconds" in told.description
    assert settings()["max_parallel_agents"].flag == "-j"
    assert settings()["fail_fast"].flag == "--fail-fast"


def test_a_new_line_is_all_that_a_new_setting_needs() -> None:
    told = Setting.of("speed", 2, {"description": "How fast.", "type": "integer", "default": 2})
    assert (told.variable, told.flag, told.allowed) == ("WAVECREW_SPEED", "--speed", "a whole number")
    limits = {"maximum": "of at most 9", "minimum": "of at least 9", "exclusiveMinimum": "above 9"}
    for limit, words in limits.items():
        told = Setting.of("speed", 2, {"description": "How fast.", "type": "number", limit: 9})
        assert told.allowed == f"a number {words}"


def test_the_schema_serves_editors() -> None:
    schema = config_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == list(settings())
    for name, told in schema["properties"].items():
        assert told["title"]
        assert told["description"] == settings()[name].description
        assert set(told) <= {"title", "description", "default", "type", "anyOf", "enum", "items", "minimum", "maximum",
                             "exclusiveMinimum", "pattern"}  # fmt: skip
    agents, limit = schema["properties"]["max_parallel_agents"], schema["properties"]["phase_timeout_seconds"]
    assert (agents["title"], agents["minimum"], agents["maximum"], agents["default"]) == (
        "Max parallel agents",
        1,
        1000,
        3,
    )
    assert limit["anyOf"] == [{"exclusiveMinimum": 0, "maximum": 604800, "type": "number"}, {"const": "none"}]
    assert limit["default"] == "none"
    assert json.loads(json.dumps(schema)) == schema


def test_the_schemas_defaults_make_a_file_that_changes_nothing(home: Home) -> None:
    told = config_schema()["properties"]
    home.write("work/project/wavecrew.toml", _toml({name: entry["default"] for name, entry in told.items()}))
    assert home.load().config == ParallelExecutionConfig()


# -- round trips ------------------------------------------------------------------------------------------------

_word = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
_argument = st.text(st.characters(exclude_categories=["C"]), max_size=12)
_variable_name = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True) | st.just("none")
_web_address = st.from_regex(
    r"https?://([a-z][a-z0-9.-]{0,8}|\[[0-9a-f:]{2,9}\])(:[0-9]{1,5})?([/?][!-~]{0,9})?", fullmatch=True
)

_agent = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True)
_command_line = st.lists(_argument, min_size=1, max_size=3).map(shlex.join) | st.just("none")
_person = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="<>"), min_size=1, max_size=8)

_graphic = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), min_size=1, max_size=8)

_SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "harmless_tools": st.lists(st.from_regex(r"[a-z*_]{0,6}[a-z][a-z*_]{0,6}", fullmatch=True), max_size=4).map(tuple),
    "agent_env": st.lists(st.builds("{}:{}".format, _agent, _variable_name), max_size=4).map(tuple),
    "agent_models": st.lists(st.builds("{}:{}".format, _agent, _graphic), max_size=4).map(tuple),
    "author": st.builds("{} <{}>".format, _person, _person),
    "budget": st.builds("{}{}".format, st.integers(1, 999), st.sampled_from(["usd", "tok", " ktok", "Mtok"])),
    "notify": st.lists(st.sampled_from(["terminal", "bell", "command", "webhook"]), max_size=3).map(tuple),
    "notify_webhook": _web_address | st.builds("${}".format, _variable_name),
    "notify_headers": st.lists(st.builds("X-1={}".format, _variable_name), max_size=3).map(tuple),
}


def _values_of(name: str, told: Setting) -> st.SearchStrategy[Any]:
    """Values that this setting can have, made from its schema alone."""
    schema = told.schema
    low, high = schema.get("minimum", 0), schema.get("maximum", 10**9)
    match schema["type"]:
        case "integer":
            values: st.SearchStrategy[Any] = st.integers(low, high)
        case "number":
            above = "exclusiveMinimum" in schema
            values = st.integers(low + above, high) | st.floats(low, high, exclude_min=above)
        case "boolean":
            values = st.booleans()
        case "array" if name in ("setup", "teardown", "gate_commands"):
            values = st.lists(_command_line, max_size=3).map(tuple)
        case _ if name in _SPECIAL:
            values = _SPECIAL[name]
        case "array" if name == "env":
            values = st.lists(_variable_name, max_size=4).map(tuple)
        case "array":
            values = st.lists(_argument, max_size=4).map(lambda more: ("none", *more)[: len(more)])
        case _ if "enum" in schema:
            values = st.sampled_from(schema["enum"])
        case _ if "pattern" in schema:
            values = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True)
        case _:
            values = _word
    # a text that says "none" is how nothing is written where there is no null
    return values.filter(lambda value: str(value).casefold() != NOTHING) | st.none() if told.optional else values


_setting_and_value = st.sampled_from(sorted(settings())).flatmap(
    lambda name: st.tuples(st.just(name), _values_of(name, settings()[name]))
)


def _toml(values: Mapping[str, Any]) -> str:
    """Settings as TOML; a JSON text or list is one in TOML too."""
    lines = []
    for name, value in values.items():
        lines.append(f"{name} = {json.dumps('none' if value is None else value, ensure_ascii=False)}\n")
    return "".join(lines)


@given(_setting_and_value)
def test_every_setting_round_trips_through_environment_flag_document_and_toml(pair: tuple[str, Any]) -> None:
    name, value = pair
    told = settings()[name]
    by_text = [
        load(environ={told.variable: told.text(value)}),
        load(flags={name: told.text(value)}),
        load(document={name: value}),
        load(document=tomllib.loads(_toml({name: value}))),
    ]
    if value is not None:
        by_text.append(load(flags={name: value}))
    for loaded in by_text:
        assert getattr(loaded.config, name) == value
        assert {other for other, origin in loaded.origins.items() if origin.kind != OriginKind.DEFAULT} == {name}


@pytest.mark.parametrize(("name", "value"), [("env", ("None",)), ("command", ("none",)), ("agent_env", ())])
def test_a_list_of_the_word_for_nothing_is_told_apart_from_nothing(name: str, value: tuple[str, ...]) -> None:
    told = settings()[name]
    assert getattr(load(environ={told.variable: told.text(value)}).config, name) == value


@given(_setting_and_value)
def test_a_value_that_is_alone_accepted_is_accepted_by_the_model(pair: tuple[str, Any]) -> None:
    name, value = pair
    assert checked(name, value) == value == getattr(ParallelExecutionConfig(**{name: value}), name)


@given(st.sampled_from(sorted(settings())), st.text(max_size=20))
def test_no_text_in_a_variable_brings_a_traceback(name: str, text: str) -> None:
    variable = settings()[name].variable
    refusal = ""
    try:
        load(environ={variable: text})
    except ConfigError as refused:
        refusal = refused.reason
    assert refusal == "" or refusal.startswith(
        (f"env {variable}: {name} must be ", f"env {variable}: command_prompt is")
    )


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("FAIL_FAST", "yes", True),
        ("FAIL_FAST", "ON", True),
        ("FAIL_FAST", "1", True),
        ("FAIL_FAST", "true", True),
        ("FAIL_FAST", "No", False),
        ("FAIL_FAST", "off", False),
        ("FAIL_FAST", "0", False),
        ("FAIL_FAST", "false", False),
        ("RETRIES", " 3 ", 3),
        ("GRACE_SECONDS", "1.5", 1.5),
        ("GRACE_SECONDS", "2e1", 20),
        ("PHASE_TIMEOUT_SECONDS", "None", None),
        ("ENV", "A, B  C,,D", ("A", "B", "C", "D")),
        ("ENV", "none", ()),
        ("COMMAND", "run --message 'two words'", ("run", "--message", "two words")),
        ("GATE", "none", "none"),
    ],
)
def test_variables_are_read_as_people_write_them(variable: str, text: str, value: object) -> None:
    found = load(environ={ENVIRONMENT_PREFIX + variable: text}).config
    assert getattr(found, variable.lower()) == value


@pytest.mark.parametrize(
    ("variable", "text"),
    [("FAIL_FAST", "maybe"), ("RETRIES", "3.0"), ("GRACE_SECONDS", "nan"), ("COMMAND", "'open"), ("RETRIES", "none")],
)
def test_variables_that_cannot_be_read(variable: str, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(environ={ENVIRONMENT_PREFIX + variable: text})
    assert refused.value.reason.startswith(f"env WAVECREW_{variable}: {variable.lower()} must be ")
    assert refused.value.reason.endswith(f"not {text!r}") or variable == "GRACE_SECONDS"


def test_an_empty_variable_sets_nothing() -> None:
    loaded = load(environ={"WAVECREW_AGENT": "", "WAVECREW_RETRIES": "  "})
    assert loaded.config == ParallelExecutionConfig()
    assert loaded.diagnostics == ()


# -- the environment belongs to everybody ---------------------------------------------------------------------------


def test_variables_of_the_program_itself_and_of_others_are_no_mistakes() -> None:
    others = {"PATH": "/bin", "WAVE": "1", **dict.fromkeys(RESERVED_VARIABLES, "x")}
    assert load(environ=others).diagnostics == ()


def test_no_setting_is_called_like_a_variable_of_the_program_itself() -> None:
    assert not RESERVED_VARIABLES & {told.variable for told in settings().values()}
    wanted = {"ATTEMPT", "RUN", "PHASE", "STATE", "CORPUS", "A11Y", "NO_INPUT"}
    assert {"WAVECREW_" + name for name in wanted} <= RESERVED_VARIABLES


def test_an_unknown_variable_is_told_of() -> None:
    warnings = load(environ={"WAVECREW_RETRYS": "1", "WAVECREW_ZZZ": "1"}).diagnostics
    assert [(found.code, found.severity) for found in warnings] == [("WC201", Severity.WARNING)] * 2
    assert [found.fix for found in warnings] == [
        "did you mean WAVECREW_RETRIES?",
        "unset it, or see wavecrew config show",
    ]
    assert warnings[0].message == "the environment variable WAVECREW_RETRYS sets nothing"


# -- precedence and origin ----------------------------------------------------------------------------------------


@given(st.sets(st.sampled_from(["user", "project", "environment", "document", "flag"])))
def test_the_strongest_source_wins_and_is_named(present: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        root = Path(folder).resolve()
        patch.setenv("HOME", str(root))
        patch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(root / "user"))
        here = Home(root)
        texts = {"default": "default"}
        if "user" in present:
            here.write("user/wavecrew.toml", "# mine\nretries = 1\n")
            texts["user"] = "../../user/wavecrew.toml:2"
        if "project" in present:
            here.write("work/project/wavecrew.toml", "\n\nretries = 2\n")
            texts["project"] = "wavecrew.toml:3"
        texts |= {"environment": "env WAVECREW_RETRIES", "document": "plan document", "flag": "--retries"}
        loaded = here.load(
            flags={"retries": 5 if "flag" in present else None},
            environ={"WAVECREW_RETRIES": "3"} if "environment" in present else {},
            document={"retries": 4} if "document" in present else {},
        )
    order = ["default", "user", "project", "environment", "document", "flag"]
    winner = max(present, key=order.index, default="default")
    origin = loaded.origins["retries"]
    assert loaded.config.retries == order.index(winner)
    assert (origin.kind, origin.text) == (winner, texts[winner])
    assert set(loaded.origins) == set(settings())


def test_lists_replace_and_never_merge(home: Home) -> None:
    home.write("settings/wavecrew/wavecrew.toml", 'env = ["A", "B"]\n')
    home.write("work/project/wavecrew.toml", 'env = ["C"]\n')
    assert home.load().config.env == ("C",)
    assert home.load(environ={"WAVECREW_ENV": "none"}).config.env == ()


def test_news_that_a_project_sends_somewhere_are_told_apart_from_those_of_the_user(home: Home) -> None:
    all_of_it = 'notify = ["command", "webhook"]\nnotify_command = ["tell", "a b"]\nnotify_webhook = "https://h/x"\n'
    home.write("settings/wavecrew/wavecrew.toml", all_of_it + 'notify_headers = ["X=TOKEN"]\n')
    assert home.load().notices_from_project == ()
    home.write("work/project/wavecrew.toml", 'notify = ["webhook"]\n')
    assert home.load().notices_from_project == ()
    home.write("work/project/wavecrew.toml", 'notify_webhook = "https://evil/"\n')
    assert home.load().notices_from_project == ("to https://evil/ with the variables TOKEN",)
    home.write("work/project/wavecrew.toml", 'notify_headers = ["X=AWS_SECRET"]\n')
    assert home.load().notices_from_project == ("to https://h/x with the variables AWS_SECRET",)
    home.write("work/project/wavecrew.toml", 'notify_headers = []\nnotify_command = ["sh", "-c", "rm x"]\n')
    assert home.load().notices_from_project == ("to the program sh -c 'rm x'", "to https://h/x")
    home.write("work/project/wavecrew.toml", all_of_it.replace('"command", "webhook"', '"bell"'))
    assert home.load().notices_from_project == ()


def test_a_flag_of_none_was_not_given_and_short_flags_are_named() -> None:
    loaded = load(flags={"max_parallel_agents": 8, "agent": None, "phase_timeout_seconds": "none"})
    assert loaded.origins["max_parallel_agents"].text == "-j"
    assert loaded.origins["phase_timeout_seconds"].text == "--timeout"
    assert loaded.origins["agent"].text == "default"


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ({"flags": {"retries": -1}}, "--retries: retries must be a whole number from 0 to 100, not -1"),
        ({"flags": {"retrys": 1}}, "retrys: there is no setting retrys"),
        ({"flags": {"max_parallel_agents": "x"}},
         "-j: max_parallel_agents must be a whole number from 1 to 1000, not 'x'"),
        ({"document": {"retries": "1"}}, "plan document: retries must be a whole number from 0 to 100, not '1'"),
        ({"document": {"pace": 1}}, "plan document: there is no setting pace"),
        ({"environ": {"WAVECREW_COMMAND": "x {prompt_file}"}},
         "env WAVECREW_COMMAND: command_prompt is stdin, but {prompt_file} in command would stay as it is"),
        ({"flags": {"command_prompt": "file"}, "environ": {"WAVECREW_COMMAND": "x"}},
         "--command-prompt: command_prompt is file, but {prompt_file} is not in command"),
    ],
)  # fmt: skip
def test_a_refusal_names_its_source(given_: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(**given_)
    assert refused.value.reason == reason
    assert refused.value.place is None


def test_a_wrong_value_is_refused_even_where_a_stronger_source_would_hide_it(home: Home) -> None:
    home.write("work/project/wavecrew.toml", "retries = -1\n")
    with pytest.raises(ConfigError, match="retries must be"):
        home.load(flags={"retries": 1})


# -- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "reason", "fix"),
    [
        ("\n[x]\ny = 1\n", "wavecrew.toml:2", "there is no setting x", "wavecrew config show lists all settings"),
        ("agent='a'\nmax_agents = 3", "wavecrew.toml:2", "there is no setting max_agents", None),
        ("# one\n\nfailfast = true", "wavecrew.toml:3", "there is no setting failfast", "did you mean fail_fast?"),
        ('retries = "3"', "wavecrew.toml:1", "retries must be a whole number from 0 to 100, not '3'", ""),
        ('command = "make"', "wavecrew.toml:1",
         "command must be a list of a program and its arguments, not 'make'", ""),
        ("retries = 1\nretries = 2\n", "wavecrew.toml:2:12", "this is not TOML: ", None),
        ("a = ", "wavecrew.toml:1", "this is not TOML: ", None),
        ("a = [1,\n", "wavecrew.toml:2", "this is not TOML: ", None),
        ("\n'' =\n\n", "wavecrew.toml:2:5", "this is not TOML: ", None),
    ],
)  # fmt: skip
def test_what_a_file_gets_wrong_is_told_with_its_line(
    home: Home, text: str, place: str, reason: str, fix: str | None
) -> None:
    home.write("work/project/wavecrew.toml", text)
    with pytest.raises(ConfigError) as refused:
        home.load()
    assert str(refused.value.place) == place
    # what exactly is wrong with broken TOML is said by the standard library, in words that change
    assert refused.value.reason == reason or (reason.endswith(": ") and refused.value.reason.startswith(reason))
    assert refused.value.fix == fix if fix is not None else refused.value.fix


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (b"agent = '\xff'", "this is not UTF-8 (byte 9)"),
        (b"x = " + b"9" * 5000, "this is not TOML: Exceeds the limit"),
        (b"x = " + b"[" * 100_000, "this is not TOML: it is nested too deeply"),
    ],
)
def test_files_that_cannot_be_understood_at_all(home: Home, written: bytes, reason: str) -> None:
    (home.project / "wavecrew.toml").write_bytes(written)
    with pytest.raises(ConfigError) as refused:
        home.load()
    assert refused.value.reason.startswith(reason)
    assert refused.value.place == Place("wavecrew.toml")


def test_a_file_that_may_not_be_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write("work/project/wavecrew.toml", "")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigError, match=r"^it cannot be read: Permission denied$"):
        home.load()


def test_marks_and_line_ends_of_other_systems_are_no_mistake(home: Home) -> None:
    (home.project / "wavecrew.toml").write_bytes(b'\xef\xbb\xbf# one\r\nagent = "a"\r\nretries = 2\r\n')
    loaded = home.load()
    assert (loaded.config.retries, loaded.origins["retries"].text) == (2, "wavecrew.toml:3")


def test_the_nearest_file_counts_and_is_the_root(home: Home) -> None:
    home.write("work/wavecrew.toml", "retries = 1\n")
    home.write("work/project/pyproject.toml", "[tool.wavecrew]\nretries = 2\n")
    deep = home.project / "a" / "b"
    deep.mkdir(parents=True)
    loaded = home.load(deep)
    assert (loaded.config.retries, loaded.origins["retries"].text) == (2, "../../pyproject.toml:2")
    assert loaded.origins["retries"].place == Place("../../pyproject.toml", 2)
    assert (loaded.start, loaded.root, loaded.plan_path) == (deep, home.project, home.project / "plan")
    assert [file.path for file in loaded.files if file.read] == [home.project / "pyproject.toml"]


def test_the_search_ends_at_the_repository_and_at_home(home: Home) -> None:
    home.write("wavecrew.toml", "retries = 1\n")
    assert home.load().config.retries == 1
    (home.root / "work" / ".git").mkdir()
    loaded = home.load()
    assert loaded.config.retries == 0
    assert loaded.root == home.project
    assert home.root / "work" / "wavecrew.toml" in [file.path for file in loaded.files]
    assert home.root / "wavecrew.toml" not in [file.path for file in loaded.files]


def test_the_search_does_not_climb_above_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "home"
    inner.mkdir()
    (tmp_path / "wavecrew.toml").write_text("retries = 1\n")
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(inner))
    assert load(inner, use_files=True).config.retries == 0
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    assert load(inner, use_files=True).config.retries == 1


def test_the_search_ends_at_the_top_of_the_disk(home: Home) -> None:
    assert home.load(Path("/")).root == Path("/")


def test_a_relative_start_is_taken_from_where_we_stand(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.project)
    home.write("work/project/wavecrew.toml", "retries = 1\n")
    loaded = home.load(Path())
    assert (loaded.config.retries, loaded.root) == (1, home.project)


def test_a_shared_file_without_our_table_is_passed_by(home: Home) -> None:
    home.write("work/project/pyproject.toml", "this is [not TOML, and no business of ours")
    home.write("work/pyproject.toml", '[project]\nname = "wavecrew-like"\n')
    home.write("wavecrew.toml", "retries = 1\n")
    loaded = home.load()
    assert (loaded.config.retries, loaded.root) == (1, home.root)


@pytest.mark.parametrize("text", ["tool = 3 # wavecrew", "[tool]\nother = 'wavecrew'"])
def test_a_shared_file_where_our_table_cannot_be(home: Home, text: str) -> None:
    home.write("work/project/pyproject.toml", text)
    assert home.load().config == ParallelExecutionConfig()


def test_a_shared_file_that_names_us_must_be_sound(home: Home) -> None:
    path = home.write("work/project/pyproject.toml", "[tool.wavecrew\n")
    with pytest.raises(ConfigError, match="this is not TOML"):
        home.load()
    path.write_text("[tool]\nwavecrew = 3\n")
    with pytest.raises(ConfigError, match=r"^tool\.wavecrew must be a table$") as refused:
        home.load()
    assert str(refused.value.place) == "pyproject.toml:2"


def test_two_files_in_one_folder(home: Home) -> None:
    home.write("work/project/wavecrew.toml", "retries = 1\n")
    shared = home.write("work/project/pyproject.toml", "[tool.wavecrew]\nretries = 2\n")
    loaded = home.load()
    assert loaded.config.retries == 1
    (found,) = loaded.diagnostics
    assert (found.code, found.severity, str(found.place)) == ("WC202", Severity.WARNING, "pyproject.toml")
    assert found.message == "[tool.wavecrew] is not used, because wavecrew.toml stands in the same folder"
    shared.write_text("[tool.wavecrew\n")
    assert home.load().diagnostics == ()
    shared.write_text("[project]\n# not wavecrew\n")
    assert home.load().diagnostics == ()


def test_the_users_file_has_two_names(home: Home) -> None:
    home.write("settings/wavecrew/config.toml", "retries = 1\n")
    loaded = home.load()
    assert (loaded.config.retries, loaded.origins["retries"].kind) == (1, OriginKind.USER)
    home.write("settings/wavecrew/wavecrew.toml", "retries = 2\n")
    assert home.load().config.retries == 2
    assert home.load().root == home.project


def test_files_far_away_are_shown_from_home_or_whole(home: Home, tmp_path: Path) -> None:
    home.write("settings/wavecrew/wavecrew.toml", "retries = 1\n")
    deep = home.project / "a" / "b" / "c"
    deep.mkdir(parents=True)
    assert home.load(deep).origins["retries"].text == "~/settings/wavecrew/wavecrew.toml:1"
    assert ConfigFile.look_at(Path("/etc/wavecrew.toml"), "user", deep).shown == "/etc/wavecrew.toml"


def test_a_file_of_the_users_choice_stands_alone(home: Home) -> None:
    home.write("settings/wavecrew/wavecrew.toml", "retries = 1\n")
    home.write("work/project/wavecrew.toml", "retries = 2\n")
    home.write("work/project/other.toml", 'grace_seconds = 3\ncommand = ["x"]\n')
    loaded = home.load(config_file=Path("other.toml"))
    assert (loaded.config.retries, loaded.config.grace_seconds) == (0, 3)
    assert (loaded.origins["grace_seconds"].kind, loaded.origins["grace_seconds"].text) == ("file", "other.toml:1")
    assert not loaded.commands_from_project
    with pytest.raises(ConfigError, match=r"^there is no configuration file none\.toml$"):
        home.load(config_file=Path("none.toml"))
    with pytest.raises(UsageError, match="--config and --no-config"):
        home.load(config_file=Path("other.toml"), use_files=False)


def test_without_files_no_file_is_read(home: Home) -> None:
    home.write("work/project/wavecrew.toml", "this is not TOML")
    loaded = home.load(use_files=False)
    assert (loaded.config, loaded.files) == (ParallelExecutionConfig(), ())


def test_a_folder_called_like_a_file_is_no_file(home: Home) -> None:
    (home.project / "wavecrew.toml").mkdir()
    home.write("settings/wavecrew", "a file where a folder belongs")
    assert home.load().config == ParallelExecutionConfig()


def test_where_the_plan_is(home: Home) -> None:
    home.write("work/project/wavecrew.toml", 'plan = "plans/main"\n')
    below = home.project / "src"
    below.mkdir()
    assert home.load(below).plan_path == home.project / "plans/main"
    assert home.load(below, flags={"plan": "mine"}).plan_path == below / "mine"
    assert home.load(below, environ={"WAVECREW_PLAN": "/abs"}).plan_path == Path("/abs")
    assert home.load(below).template_path is None
    assert home.load(below, flags={"prompt_template": "p.md"}).template_path == below / "p.md"


# -- who named the program? ---------------------------------------------------------------------------------------


def test_commands_that_a_project_brings_along_are_told_apart(home: Home) -> None:
    assert not home.load().commands_from_project
    home.write("settings/wavecrew/wavecrew.toml", 'command = ["mine"]\n')
    assert not home.load().commands_from_project
    home.write("work/project/wavecrew.toml", 'command = ["theirs"]\nenv = ["TOKEN"]\n')
    assert home.load().commands_from_project
    assert home.load().from_project("env")
    assert not home.load().from_project("agent")
    assert not home.load(environ={"WAVECREW_COMMAND": "mine"}).commands_from_project
    assert not home.load(flags={"command": ("mine",)}).commands_from_project
    assert home.load(environ={"WAVECREW_COMMAND": "mine"}, document={"command": ["theirs"]}).commands_from_project
    assert not home.load(document={"command": []}).commands_from_project


# -- lines of keys ----------------------------------------------------------------------------------------------

_TRICKY = '''\
# agent = "in a comment"
"agent" = "x" # plan = 1
plan = """
retries = 1
a quote \\""" and ""two"" more""""
command = [ # [tool.wavecrew]
  "a]", 'b#', """
  grace = 1""",
]
env = { nested = { a = [1,
 2] } }
'gate' = \'\'\'
ui = 1\'\'\'
fail_fast = true
a."b.c".d = 1.5e3
\t[ tool . "wavecrew" ] # here
retries = 1
sub.one = 1
[tool.wavecrew.more]
x = 1
[[tool.wavecrew.rows]]
x = 1
[[tool.wavecrew.rows]]
x = 1
[other]
ui = 1'''


def test_lines_of_keys_in_a_tricky_file() -> None:
    tomllib.loads(_TRICKY.replace("{ nested = { a = [1,\n 2] } }", "{}\n"))
    top = KeyLines(_TRICKY)
    wanted = {"agent": 2, "plan": 3, "command": 6, "env": 10, "gate": 12, "fail_fast": 14, "a": 15, "tool": 16}
    assert {name: top[name] for name in wanted} == wanted
    assert (top["retries"], top["grace"], top["ui"], top["other"]) == (0, 0, 0, 25)
    ours = KeyLines(_TRICKY, ("tool", "wavecrew"))
    assert {name: ours[name] for name in ("retries", "sub", "more", "rows")} == {
        "retries": 17, "sub": 18, "more": 19, "rows": 21}  # fmt: skip
    assert ours["ui"] == 16


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[tool.wavecrew]\n\nui = 1", 3),
        ("[tool]\nwavecrew.ui = 1", 2),
        ("\ntool.wavecrew.ui = 1", 2),
        ("[tool]\n\nwavecrew = { ui = 1 }", 3),
        ("tool = { wavecrew = { ui = 1 } }", 0),
    ],
)
def test_the_line_of_a_key_however_its_table_is_written(text: str, line: int) -> None:
    assert tomllib.loads(text)["tool"]["wavecrew"] == {"ui": 1}
    assert KeyLines(text, ("tool", "wavecrew"))["ui"] == line


_key = st.text(string.ascii_lowercase + ".\"' #[]=", min_size=1, max_size=6)
_scalar = st.integers() | st.booleans() | _argument
_value = _scalar | st.lists(_scalar, max_size=3)


@given(st.lists(st.tuples(_key, _value, st.integers(0, 2)), max_size=8, unique_by=lambda entry: entry[0]))
def test_the_line_of_every_key_is_found(entries: list[tuple[str, object, int]]) -> None:
    text, wanted = "", {}
    for key, value, blank_lines in entries:
        text += "#\n" * blank_lines
        wanted[key] = text.count("\n") + 1
        written = json.dumps(value, ensure_ascii=False)
        text += f"{json.dumps(key)} = {written}\n"
    found = KeyLines(text)
    assert list(tomllib.loads(text)) == list(wanted)
    assert {key: found[key] for key in wanted} == wanted


def test_the_public_face_does_not_load_the_model() -> None:
    """Whoever imports wavecrew for something else does not pay for the configuration."""
    program = "import sys, wavecrew; print(sorted({'pydantic', 'platformdirs', 'wavecrew.config'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# -- as people see it -------------------------------------------------------------------------------------------


def test_the_table_tells_every_setting(home: Home) -> None:
    home.write("work/project/wavecrew.toml", 'command = ["run", "two words"]\n')
    lines = config_table(home.load()).splitlines()
    assert lines[0].split() == ["setting", "value"]
    assert [line.split()[0] for line in lines[1:]] == list(settings())
    assert "command                     run 'two words'" in lines
    assert "phase_timeout_seconds       none" in lines


def test_the_table_tells_origins(home: Home) -> None:
    home.write("work/project/wavecrew.toml", "\nretries = 2\n")
    table = config_table(home.load(flags={"max_parallel_agents": 8}), origins=True)
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["setting", "value", "origin"]
    assert ["retries", "2", "wavecrew.toml:2"] in rows
    assert ["max_parallel_agents", "8", "-j"] in rows
    assert ["gate", "none", "default"] in rows


@given(st.lists(_argument.filter(bool), min_size=1, max_size=9), st.booleans())
def test_the_table_never_exceeds_its_width_and_loses_nothing(command: list[str], origins: bool) -> None:
    loaded = load(document={"command": command, "plan": "p" * 200})
    lines = config_table(loaded, origins=origins).splitlines()
    assert max(len(line) for line in lines) <= 80
    start = next(i for i, line in enumerate(lines) if line.startswith("command "))
    end = next(i for i, line in enumerate(lines) if line.startswith("command_prompt"))
    wide = len("value") if not origins else lines[0].index("origin") - lines[0].index("value") - 2
    column = lines[0].index("value")
    shown = "".join(line[column : column + wide if origins else None].ljust(1) for line in lines[start:end])
    written = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shlex.join(command))
    assert shown.replace(" ", "") == written.replace(" ", "")


def test_nothing_in_the_table_can_steer_a_terminal() -> None:
    table = config_table(load(document={"command": ["x", "\x1b[2J\u202e\n"]}))
    assert "\\x1b[2J\\u202e\\n" in table
    assert all(c.isprintable() for c in table.replace("\n", ""))


def test_the_table_as_json(home: Home) -> None:
    path = home.write("work/project/wavecrew.toml", 'env = ["A"]\n')
    told = json.loads(config_json(home.load(environ={"WAVECREW_FOO": "1"})))
    assert list(told["settings"]) == list(settings())
    assert told["settings"]["env"] == {"value": ["A"], "origin": "wavecrew.toml:1", "source": "project"}
    assert told["settings"]["phase_timeout_seconds"]["value"] is None
    assert {"path": str(path), "source": "project", "read": True} in told["files"]
    assert [found["code"] for found in told["warnings"]] == ["WC201"]


def test_the_pages_of_a_real_home_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folder comes from the platform's own rules; on Linux that is XDG_CONFIG_HOME."""
    if os.name != "posix" or not hasattr(os, "uname") or os.uname().sysname != "Linux":
        pytest.skip("the rules of this platform are its own")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "xdg" / "wavecrew").mkdir(parents=True)
    (tmp_path / "xdg" / "wavecrew" / "wavecrew.toml").write_text("retries = 9\n")
    assert load(tmp_path, use_files=True).config.retries == 9


def test_the_page_about_settings_is_what_the_command_prints() -> None:
    from pathlib import Path

    from wavecrew.views.config_text import config_reference

    page = Path(__file__).parent.parent / "docs" / "configuration.md"
    assert page.read_text(encoding="utf-8") == config_reference(), (
        "renew it: wavecrew config reference > docs/configuration.md"
    )
    assert all(f"`{name}`" in config_reference() for name in settings())
