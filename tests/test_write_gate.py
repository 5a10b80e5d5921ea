"""The write gate with real hooks: who may write what, who waits for whom, and that everything else is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gate_world import answer_of, call, gate_world

DIALECTS = {
    "claude": ("PreToolUse", "Write", lambda path: {"file_path": path, "content": "x"}),
    "codex": ("PreToolUse", "apply_patch", lambda path: {"command": f"*** Begin Patch\n*** Add File: {path}\n+x\n"}),
    "gemini": ("BeforeTool", "write_file", lambda path: {"file_path": path, "content": "x"}),
    "opencode": ("tool.execute.before", "write", lambda path: {"filePath": path, "content": "x"}),
}


def dialect(name: str, path: Path, cwd: Path) -> dict[str, Any]:
    event, tool, arguments = DIALECTS[name]
    return call(tool, arguments(str(path)), cwd, event)


@pytest.mark.parametrize("name", DIALECTS)
def test_every_agent_is_allowed_claims_waits_and_is_refused(tmp_path: Path, name: str) -> None:
    async def story() -> None:
        async with gate_world(tmp_path, wait_seconds=0.3) as world:
            world.admit("a", ["mine.txt", "theirs.txt"])
            world.admit("b")
            theirs = dialect(name, world.workspace / "theirs.txt", world.workspace)

            assert (await world.ask("a", dialect(name, world.workspace / "mine.txt", world.workspace))).allowed
            assert (await world.ask("b", dialect(name, world.workspace / "free.txt", world.workspace))).allowed
            refused = await world.ask("b", theirs)

            assert refused.code == 2
            assert "theirs.txt is held by phase a" in refused.told
            assert "other work" in refused.told
            assert world.held("b") == {"free.txt"}
            assert not world.registry.waiters()

            hook = await world.start_hook("b", theirs)
            await world.waiting()
            world.end("a")

            assert (await answer_of(hook)).allowed
            assert world.held("b") == {"free.txt", "theirs.txt"}
            found = [(one.verdict, one.paths, one.holder, one.claimed) for one in world.decisions]
            assert found == [
                ("allow", ("mine.txt",), "", ()),
                ("allow", ("free.txt",), "", ("free.txt",)),
                ("refuse", ("theirs.txt",), "phase a", ()),
                ("allow", ("theirs.txt",), "phase a", ("theirs.txt",)),
            ]
            assert [one.waited_seconds > 0 for one in world.decisions] == [False, False, True, True]
            assert {(wait.attempt, wait.resource, wait.holder) for wait in world.waited} == {
                (world.owner("b"), "theirs.txt", "phase a")
            }

    asyncio.run(story())
