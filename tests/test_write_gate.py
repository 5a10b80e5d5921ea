"""The write gate with real hooks: who may write what, who waits for whom, and that everything else is refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core_builders import dead, soon
from gate_world import RUN, Answer, GateWorld, answer_of, call, gate_world
from wavecrew.core.gate_calls import Decision, Verdict
from wavecrew.core.gate_socket import pass_file
from wavecrew.core.lock_table import Owner
from wavecrew.core.workplace import Workplace

DIALECTS = {
    "claude": ("PreToolUse", "Write", lambda path: {"file_path": path, "content": "x"}),
    "codex": ("PreToolUse", "apply_patch", lambda path: {"command": f"*** Begin Patch\n*** Add File: {path}\n+x\n"}),
    "gemini": ("BeforeTool", "write_file", lambda path: {"file_path": path, "content": "x"}),
    "opencode": ("tool.execute.before", "write", lambda path: {"filePath": path, "content": "x"}),
}


def dialect(name: str, path: Path, cwd: Path) -> dict[str, Any]:
    event, tool, arguments = DIALECTS[name]
    return call(tool, arguments(str(path)), cwd, event)


def shell(command: str, cwd: Path) -> dict[str, Any]:
    return call("Bash", {"command": command}, cwd)


# -- allow, claim, wait, refuse ---------------------------------------------------------------------------------


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
            found = [(one.verdict, one.paths, one.holder, one.claimed) for one in world.decisions]
            assert found == [
                ("allow", ("mine.txt",), "", ()),
                ("allow", ("free.txt",), "", ("free.txt",)),
                ("refuse", ("theirs.txt",), "phase a", ()),
            ]
            assert [one.waited_seconds >= 0.3 for one in world.decisions] == [False, False, True]

    asyncio.run(story())


def test_who_waited_long_enough_may_write_and_then_holds_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            world.admit("a", ["src/"])
            world.admit("b")
            hook = await world.start_hook("b", world.write(world.workspace / "src" / "x.py"))
            await world.waiting()
            (wait,) = world.gate.waits
            assert (wait.attempt, wait.tool, wait.resource, wait.holder) == (
                world.owner("b"), "Write", "src/x.py", "phase a"
            )  # fmt: skip
            assert abs(wait.since - time.time()) < 60
            world.end("a")

            assert (await answer_of(hook)).allowed
            assert world.waited == [wait]
            assert world.held("b") == {"src/x.py"}
            assert world.decisions[0].waited_seconds > 0
            assert (await world.ask("b", world.write("src/x.py"))).allowed
            world.end("b")
            assert world.registry.locks() == ()

    asyncio.run(story())


def test_a_file_that_changed_during_the_wait_is_refused_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            file = world.workspace / "notes.md"
            file.write_text("v1")
            world.admit("a", ["notes.md"])
            world.admit("b")
            hook = await world.start_hook("b", world.write(file))
            await world.waiting()
            await soon(lambda: world.waited)
            file.write_text("v1 and theirs")
            world.end("a")
            first = await answer_of(hook)

            assert first.code == 2
            assert "was changed by phase a while you waited. Read it again" in first.told
            assert str(file) in first.told
            assert (await world.ask("b", world.write(file))).allowed
            assert [one.claimed for one in world.decisions] == [("notes.md",), ()]

    asyncio.run(story())


def test_two_that_would_wait_for_each_other_are_told_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            world.admit("a", ["one"])
            world.admit("b", ["two"])
            hook = await world.start_hook("a", world.write("two"))
            await world.waiting()
            refused = await world.ask("b", world.write("one"))

            assert refused.code == 2
            assert "one is with phase a, which itself waits for what you hold" in refused.told
            assert world.decisions[0].holder == "phase a"
            world.end("b")
            assert (await answer_of(hook)).allowed

    asyncio.run(story())


def test_an_attempt_takes_more_before_a_phase_that_waits_for_it_anyway(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path, wait_seconds=0) as world:
            world.admit("a", ["one"])
            world.admit("c")
            queued = world.registry.owner("phase b", name=world.owner("b"))
            with world.registry.store.transaction() as tx:
                grant, _ = world.registry.request(tx, queued, world.registry.claims(["one", "two"]))
            assert grant is None

            assert (await world.ask("a", world.write("two"))).allowed
            third = await world.ask("c", world.write("two"))
            assert third.code == 2, "somebody else does not overtake"

    asyncio.run(story())


def test_who_only_waits_itself_does_not_overtake(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            world.admit("c", ["one"])
            world.admit("a")
            hook = await world.start_hook("a", world.write("one"))
            await world.waiting()
            queued = world.registry.owner("phase b", name=world.owner("b"))
            with world.registry.store.transaction() as tx:
                world.registry.request(tx, queued, world.registry.claims(["one", "two"]))

            refused = await world.ask("a", world.write("two"))
            assert refused.code == 2
            assert "two is with phase b" in refused.told
            world.end("c")
            assert (await answer_of(hook)).allowed

    asyncio.run(story())


def test_a_ring_that_leads_through_somebody_dead_is_none(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            world.admit("a", ["one"])
            gone = Owner("elsewhere", "a program that died", dead())
            world.registry.acquire(gone, world.registry.claims(["two"]), timeout=0)
            with world.registry.store.transaction() as tx:
                world.registry.request(tx, gone, world.registry.claims(["one"]))

            assert (await world.ask("a", world.write("two"))).allowed
            assert not world.registry.waiters()

    asyncio.run(story())


def test_a_shared_lock_is_made_exclusive_before_the_write(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path, wait_seconds=0) as world:
            world.admit("a")
            world.admit("b")
            for phase in ("a", "b"):
                owner = world.registry.owner(f"phase {phase}", name=world.owner(phase))
                world.registry.acquire(owner, world.registry.claims(["f"], "shared"), timeout=0)  # type: ignore[arg-type]

            assert (await world.ask("a", world.write("f"))).code == 2
            world.end("b")
            assert (await world.ask("a", world.write("f"))).allowed

    asyncio.run(story())


def test_a_holder_that_is_dead_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            world.admit("b")
            gone = Owner("elsewhere", "a program that died", dead())
            world.registry.acquire(gone, world.registry.claims(["f"]), timeout=0)

            assert (await world.ask("b", world.write("f"))).allowed

    asyncio.run(story())


def test_a_place_in_the_queue_that_is_taken_away_is_a_refusal(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            world.admit("a", ["f"])
            world.admit("b")
            hook = await world.start_hook("b", world.write("f"))
            await world.waiting()
            (waiter,) = world.registry.waiters()
            world.registry.release(waiter.ticket)
            refused = await answer_of(hook)

            assert refused.code == 2
            assert "took the request for f away" in refused.told

    asyncio.run(story())


def test_a_sub_agent_holds_what_its_attempt_holds(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path, wait_seconds=0) as world:
            world.admit("a", ["f"])
            world.admit("b")
            below = {"agent_id": "a1", "agent_type": "general-purpose", "transcript_path": "/t"}

            assert (await world.ask("a", {**world.write("f"), **below})).allowed
            assert (await world.ask("b", {**world.write("f"), **below})).code == 2

    asyncio.run(story())


# -- what a call writes -----------------------------------------------------------------------------------------


def test_shell_commands_are_held_for_the_files_that_can_be_read_from_them(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path, wait_seconds=0) as world:
            world.admit("a", ["a b.txt", "lib/"])
            world.admit("b")
            here = world.workspace

            assert (await world.ask("b", shell("make test 2>/dev/null", here))).allowed
            assert (await world.ask("b", shell("echo 'a > b.txt' >out.txt", here))).allowed
            assert (await world.ask("b", shell("cd lib && touch x", here))).code == 2
            assert (await world.ask("b", shell("echo x > 'a b.txt'", here))).code == 2
            assert (await world.ask("b", shell("rm -f lib/*.py", here))).code == 2
            hidden = await world.ask("b", shell('echo x > "$OUT"', here))

            assert hidden.code == 2
            assert '("$OUT")' in hidden.told
            assert "without variables" in hidden.told
            assert world.held("b") == {"out.txt"}

    asyncio.run(story())


def test_in_a_worktree_paths_mean_the_same_keys_and_nobody_else_is_hit(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path, wait_seconds=0) as world:
            root = world.state / "worktrees" / RUN / "b-1"
            (root / "src").mkdir(parents=True)
            world.admit("a", ["src/theirs.py"])
            world.admit("b", root=root)

            assert (await world.ask("b", world.write(root / "src" / "x.py"))).allowed
            assert (await world.ask("b", world.write("src/y.py", cwd=root))).allowed
            assert (await world.ask("b", world.write(root / "src" / "theirs.py"))).code == 2
            assert (await world.ask("b", shell('echo x > "$OUT"; git stash', root))).allowed
            assert (await world.ask("b", shell("find . -name '*.pyc' -delete", root))).allowed
            outside = await world.ask("b", world.write(world.workspace / "src" / "x.py"))

            assert outside.code == 2
            assert f"Write {root}/src/x.py instead" in outside.told
            assert world.held("b") == {"src/x.py", "src/y.py"}
            assert world.decisions[3].unread == ('"$OUT"', "git stash")

    asyncio.run(story())


def test_places_where_nobody_may_write_and_places_where_everybody_may(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            here, home = world.workspace, tmp_path / "home"
            (here / "link").symlink_to("/etc")
            (here / "plan").mkdir()
            (here / "plan" / "01.md").write_text("")
            home.mkdir()
            own = world.run_folder / "b" / "1" / "files"
            own.mkdir(parents=True)
            world.admit("b", free=[home, own, tmp_path], documents=[here / "plan" / "01.md"])

            async def refused(payload: object, why: str) -> None:
                answer = await world.ask("b", payload)
                assert answer.code == 2, payload
                assert why in answer.told, payload

            await refused(world.write("/etc/passwd"), "outside of")
            await refused(world.write("../../elsewhere"), "outside of")
            await refused(world.write(own.parent / "exit"), "belongs to wavecrew")
            await refused(world.write("link/passwd"), "outside of")
            await refused(world.write(".git/hooks/pre-commit"), "belongs to git")
            await refused(world.write("sub/.GIT/config"), "belongs to git")
            await refused(world.write(here / ".wavecrew" / "state.db"), "belongs to wavecrew")
            await refused(world.write("plan/01.md"), "is a document of the plan")
            await refused(shell("rm -r plan", here), "is a document of the plan")
            await refused(shell("sed -i s/a/b/ plan/*", here), "a document of the plan")
            await refused(shell("find . -delete", here), "anywhere in the folder")
            await refused(shell("rm -rf .g*", here), "could mean what belongs to git")
            await refused(shell("rm -rf .[v-w]*", here), "could mean what belongs to wavecrew")
            await refused(world.write("a\x1b[2Jb"), "cannot be seen")
            assert (await world.ask("b", world.write(home / "settings.json"))).allowed
            assert (await world.ask("b", world.write(own / "settings.json"))).allowed
            assert (await world.ask("b", world.write("../elsewhere"))).allowed
            assert (await world.ask("b", shell("rm -f *.tmp .x*", here))).allowed
            assert (await world.ask("b", shell("mkdir -p plan/sub; rm link", here))).allowed
            assert world.held("b") == {"link", "*.tmp", "*.tmp/**", ".x*", ".x*/**"}

    asyncio.run(story())


def test_tools_that_are_not_known(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path, wait_seconds=0, harmless=["mcp__look__*"]) as world:
            world.admit("a", ["f"])
            world.admit("b")

            async def code(tool: str, arguments: object) -> Answer:
                return await world.ask("b", call(tool, arguments, world.workspace))

            unknown = await code("mcp__x__press", {"button": 1})
            assert unknown.code == 2
            assert "not known what the tool mcp__x__press writes" in unknown.told
            assert (await code("mcp__x__move", {"source": "f", "destination": "g"})).code == 2
            assert (await code("mcp__x__save", {"path": "h"})).allowed
            assert (await code("mcp__look__press", {"button": 1})).allowed
            assert (await code("Write", {"content": "x"})).code == 2
            assert (await code("apply_patch", {"command": "*** Begin Patch\n*** End Patch"})).code == 2
            assert (await code("Write", None)).code == 2

    asyncio.run(story())


# -- whoever is not let in ---------------------------------------------------------------------------------------


def test_only_the_token_of_an_attempt_under_way_counts(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            world.admit("a", ["f"])
            world.admit("b", ["g"])
            of_a, of_b = (pass_file(world.run_folder, world.owner(phase)) for phase in "ab")
            assert stat.S_IMODE(of_a.stat().st_mode) == 0o600
            assert stat.S_IMODE(of_a.parent.stat().st_mode) == 0o700
            mine = json.loads(of_b.read_text())

            for wrong in ({"token": ""}, {"token": "\ud800"}, {"owner": world.owner("a")}, {"owner": "nobody"}):
                of_b.write_text(json.dumps(mine | wrong))
                answer = await world.ask("b", world.write("f"))
                assert answer.code == 2, wrong
                assert "no longer, part of the run" in answer.told
            of_b.write_text(json.dumps(mine))
            assert (await world.ask("b", world.write("g"))).allowed
            world.gate.dismiss(world.owner("b"))
            assert not of_b.exists()
            of_b.write_text(json.dumps(mine))
            assert (await world.ask("b", world.write("g"))).code == 2
            assert [one.verdict for one in world.decisions] == [Verdict.ALLOWED]

    asyncio.run(story())


def test_an_attempt_that_ends_while_it_is_judged_gets_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            world.admit("a", ["f"])
            world.admit("b")
            hook = await world.start_hook("b", world.write("f"))
            await world.waiting()
            world.gate.dismiss(world.owner("b"))
            world.end("a")

            assert (await answer_of(hook)).code == 2
            assert [one.verdict for one in world.decisions] == [Verdict.REFUSED]

    asyncio.run(story())


def test_a_coordinator_that_was_replaced_allows_nothing_more(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            world.admit("a", ["f", "g"])
            world.admit("b")
            hook = await world.start_hook("b", world.write("g"))
            await world.waiting()
            world.registry.store.take_charge(RUN)
            mine, theirs, waiting = (
                await world.ask("a", world.write("f")),
                await world.ask("b", world.write("free")),
                await answer_of(hook),
            )

            for answer in (mine, theirs, waiting):
                assert answer.code == 2
                assert "another coordinator has taken over" in answer.told
            assert world.held("b") == set()

    asyncio.run(story())


def test_who_records_the_decisions_has_the_last_word(tmp_path: Path) -> None:
    def refuse(decision: Decision) -> None:
        raise OSError("the disk is full")

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, told: failures.append(told["exception"]))
        async with gate_world(tmp_path, on_decision=refuse) as world:
            world.admit("a", ["f"])
            answer = await world.ask("a", world.write("f"))
            assert answer.code == 2
            assert "wavecrew failed (OSError)" in answer.told

    failures: list[BaseException] = []
    asyncio.run(story())
    assert [str(failure) for failure in failures] == ["the disk is full"]


def test_a_state_that_cannot_be_read_is_a_refusal(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            world.admit("a", ["f"])
            (world.state / "state.db").rename(world.state / "moved.db")
            answer = await world.ask("a", world.write("f"))
            (world.state / "moved.db").rename(world.state / "state.db")

            assert answer.code == 2
            assert "it cannot be told who holds what" in answer.told

    asyncio.run(story())


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0\0",
        (5).to_bytes(4, "big") + b"ab",
        b"\xff\xff\xff\xff{}",
        (4).to_bytes(4, "big") + b"null",
        (9).to_bytes(4, "big") + b'{"owner":',
        (100_000).to_bytes(4, "big") + b"[" * 100_000,
        (72).to_bytes(4, "big") + b'{"owner": 1, "token": null, "tool": [], "cwd": "relative", "input": {}} ',
    ],
)
def test_whoever_talks_of_something_else_is_allowed_nothing(tmp_path: Path, message: bytes) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            reader, writer = await asyncio.open_unix_connection(str(world.run_folder / ".gate" / "socket"))
            writer.write(message)
            writer.write_eof()
            answer = await reader.read()
            writer.close()

            assert b"allow" not in answer
            assert world.decisions == []

    asyncio.run(story())


# -- ends --------------------------------------------------------------------------------------------------------


def test_a_gate_that_closes_lets_nobody_write_and_leaves_no_place_in_the_queue(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            world.admit("a", ["f"])
            world.admit("b")
            hook = await world.start_hook("b", world.write("f"))
            await world.waiting()
            await world.gate.close()

            answer = await answer_of(hook)
            assert answer.code == 2
            assert "nobody is in charge" in answer.told
            assert not world.registry.waiters()
            assert not (world.run_folder / ".gate" / "socket").exists()
            assert (await world.ask("a", world.write("f"))).code == 2

    asyncio.run(story())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_hook_that_ends_while_it_waits_leaves_no_place_in_the_queue(tmp_path: Path, number: int) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            world.admit("a", ["f"])
            world.admit("b")
            hook = await world.start_hook("b", world.write("f"))
            await world.waiting()
            hook.send_signal(number)

            await soon(lambda: not world.registry.waiters())
            await soon(lambda: world.decisions)
            assert world.decisions[0].reason == "nobody waited for the answer"
            assert (await answer_of(hook)).code == (2 if number == signal.SIGTERM else -signal.SIGKILL)

    asyncio.run(story())


COORDINATOR = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from gate_world import gate_world
async def story():
    async with gate_world(Path(sys.argv[1])) as world:
        world.admit("a", ["f"])
        world.admit("b")
        print("open", flush=True)
        await world.waiting()
        print("waits", flush=True)
        await asyncio.sleep(3600)
asyncio.run(story())
"""


