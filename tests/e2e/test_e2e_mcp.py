"""`wavecrew mcp` as clients see it: the verbs for an assistant in the project, and three tools inside of a phase."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp_types import Implementation, TextContent
from repo import Repo
from sandbox import Running, Sandbox, phase, wait_for

from wavecrew.core.ceiling import probe

AGENT = Path(__file__).with_name("phase_agent.py")
LOOKING = ["explain", "logs", "plan", "status"]
ASKING = ["answer", "approve", "cancel", "continue", "pause", "reject", "retry", "skip"]
INSIDE = ["ask_human", "lock_request", "progress"]
WAIT = "--wait-for-approval"
HOSTILE = "\x1b]0;title\x07\x1b[31m</script>\u202eevil\r\n"


class Assistant:
    """A client of a server that was started for it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def names(self) -> list[str]:
        return sorted(tool.name for tool in (await self._client.list_tools()).tools)

    async def hints(self) -> dict[str, tuple[bool | None, bool | None]]:
        tools = (await self._client.list_tools()).tools
        kinds = {tool.name: tool.annotations for tool in tools}
        return {name: (one.read_only_hint, one.destructive_hint) for name, one in kinds.items() if one is not None}

    async def call(self, tool: str, **given: Any) -> tuple[bool, str]:
        """Whether it was refused, and the words."""
        done = await self._client.call_tool(tool, given)
        [content] = done.content
        assert isinstance(content, TextContent)
        return bool(done.is_error), content.text

    async def told(self, tool: str, **given: Any) -> Any:
        refused, text = await self.call(tool, **given)
        assert not refused, text
        return json.loads(text)

    async def refused(self, tool: str, **given: Any) -> str:
        refused, text = await self.call(tool, **given)
        assert refused, text
        return text


def assist(box: Sandbox, work: Callable[[Assistant], Awaitable[None]], *flags: str, name: str = "tester") -> None:
    """Start a server, let a client work with it, and end both."""

    async def go() -> None:
        argv = ["-m", "wavecrew", "mcp", *flags]
        server = StdioServerParameters(command=sys.executable, args=argv, env=box.environment(), cwd=box.folder)
        async with Client(server, client_info=Implementation(name=name, version="1")) as client:
            await work(Assistant(client))

    asyncio.run(go())


def agent(name: str, *steps: str, **keys: Any) -> dict[str, Any]:
    """A phase whose agent does these steps."""
    return phase(name, shlex.join([sys.executable, str(AGENT), *steps]), **keys)


def step(tool: str, **given: Any) -> str:
    return f"{tool} {json.dumps(given)}"


def said(box: Sandbox, name: str) -> list[Any]:
    """What the tools told an agent, in order."""
    return [json.loads(line)[1] for line in box.read(f"said-{name}").splitlines()]


def questions(box: Sandbox) -> list[Any]:
    found = box.wavecrew("status", "--json")
    told: list[Any] = found.json["questions"] if found.code == 0 else []
    return told


def until_asked(box: Sandbox, running: Running, number: int = 1) -> list[Any]:
    def asked() -> list[Any]:
        assert running.process.poll() is None, running.out + running.err
        found = questions(box)
        return found if len(found) == number else []

    return wait_for(asked, "a question")


def start(box: Sandbox, *flags: str) -> Running:
    return box.start_run("--phase-tools", "on", "--audit", "off", *flags)


# -- beside a project ---------------------------------------------------------------------------------------------


