"""Real agents with our tools inside of a phase: they tell how far they are, ask a person, and ask for a lock."""

from __future__ import annotations

import json
from collections.abc import Callable

from agent_world import World, task

MakeWorld = Callable[..., World]
FORMS = {
    "claude": "mcp__wavecrew__{}",
    "codex": "mcp__wavecrew/{}",  # a space of names, which a model finds by a search
    "gemini": "mcp_wavecrew_{}",
    "opencode": "wavecrew_{}",
}


def test_it_has_our_tools_below_gate_and_ceiling_and_its_question_is_answered(
    agent: str, make_world: MakeWorld
) -> None:
    world = make_world(agent)
    calls = [
        ("progress", {"text": "half way"}),
        ("lock_request", {"paths": ["more.txt"], "wait_seconds": 5}),
        ("ask_human", {"question": "Old or new?", "wait_seconds": 40}),
    ]
    steps = [f"tool {FORMS[agent].format(name)} {json.dumps(given)}" for name, given in calls]
    world.repo.plan(task("p", agent, *steps, "write a.txt: done", "say all good", writes=["a.txt"]))
    running = world.start("--phase-tools", "on", "--wait-for-approval")
    world.until(lambda: world.events("QuestionAsked"), "the question", running)
    assert world.box.wavecrew("answer", "p", "the new one").code == 0

    done = running.end()

    assert done.code == 0, (done, world.told())
    assert [one["text"] for one in world.events("ProgressTold")] == ["half way"], world.told()
    [locked] = [one for one in world.events("WriteJudged") if one["tool"] == "wavecrew:lock_request"]
    assert (locked["allowed"], locked["claimed"]) == (True, ["more.txt"])
    assert [one["by"] for one in world.events("QuestionAnswered")] != []
    assert "the new one" in str(world.results("p")), world.told()
    assert world.repo.text("a.txt").strip() == "done"
    assert "approve" not in str([one.offered for one in world.stub.requests])  # nothing of the outer tools