def test_a_coordinator_that_is_killed_and_the_next_one(tmp_path: Path) -> None:
    async def story() -> None:
        first = subprocess.Popen(
            [sys.executable, "-c", COORDINATOR, str(tmp_path), str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert first.stdout is not None
            assert await asyncio.to_thread(first.stdout.readline) == "open\n"
            world = GateWorld(tmp_path)
            owner = world.owner("b")
            hook = await world.start_hook("b", world.write("f"))
            assert await asyncio.to_thread(first.stdout.readline) == "waits\n"
        finally:
            first.kill()
            first.communicate()
        answer = await answer_of(hook)
        assert answer.code == 2
        assert "nobody is in charge" in answer.told
        assert (await world.ask("b", world.write("g"))).code == 2

        (left,) = world.registry.waiters()
        assert left.label == "phase b", "the one that was killed could not take it back"
        token = pass_file(world.run_folder, owner).read_text()
        await world.open()
        world.admit("b")
        assert pass_file(world.run_folder, owner).read_text() == token, "the agent keeps the pass that it has"
        assert world.registry.waiters() == ()
        assert (await world.ask("b", world.write("g"))).allowed
        await world.gate.close()
        world.registry.close()

    asyncio.run(story())


def test_who_comes_later_takes_the_door_over(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as old:
            old.admit("a", ["f"])
            new = GateWorld(tmp_path)
            await new.open()
            new.admit("a")
            await old.gate.close()

            assert (await new.ask("a", new.write("f"))).allowed
            assert len(new.decisions) == 1
            await new.gate.close()
            new.registry.close()

    asyncio.run(story())


# -- many, and far away ------------------------------------------------------------------------------------------


def test_a_hundred_hooks_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path) as world:
            names = [f"p{number}" for number in range(50)]
            world.admit("a", ["f"])
            for name in names:
                world.admit(name)
            waiting = {name: await world.start_hook(name, world.write("f")) for name in names}
            others = [await world.start_hook(name, world.write(f"{name}.txt")) for name in names]
            for hook in others:
                assert (await answer_of(hook)).allowed, "who waits is in nobody's way"
            await world.waiting(50)
            order, holder = [waiter.label for waiter in world.registry.waiters()], "a"
            for label in order:
                world.end(holder)
                holder = label.removeprefix("phase ")
                assert (await answer_of(waiting[holder])).allowed
                assert [lock.owner_phase for lock in world.registry.locks() if lock.resource_path == "f"] == [label]
            assert sorted(order) == sorted(f"phase {name}" for name in names)

    asyncio.run(story())


def test_a_workspace_that_lies_deep_has_a_gate_too(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 20) / ("er" * 40)
    deep.mkdir(parents=True)

    async def story() -> None:
        async with gate_world(deep) as world:
            assert len(os.fsencode(world.run_folder)) > 108
            world.admit("a", ["f"])
            assert (await world.ask("a", world.write("f"))).allowed

    asyncio.run(story())


def test_two_spellings_of_a_name_are_one_file(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path, wait_seconds=0) as world:
            (world.workspace / "real").mkdir()
            (world.workspace / "link").symlink_to("real")
            world.admit("a", ["caf\u00e9.txt", "real/x"])
            world.admit("b")

            assert (await world.ask("b", world.write("cafe\u0301.txt"))).code == 2
            assert (await world.ask("b", world.write("link/../real/./x"))).code == 2
            assert (await world.ask("b", world.write("link/x"))).code == 2
            assert (await world.ask("a", world.write("link/x"))).allowed

    asyncio.run(story())


def test_a_link_and_what_it_leads_to_are_both_held(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate_world(tmp_path, wait_seconds=0) as world:
            (world.workspace / "link").symlink_to("file")
            (world.workspace / "round").symlink_to("round")
            world.admit("a")
            world.admit("b")

            assert (await world.ask("a", shell("rm link", world.workspace))).allowed
            assert (await world.ask("b", world.write("file"))).allowed
            through = await world.ask("b", world.write("link"))
            assert "link is held by phase a" in through.told
            assert "is a ring of links" in (await world.ask("b", world.write("round"))).told
            assert (await world.ask("b", shell("rm round", world.workspace))).allowed

    asyncio.run(story())


def test_a_place_is_shared_or_its_own(tmp_path: Path) -> None:
    assert Workplace(tmp_path, tmp_path).is_shared
    (tmp_path / "own").mkdir()
    assert not Workplace(tmp_path, tmp_path / "own").is_shared