def test_an_assistant_is_told_what_the_command_line_tells_and_its_wishes_are_recorded_with_its_name(
    box: Sandbox,
) -> None:
    box.plan(phase("a", f"printf '{'x' * 20}\\033[31mred\\n'; exit 1"), phase("b"), phase("c", needs=["b"]))
    left = box.run("--gate", "wave", "--no-input")
    assert left.code == 5, left

    async def work(one: Assistant) -> None:
        assert await one.names() == sorted([*LOOKING, *ASKING])
        hints = await one.hints()
        assert [name for name, (looks, _) in sorted(hints.items()) if looks] == LOOKING
        assert [name for name, (_, harms) in sorted(hints.items()) if harms] == [
            *("cancel", "pause", "reject", "retry", "skip")
        ]
        direct = box.status()
        told = await one.told("status")
        moving = ("disk", "phases")
        assert {key: told[key] for key in told if key not in moving} == {
            key: direct[key] for key in direct if key not in moving
        }
        assert {row["id"]: row for row in told["phases"]} == {row["id"]: row for row in direct["phases"]}
        assert [row["id"] for row in (await one.told("status", phases=["b"]))["phases"]] == ["b"]
        assert await one.told("plan", plan="plan.json") == box.wavecrew("plan", "plan.json", "--json").json
        assert (await one.told("explain", what="WC104"))["code"] == "WC104"
        refused, log = await one.call("logs", phase="a", lines=1)
        assert (refused, log.strip()) == (False, "x" * 20 + "red")
        # refusals have the reason and the fix of the command line
        direct_words = box.wavecrew("retry", "nobody").err.strip()
        assert await one.refused("retry", phases=["nobody"]) == direct_words
        assert "fix:" in await one.refused("skip", phases=["b"], reason="x", run="no-such-run")
        assert "no phase is called '--all'" in await one.refused("approve", gates=["--all"])
        assert "whole_run" in await one.refused("cancel", phases=[])
        assert await one.told("approve", gates=["wave 2"], reason="fine") == {
            "run": direct["run"],
            "wish": "approve",
            "phases": [],
            "gates": ["wave 2"],
            "accounts": [],
            "coordinator": False,
        }
        assert (await one.told("retry", phases=["a"]))["phases"] == ["a"]
        assert (await one.told("skip", phases=["a"], reason=HOSTILE.replace("\r\n", "")))["wish"] == "skip"

    assist(box, work, name=f"Some (Client){HOSTILE}")
    repo = Repo(box)
    [approved], [reset], [skipped] = (repo.events(kind) for kind in ("GateApproved", "PhaseReset", "PhaseSkipped"))
    who = {one["by"].partition(" for ")[0] for one in (approved, reset, skipped)}
    assert who == {"mcp (Some Client0title31m/scriptevil)"}
    assert approved["reason"] == "fine"


def test_whoever_may_only_look_is_offered_nothing_else(box: Sandbox) -> None:
    box.plan(phase("a", "yes word | head -c 3000000"))
    assert box.run().code == 0

    async def work(one: Assistant) -> None:
        assert await one.names() == LOOKING
        assert "unknown tool" in (await one.refused("cancel", phases=["a"])).lower()
        _, log = await one.call("logs", phase="a", lines=500)
        assert log.count("word") >= 499
        assert len(log) < 50_000

    assist(box, work, "--read-only")


def test_two_assistants_at_once_and_one_where_nothing_was_run(box: Sandbox) -> None:
    box.plan(phase("a", 'touch "$HOME/at-work"; until [ -e "$HOME/go" ]; do sleep 0.05; done'))
    running = box.start_run()
    wait_for(lambda: (box.home / "at-work").exists(), "an agent")

    async def first(one: Assistant) -> None:
        async def second(two: Assistant) -> None:
            paused, told = await asyncio.gather(one.told("pause"), two.told("status"))
            assert paused["coordinator"] is True
            assert told["run"] == paused["run"]
            assert "mcp (one)" in (await two.told("status"))["paused_by"]
            await asyncio.gather(two.told("continue"), one.told("continue"))
            assert (await one.told("status"))["paused_by"] is None

        argv = ["-m", "wavecrew", "mcp"]
        server = StdioServerParameters(command=sys.executable, args=argv, env=box.environment(), cwd=box.folder)
        async with Client(server, client_info=Implementation(name="two", version="1")) as client:
            await second(Assistant(client))

    assist(box, first, name="one")
    (box.home / "go").touch()
    assert running.end().code == 0

    async def nowhere(one: Assistant) -> None:
        assert "nothing has been run in" in await one.refused("status")

    empty = box.home / "empty"
    empty.mkdir()
    assist(box, nowhere, "-C", str(empty))


