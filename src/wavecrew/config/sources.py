"""Where the value of a setting comes from, and which source wins.

What it does: reads default < user file < project file < environment < plan document < flag, checks each value where it
is written, and keeps the origin of every value. Lists replace each other, they are never merged.
What it does not know: what settings mean, and consent. It only tells which values a project brought along, so that
somebody else can ask before a stranger's repository gets to name a program.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from wavecrew.config.config_files import ConfigFile, read_project_files, read_user_files
from wavecrew.config.parallel_config import ParallelExecutionConfig, checked, setting, settings
from wavecrew.config.settings import ENVIRONMENT_PREFIX, NOTHING, Setting, did_you_mean
from wavecrew.errors import ConfigError, Diagnostic, InvalidValueError, Place, Severity, UsageError

RESERVED_VARIABLES: Final = frozenset(
    ENVIRONMENT_PREFIX + name
    for name in (
        *("A11Y", "ATTEMPT", "ATTEMPT_NUMBER", "CONFIG", "CORPUS", "DEBUG", "FENCE", "INDEX", "NO_INPUT", "PHASE"),
        *("PORT_BASE", "PROMPT_FILE", "ROOT", "RUN", "SOCKET", "STATE", "WORKSPACE"),
    )
)
"""Variables that wavecrew itself hands to its children or looks at; they are no settings, and no mistakes."""


_COMMAND_LISTS: Final = ("setup", "teardown", "gate_commands")


class OriginKind(StrEnum):
    """Sources of values, weakest first. `file` is one that the user named with --config."""

    DEFAULT = "default"
    USER = "user"
    PROJECT = "project"
    FILE = "file"
    ENVIRONMENT = "environment"
    DOCUMENT = "document"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one value was written: `wavecrew.toml:3`, `env WAVECREW_AGENT`, `--agent`, `default`."""

    kind: OriginKind
    text: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """The configuration in force, and how it came about.

    `root` is the folder of the project file, or where the search started. `files` are all files looked at, weakest
    first. `diagnostics` are warnings; whatever is wrong enough to stop has been raised.
    """

    config: ParallelExecutionConfig
    origins: Mapping[str, Origin]
    files: tuple[ConfigFile, ...]
    diagnostics: tuple[Diagnostic, ...]
    start: Path
    root: Path

    def from_project(self, name: str) -> bool:
        """Whether the project or its plan set this, and not the user."""
        return self.origins[name].kind in (OriginKind.PROJECT, OriginKind.DOCUMENT)

    @property
    def commands_from_project(self) -> tuple[str, ...]:
        """The programs that would be run because the project names them, so that its user must be asked."""
        own = (shlex.join(self.config.command),) if self.config.command and self.from_project("command") else ()
        lists = (getattr(self.config, name) for name in _COMMAND_LISTS if self.from_project(name))
        return (*own, *(line for lines in lists for line in lines))

    @property
    def notices_from_project(self) -> tuple[str, ...]:
        """To whom news of a run would go because the project says so, so that its user must be asked: a project that
        names only the address would get the headers of the user, and the other way round."""
        config = self.config
        found: list[str] = []
        if "command" in config.notify and config.notify_command and self.from_project("notify_command"):
            found.append(f"to the program {shlex.join(config.notify_command)}")
        from_project = self.from_project("notify_webhook") or self.from_project("notify_headers")
        if "webhook" in config.notify and config.notify_webhook and from_project:
            names = [header.partition("=")[2] for header in config.notify_headers]
            shown = f" with the variables {', '.join(names)}" if names else ""
            found.append(f"to {config.notify_webhook}{shown}")
        return tuple(found)

    @property
    def plan_path(self) -> Path:
        """Where the plan is."""
        return self._path("plan")

    @property
    def template_path(self) -> Path | None:
        """Where the text for prompts is, if there is one."""
        return self._path("prompt_template") if self.config.prompt_template else None

    def _path(self, name: str) -> Path:
        """A path from a variable or a flag counts from where the user stands, all else from the root."""
        typed = self.origins[name].kind in (OriginKind.ENVIRONMENT, OriginKind.FLAG)
        return (self.start if typed else self.root) / str(getattr(self.config, name))


