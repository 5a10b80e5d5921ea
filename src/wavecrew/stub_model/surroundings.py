"""What makes each of the four programs use the stub model: environment variables, and settings below a home folder.

What it does: says them, and writes the settings. Nothing of the user's is read: the home folder is a temporary one.
What it does not know: whether a program is installed, and how it is started.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wavecrew.errors import InvalidValueError
from wavecrew.stub_model.server import KEY

_KEY_VARIABLE: Final = "WAVECREW_STUB_KEY"
PROGRAMS: Final = ("claude", "codex", "gemini", "opencode")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Environment variables, text files by their paths below the home folder, and the model as the program calls it."""

    environment: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    model: str = ""

    def furnish(self, home: Path) -> None:
        """Write the files. Raises OSError."""
        for name, text in self.files.items():
            file = home / name
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def surroundings(program: str, url: str, *, model: str = "", key: str = KEY) -> Surroundings:
    """What a program needs beside PATH and HOME to use the model at `url`. An empty `key` is a program that is logged
    out. Raises InvalidValueError for a program that is not known."""
    makers = {"claude": _claude, "codex": _codex, "gemini": _gemini, "opencode": _opencode}
    if program not in makers:
        raise InvalidValueError(f"the stub model does not know the program {program!r}, only {', '.join(makers)}")
    return makers[program](url, model, key)


def _claude(url: str, model: str, key: str) -> Surroundings:
    environment = {
        "ANTHROPIC_BASE_URL": url,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "3",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_TELEMETRY": "1",
    }
    named = model or "claude-sonnet-4-5"
    return Surroundings(environment | _with(ANTHROPIC_API_KEY=key, ANTHROPIC_MODEL=named), model=named)


def _codex(url: str, model: str, key: str) -> Surroundings:
    lines = [
        f"model = {json.dumps(model or 'gpt-5.5')}",
        'model_provider = "stub"',
        "check_for_update_on_startup = false",
        "[model_providers.stub]",
        'name = "stub"',
        f"base_url = {json.dumps(url + '/v1')}",
        f'env_key = "{_KEY_VARIABLE}"',
        'wire_api = "responses"',
        "request_max_retries = 3",
        "stream_max_retries = 2",
        "supports_websockets = false",
        "[analytics]",
        "enabled = false",
        "[feedback]",
        "enabled = false",
        "[otel]",
        'exporter = "none"',
        "[features]",
        *(f"{feature} = false" for feature in ("apps", "plugins", "plugin_sharing", "remote_plugin")),
    ]
    files = {".codex/config.toml": "\n".join(lines) + "\n"}
    return Surroundings(_with(**{_KEY_VARIABLE: key}), files, model or "gpt-5.5")


def _gemini(url: str, model: str, key: str) -> Surroundings:
    settings = {
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False, "maxAttempts": 3},
        "privacy": {"usageStatisticsEnabled": False},
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "telemetry": {"enabled": False},
    }
    environment = {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_TELEMETRY_ENABLED": "false"}
    files = {".gemini/settings.json": json.dumps(settings, indent=1)}
    named = model or "gemini-2.5-flash"
    return Surroundings(environment | _with(GEMINI_API_KEY=key, GEMINI_MODEL=named), files, named)


def _opencode(url: str, model: str, key: str) -> Surroundings:
    name = model.removeprefix("stub/") or "stub-model"
    settings = {
        "autoupdate": False,
        "share": "disabled",
        "model": f"stub/{name}",
        "small_model": f"stub/{name}",
        "provider": {
            "stub": {
                "name": "stub",
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": f"{url}/v1", **({"apiKey": key} if key else {})},
                "models": {
                    name: {
                        "name": name,
                        "cost": {"input": 3, "output": 15},
                        "limit": {"context": 200000, "output": 8000},
                    }
                },
            }
        },
    }
    environment = {
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    }
    files = {".config/opencode/opencode.json": json.dumps(settings, indent=1)}
    return Surroundings(environment, files, f"stub/{name}")


def _with(**variables: str) -> dict[str, str]:
    """The variables that have a value."""
    return {name: value for name, value in variables.items() if value}