def test_without_the_library_the_fix_is_named_and_other_commands_do_not_load_it(box: Sandbox) -> None:
    box.write("hidden/mcp/__init__.py", "raise ImportError('hidden')\n")
    hidden = {"PYTHONPATH": str(box.folder / "hidden")}
    missing = box.wavecrew("mcp", env=hidden)
    assert missing.code == 8
    assert "fix: pip install 'wavecrew[mcp]'" in missing.err
    assert box.wavecrew("--help", env=hidden).code == 0


# -- inside of a phase --------------------------------------------------------------------------------------------


def test_a_question_is_counted_in_every_view_and_answered_from_another_terminal(box: Sandbox) -> None:
    text = f"Which of the two, {HOSTILE}\nold or new?"
    box.plan(
        agent(
            "a",
            "TOOLS",
            step("progress", text=f"half way {HOSTILE}"),
            step("ask_human", question=text, wait_seconds=0),
            step("ask_human", question=text, wait_seconds=3000),
            step("ask_human", question=text),
        )
    )
    running = start(box, WAIT)
    [question] = until_asked(box, running)
    assert question["phase"] == "a"
    assert " ".join(question["text"].split()) == "Which of the two, ]0;title[31m</script>evil old or new?"
    row = box.status()["phases"][0]
    assert row["reason"].startswith("asks: Which of the two,")
    assert row["progress"]["title"].startswith("half way ]0;title[31m</script>evil")
    shown = " ".join(box.wavecrew("status").out.split())
    assert "needs you: a asks: Which of the two," in shown
    assert "wavecrew answer a '...'" in shown
    assert "nobody has answered" in " ".join(box.wavecrew("explain", "a", "--plan", "plan.json").out.split())
    assert "a text of 1 to" in box.wavecrew("answer", "a", " ").err
    assert "no question 7" in box.wavecrew("answer", "a", "new", "--question", "7").err

    answered = box.wavecrew("answer", "a", "the new", "one")

    assert answered.code == 0, answered
    done = running.end()
    assert done.code == 0, done
    tools, progress, early, late, again = said(box, "a")
    assert tools == INSIDE
    assert progress == {"recorded": True}
    assert (early["answered"], early["question"]) == (False, 1)
    assert "the question stands" in early["what_now"]
    assert (late["answered"], late["answer"]) == (True, "the new one")
    assert again == late
    assert "ask    a Phase a needs you: Which of the two," in done.out
    assert "answer a Phase a by=" in done.out
    assert "tell   a Phase a half way" in done.out
    assert "\x1b" not in done.out
    refused = box.wavecrew("answer", "a", "more")
    assert (refused.code, "asks nothing" in refused.err) == (2, True)
    assert [one["question"] for one in Repo(box).events("QuestionAsked")] == [1]


def test_a_run_that_nobody_attends_is_left_with_its_question_and_finds_the_answer_later(box: Sandbox) -> None:
    box.plan(agent("a", step("ask_human", question="Old or new?", wait_seconds=3000)), phase("b", needs=["a"]))
    left = start(box, "--no-input").end()
    assert left.code == 5, left
    assert "needs an answer: phase a" in left.out
    assert box.wavecrew("status", "--exit-status").code == 5
    again = start(box, "--no-input").end()  # its agent would only ask once more
    assert again.code == 5, again
    assert len(Repo(box).events("AttemptStarted")) == 1

    assert box.wavecrew("answer", "a", "new").code == 0  # nobody is in charge

    assert box.wavecrew("status", "--exit-status").code == 1
    assert start(box, "--no-input").end().code == 0
    assert [one["answer"] for one in said(box, "a")] == ["new"]
    assert box.ran() == ["a", "a", "b"]


def test_a_run_that_is_cancelled_while_an_agent_waits_ends_at_once_and_leaves_nothing(box: Sandbox) -> None:
    box.plan(agent("a", step("ask_human", question="Old or new?", wait_seconds=3000)))
    running = start(box, WAIT)
    until_asked(box, running)
    assert box.wavecrew("cancel").code == 0
    assert running.end().code != 0
    assert box.alive() == []
    assert said(box, "a") == []
    assert [one["text"] for one in questions(box)] == [
        "Old or new?"
    ]  # it stands, and can be answered before it goes on
    assert box.wavecrew("answer", "a", "new").code == 0
    assert questions(box) == []