@dataclass(slots=True)
class _Layers:
    """The values found so far; a later source replaces an earlier one."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)

    def put(self, name: str, origin: Origin, read: Callable[[Setting], object]) -> None:
        """Take over one value. A wrong one is refused with its origin, even where a stronger source would hide it."""
        try:
            self.values[name] = checked(name, read(setting(name)))
        except InvalidValueError as refused:
            raise _with_origin(refused, origin) from None
        self.origins[name] = origin


def load_config(
    start: Path,
    *,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    config_file: Path | None = None,
    use_files: bool = True,
    document: Mapping[str, object] = MappingProxyType({}),
) -> LoadedConfig:
    """The configuration for work at `start`.

    `flags` and `document` map settings to values; a flag of None was not given. `config_file` is read instead of the
    user's and the project's file. Raises ConfigError, with its place, for whatever cannot be used.
    """
    if config_file is not None and not use_files:
        raise UsageError("--config and --no-config do not go together", fix="leave one of them out")
    start = start.absolute()
    files = _files(start, config_file, use_files)
    layers = _Layers()
    for file in files:
        for name, value in file.values.items():
            place = Place(file.shown, file.lines[name])
            layers.put(name, Origin(OriginKind(file.kind), str(place), place), _typed(value))
    unknown = _read_environment(layers, environ)
    for name, value in document.items():
        layers.put(name, Origin(OriginKind.DOCUMENT, "plan document"), _typed(value))
    for name, value in flags.items():
        if value is not None:
            flag = settings()[name].flag if name in settings() else name
            layers.put(name, Origin(OriginKind.FLAG, flag), _written(value))
    return LoadedConfig(
        _built(layers),
        MappingProxyType({name: layers.origins.get(name, _DEFAULT) for name in settings()}),
        files,
        (*_hidden_tables(files), *unknown),
        start,
        next((file.path.parent for file in files if file.read and file.kind == OriginKind.PROJECT), start),
    )


_DEFAULT: Final = Origin(OriginKind.DEFAULT, "default")


def config_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a configuration file, for editors."""
    schema = ParallelExecutionConfig.model_json_schema()
    for told in schema["properties"].values():
        told["title"] = told["title"].capitalize()
        told.pop("flag", None)
        told.pop("form", None)
        if "anyOf" in told:  # TOML has no null: nothing is a word
            told["anyOf"] = [{"const": NOTHING} if kind == {"type": "null"} else kind for kind in told["anyOf"]]
            told["default"] = NOTHING if told["default"] is None else told["default"]
    schema["title"] = "wavecrew configuration"
    schema["description"] = "Settings in wavecrew.toml, or in [tool.wavecrew] of pyproject.toml."
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _files(start: Path, config_file: Path | None, use_files: bool) -> tuple[ConfigFile, ...]:
    if config_file is not None:
        chosen = ConfigFile.look_at(start / config_file, OriginKind.FILE, start)
        if not chosen.read:
            raise ConfigError(f"there is no configuration file {chosen.shown}", fix="check the path after --config")
        return (chosen,)
    if not use_files:
        return ()
    return (*read_user_files(start), *read_project_files(start))


def _read_environment(layers: _Layers, environ: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """Take over each variable that sets something; an empty one sets nothing. Tells of those nobody knows."""
    by_variable = {told.variable: name for name, told in settings().items()}
    unknown: list[Diagnostic] = []
    for variable, text in sorted(environ.items()):
        if variable in by_variable and text.strip():
            layers.put(by_variable[variable], Origin(OriginKind.ENVIRONMENT, f"env {variable}"), _written(text))
        elif _is_unknown(variable, by_variable):
            otherwise = "unset it, or see wavecrew config show"
            fix = did_you_mean(variable, tuple(by_variable), otherwise, prefix=ENVIRONMENT_PREFIX)
            message = f"the environment variable {variable} sets nothing"
            unknown.append(Diagnostic("WC201", Severity.WARNING, message, fix=fix))
    return tuple(unknown)


def _is_unknown(variable: str, known: Iterable[str]) -> bool:
    return variable.startswith(ENVIRONMENT_PREFIX) and variable not in known and variable not in RESERVED_VARIABLES


def _hidden_tables(files: Iterable[ConfigFile]) -> Iterable[Diagnostic]:
    for file in files:
        if file.hidden_by:
            message = f"[tool.wavecrew] is not used, because {file.hidden_by} stands in the same folder"
            yield Diagnostic("WC202", Severity.WARNING, message, Place(file.shown), fix="keep one of the two")


def _typed(value: object) -> Callable[[Setting], object]:
    """A value from a format that has types; only nothing needs a word there."""
    return lambda told: None if told.optional and value == NOTHING else value


def _written(value: object) -> Callable[[Setting], object]:
    """A value as text, or one that the command line has already turned into what it means."""

    def read(told: Setting) -> object:
        if not isinstance(value, str):
            return value
        try:
            return told.parse(value)
        except ValueError:
            raise InvalidValueError(told.refusal(value)) from None

    return read


def _built(layers: _Layers) -> ParallelExecutionConfig:
    """All values together; what each is alone has been judged, but two may not go with each other."""
    try:
        return ParallelExecutionConfig(**layers.values)  # type: ignore[arg-type]  # checked one by one
    except InvalidValueError as refused:
        origin = layers.origins.get("command_prompt", layers.origins["command"])
        raise _with_origin(refused, origin) from None


def _with_origin(refused: InvalidValueError, origin: Origin) -> ConfigError:
    reason = refused.reason if origin.place else f"{origin.text}: {refused.reason}"
    return ConfigError(reason, place=origin.place, fix=refused.fix)
