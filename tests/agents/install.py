"""Installs the agent programs that `make test-agents` runs, in the versions of package.json, with npm.

What it does: looks whether they are there; if not, has npm install exactly what package-lock.json names, with its
digests. Only the programs that are wanted are fetched.
What it does not know: where npm gets them from; that is a setting of the user's npm.

Usage: `install.py FOLDER [AGENT...]`. It ends with 0 when they are there, with 3 when there is no npm or it could not
fetch them, and says so loudly.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

PACKAGES = {
    "claude": "@anthropic-ai/claude-code",
    "codex": "@openai/codex",
    "gemini": "@google/gemini-cli",
    "opencode": "opencode-ai",
}
NOT_THERE = 3
_PATIENCE = 900
_HERE = Path(__file__).parent
_KINDS = ("dependencies", "optionalDependencies", "peerDependencies")


def pinned() -> Mapping[str, str]:
    """The version of each agent."""
    wanted = json.loads((_HERE / "package.json").read_text())["dependencies"]
    return {agent: wanted[package] for agent, package in PACKAGES.items()}


def missing(folder: Path, agents: Iterable[str]) -> list[str]:
    """What a folder lacks, in words."""
    return [lack for agent in agents if (lack := _lack(folder, agent))]


def _lack(folder: Path, agent: str) -> str:
    described = folder / "node_modules" / PACKAGES[agent] / "package.json"
    try:
        version = json.loads(described.read_text())["version"]
    except (OSError, ValueError, KeyError):
        return f"{agent} {pinned()[agent]} is not in {folder}"
    if version != pinned()[agent]:
        return f"{agent} is {version} in {folder}, and not {pinned()[agent]}"
    program = folder / "node_modules" / ".bin" / agent
    return "" if program.exists() else f"{program} does not exist"


def install(folder: Path, agents: tuple[str, ...]) -> str:
    """Have npm install these agents, and no others. Gives what went wrong, or nothing."""
    npm = shutil.which("npm")
    if npm is None:
        return "there is no npm on PATH"
    lock = json.loads((_HERE / "package-lock.json").read_text())
    roots = {PACKAGES[agent]: pinned()[agent] for agent in agents}
    there = lock["packages"]
    kept = {f"node_modules/{name}" for name in _closure(there, roots)}
    lock["packages"] = {
        "": {"name": "wavecrew-agents", "dependencies": roots},
        **{path: entry for path, entry in there.items() if path in kept},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(
        json.dumps({"name": "wavecrew-agents", "private": True, "dependencies": roots})
    )
    (folder / "package-lock.json").write_text(json.dumps(lock))
    command = [npm, "ci", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"npm was not done within {_PATIENCE} s"
    if done.returncode:
        return f"npm ended with {done.returncode}: {' '.join(done.stderr.split())[:600]}"
    return "; ".join(missing(folder, agents))


def _closure(packages: Mapping[str, Any], names: Iterable[str]) -> set[str]:
    """These packages and all that they need."""
    found: set[str] = set()
    coming = list(names)
    while coming:
        name = coming.pop()
        if name not in found and f"node_modules/{name}" in packages:
            found.add(name)
            coming += _needed(packages[f"node_modules/{name}"])
    return found


def _needed(package: Mapping[str, Any]) -> Iterator[str]:
    for kind in _KINDS:
        yield from package.get(kind, {})


def main(arguments: list[str]) -> int:
    folder, agents = Path(arguments[0]).resolve(), tuple(arguments[1:]) or tuple(PACKAGES)
    unknown = set(agents) - set(PACKAGES)
    if unknown:
        sys.stderr.write(f"there is no agent {', '.join(sorted(unknown))}, only {', '.join(PACKAGES)}\n")
        return 2
    lacking = missing(folder, agents)
    if not lacking:
        return 0
    sys.stderr.write(f"installing with npm, because {'; '.join(lacking)}\n")
    problem = install(folder, agents)
    if problem:
        line = "*" * 100
        sys.stderr.write(f"{line}\nTHE AGENT PROGRAMS CANNOT BE INSTALLED: {problem}\n{line}\n")
        return NOT_THERE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
