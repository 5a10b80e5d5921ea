"""`init`, `agents`, `config` and `doctor`: what is needed before a first run."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial
from importlib import resources
from pathlib import Path

import click

from wavecrew.cli.globals import Globals, echo, echo_json, pass_globals, show, with_globals
from wavecrew.errors import ExitCode, UsageError

_CONFIG = """\
# Settings of wavecrew. `wavecrew config show --origin` tells which value comes
# from where; `wavecrew config schema` describes all of them.
plan = "plan"
agent = "{agent}"
max_parallel_agents = 3
"""

_PHASES = {
    "01-model.md": """\
---
needs: []
writes: [greeting/model.txt]
estimate: 1m
---

# Phase 1: Model

Say what a greeting is made of. Replace this text by a task of your own; it is
what the agent is told. The blocks below are carried out by the `runbook`
agent, which calls no model.

```sh run
mkdir -p greeting
echo "a word and a name" > greeting/model.txt
```
""",
    "02-words.md": """\
---
needs: [1]
writes: [greeting/words.txt]
estimate: 1m
---

# Phase 2: Words

```sh run
printf 'hello\\ngood day\\n' > greeting/words.txt
```

```sh check
test "$(wc -l < greeting/words.txt)" -eq 2
```
""",
    "03-names.md": """\
---
needs: [1]
writes: [greeting/names.txt]
estimate: 1m
---

# Phase 3: Names

It needs nothing of phase 2, so both run at the same time.