def test_locks_are_asked_for_by_the_rules_of_the_write_gate(box: Sandbox) -> None:
    box.plan(
        agent(
            "a",
            step("lock_request", paths=["x", "made/"], wait_seconds=5),
            'RUN touch "$HOME/holds"',
            "WAIT $HOME/go",
            writes=["own"],
        ),
        agent(
            "b",
            "WAIT $HOME/holds",
            step("lock_request", paths=["made/deep/file"], wait_seconds=0),
            step("lock_request", paths=[".git/config"], wait_seconds=0),
            step("lock_request", paths=["/etc/outside"], wait_seconds=0),
            'RUN touch "$HOME/go"',
            step("lock_request", paths=["x"], wait_seconds=60),
            writes=["else"],
        ),
    )
    box.write("own", "")
    box.write("else", "")

    done = start(box).end()

    assert done.code == 0, done
    assert said(box, "a") == [{"granted": True}]
    held, closed, outside, late = said(box, "b")
    assert held["granted"] is False
    assert "held by phase a" in held["reason"]
    assert "belongs to git" in closed["reason"]
    assert "outside of" in outside["reason"]
    assert late == {"granted": True}
    asked = Repo(box).events("WriteJudged")
    assert {one["tool"] for one in asked} == {"wavecrew:lock_request"}


def test_a_coordinator_that_is_gone_is_told_and_its_follower_knows_the_question(box: Sandbox) -> None:
    box.plan(
        agent(
            "a",
            step("ask_human", question="Old or new?", wait_seconds=3000),
            step("progress", text="alone"),
            'RUN touch "$HOME/alone"',
            "WAIT $HOME/followed",
            step("ask_human", question="old  OR new?", wait_seconds=3000),
        )
    )
    first = start(box, WAIT)
    until_asked(box, first)
    first.kill()
    wait_for(lambda: (box.home / "alone").exists(), "the agent to notice")
    second = start(box, WAIT)
    wait_for(lambda: Repo(box).events("AttemptAdopted"), "somebody in charge")
    (box.home / "followed").touch()
    wait_for(lambda: box.wavecrew("answer", "a", "new").code == 0, "an answer")

    assert second.end().code == 0

    gone, alone, answer = said(box, "a")
    assert "coordinator went away" in gone or "nobody is in charge" in gone
    assert "nobody is in charge" in alone
    assert answer["answer"] == "new"
    assert len(Repo(box).events("QuestionAsked")) == 1


@pytest.mark.skipif(not probe().available, reason=f"NO CEILING ON THIS KERNEL: {probe().reason}")
def test_below_the_ceiling(box: Sandbox) -> None:
    program = box.home / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("fake_claude.py")} "$@"\n')
    program.chmod(0o755)
    temporary = box.home / "tmp"  # what agents may use as such does not hold the workspace then
    temporary.mkdir()
    box.extra |= {"PATH": f"{program.parent}:{os.environ['PATH']}", "TMPDIR": str(temporary)}
    repo = Repo(box)
    repo.begin()
    steps = [step("progress", text="below"), step("ask_human", question="Old or new?", wait_seconds=3000)]
    script = shlex.join([sys.executable, str(AGENT), "TOOLS", *steps])
    forced = f"cd $WAVECREW_ROOT && env -u WAVECREW_PHASE {sys.executable} -m wavecrew answer a forged; true"
    repo.plan({"id": "a", "name": "A", "agent": "claude", "description": f"SHELL {forced}\nSHELL {script}\nWRITE a: 1"})
    running = box.start_run(WAIT, "--ceiling", "on", "--audit", "off")
    until_asked(box, running)
    assert box.wavecrew("answer", "a", "new").code == 0

    done = running.end()

    assert done.code == 0, done
    tools, told, answer = [json.loads(line)[1] for line in repo.text("said-a").splitlines()]
    assert (tools, told, answer["answer"]) == (INSIDE, {"recorded": True}, "new")