```sh run
printf 'Ada\\nGrace\\n' > greeting/names.txt
```
""",
}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--agent", default="runbook", show_default=True, help="The agent that the configuration names.")
@click.option(
    "--example",
    type=click.Choice(["greeting", "minitable"]),
    default="greeting",
    show_default=True,
    help="The plan: three small phases, or a whole tool in ten, as `demo` builds it. Neither needs a model.",
)
@with_globals
@pass_globals
def init(settings: Globals, folder: Path | None, agent: str, example: str) -> int:
    """Write a configuration and a first plan. Nothing that exists is changed.

    The plan says by itself how its phases are done; put texts of your own in their place.
    """
    target = settings.directory / folder if folder else settings.directory
    files = {target / "wavecrew.toml": _CONFIG.format(agent=agent)}
    files.update({target / "plan" / name: text for name, text in _documents(example).items()})
    there = [path for path in files if path.exists()]
    if there:
        raise UsageError(f"{there[0]} exists already", fix="choose another folder: wavecrew init FOLDER")
    try:
        (target / "plan").mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
            show(f"wrote {path}")
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}") from None
    enter = f"cd {target} && " if folder else ""
    show(f"next: {enter}wavecrew plan · wavecrew run")
    return ExitCode.OK


def _documents(example: str) -> Mapping[str, str]:
    """The documents of an example, by name."""
    if example == "greeting":
        return _PHASES
    folder = resources.files("wavecrew") / "demo_plan" / example / "plan"
    documents = {one.name: one.read_text("utf-8") for one in folder.iterdir() if one.name.endswith(".md")}
    return dict(sorted(documents.items()))


@click.group()
def agents() -> None:
    """What can do the work."""


@agents.command("list")
@with_globals
@pass_globals
def agents_list(settings: Globals) -> int:
    """List the agents, what they can do, and which are missing."""
    from wavecrew.api.agent_programs import look_for, program_of
    from wavecrew.api.gate_proof import kept_proofs
    from wavecrew.api.plans import load_agents
    from wavecrew.views.agent_text import AgentLine, agents_data, agents_text

    known = load_agents()
    found = look_for(known)
    proofs = kept_proofs(known, found)
    lines = [
        AgentLine(
            name,
            agent.summary,
            found.get(name),
            program.capabilities if (program := program_of(agent)) else None,
            proof.holds if (proof := proofs.get(name)) else None,
            proof.day if proof else "",
        )
        for name, agent in known.items()
    ]
    if settings.json:
        echo_json(agents_data(lines))
    else:
        for line in agents_text(lines):
            echo(line)
    return ExitCode.OK


@agents.command("reopen")
@click.argument("accounts", nargs=-1, required=True, metavar="ACCOUNT...")
@click.option("--reason", default="", help="Why, for the history.")
@click.option("--run", default="latest", show_default=True, metavar="RUN", help="The run that is meant.")
@with_globals
@pass_globals
def agents_reopen(settings: Globals, accounts: tuple[str, ...], reason: str, run: str) -> int:
    """Let agents start again on accounts that were found used up, before their time. This is kept on record.

    ACCOUNT is the name of the agent, as `wavecrew status` tells it.
    """
    from wavecrew.cli.control_commands import reopen

    return reopen(settings, run, tuple(dict.fromkeys(accounts)), reason)


@click.group()
def config() -> None:
    """The settings, where they come from, and what they mean."""


@config.command("show")
@click.option("--origin", is_flag=True, help="Tell for each value where it was set.")
@with_globals
@pass_globals
def config_show(settings: Globals, origin: bool) -> int:
    """Print the settings in force here."""
    from wavecrew.views.config_text import config_json, config_table

    loaded = settings.workspace().loaded
    echo(config_json(loaded) if settings.json else config_table(loaded, origins=origin))
    return ExitCode.OK


@config.command("schema")
@with_globals
def config_schema_command() -> int:
    """Print the JSON Schema of a configuration file, for editors."""
    from wavecrew.config.sources import config_schema

    echo(json.dumps(config_schema(), indent=2))
    return ExitCode.OK


@config.command("reference")
@with_globals
def config_reference_command() -> int:
    """Print a page of Markdown about every setting."""
    from wavecrew.views.config_text import config_reference

    echo(config_reference().rstrip())
    return ExitCode.OK


@config.command("validate")
@with_globals
@pass_globals
def config_validate(settings: Globals) -> int:
    """Check the configuration in force here. Exits with 3 when something is wrong."""
    from wavecrew.views import findings

    loaded = settings.workspace().loaded
    read = [file.shown for file in loaded.files if file.read]
    if settings.json:
        found = [{"code": one.code, "severity": one.severity, "message": one.message} for one in loaded.diagnostics]
        echo_json({"valid": True, "read": read, "diagnostics": found})
        return ExitCode.OK
    if loaded.diagnostics:
        show(findings.text(loaded.diagnostics))
    echo(f"the configuration is valid; read: {', '.join(read) or 'no file'}")
    return ExitCode.OK


@config.command("path")
@with_globals
@pass_globals
def config_path(settings: Globals) -> int:
    """Print the files that are looked at, weakest first."""
    files = settings.workspace().loaded.files
    if settings.json:
        echo_json({"files": [{"path": str(file.path), "read": file.read} for file in files]})
        return ExitCode.OK
    for file in files:
        show(f"{'read   ' if file.read else 'absent '} {file.path}")
    return ExitCode.OK


@click.command()
@click.option("--prove-gate", is_flag=True, help="Also try whether agents ask before they write; takes a minute.")
@with_globals
@pass_globals
def doctor(settings: Globals, prove_gate: bool) -> int:
    """Check what a run needs: Python, SQLite, the state folder, disk space, agents. Exits with 8 if something is
    missing.

    With --prove-gate each installed agent that can ask before it writes is made to write a file that somebody else
    holds, by a scripted model on this machine. It must not be written."""
    from wavecrew.api.doctor import examine, try_gates
    from wavecrew.views.run_words import wrapped

    results = examine(settings.workspace())
    if prove_gate:
        results += try_gates(partial(echo, err=True))
    if settings.json:
        echo_json({"checks": [{"name": r.name, "ok": r.ok, "detail": r.detail, "fix": r.fix} for r in results]})
    else:
        for result in results:
            head = f"{'ok  ' if result.ok else 'FAIL'}  {result.name:<14} "
            for line in wrapped(head, result.detail.split(" "), 80, between=" "):
                show(line)
            if not result.ok:
                show(f"      fix: {result.fix}")
    sys.stdout.flush()
    return ExitCode.OK if all(result.ok for result in results) else ExitCode.PREFLIGHT
