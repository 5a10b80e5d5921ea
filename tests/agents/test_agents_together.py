"""Real agents side by side: on one file, and through a whole plan in which things are killed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice, pairwise

from agent_world import World, chosen, task
from sandbox import wait_for

MakeWorld = Callable[..., World]


def test_eight_agents_write_one_file_one_after_the_other(make_world: MakeWorld) -> None:
    """Each writes its first and its last line into the shared file; between the two nobody else may write."""
    world = make_world()
    world.first_start()
    crew = {f"p{number}": agent for number, agent in enumerate(islice(cycle(chosen()), 8))}

    def steps(name: str) -> tuple[str, ...]:
        first = "shell cat shared.txt || true"
        take = "shell touch shared.txt"  # refused if the file was changed while it waited; the lock is held then
        begin, end = (
            f"shell echo {word} {name} >> shared.txt" for word in ("first", "last")
        )  # a sign is an option of zsh
        return (first, take, begin, "delay 0.5", f"write {name}.txt: own", end, "say written")

    world.repo.plan(*(task(name, agent, *steps(name), writes=[f"{name}.txt"]) for name, agent in crew.items()))

    done = world.run("--isolation", "shared", "--max-parallel-agents", "8", "--min-free-memory", "0")

    assert done.code == 0, (done, world.told())
    assert [one["outcome"] for one in world.events("AttemptEnded")] == ["succeeded"] * 8
    lines = world.read("shared.txt").splitlines()
    assert sorted(lines) == sorted(f"{word} {name}" for name in crew for word in ("first", "last"))
    assert all(lines[at].split()[1] == lines[at + 1].split()[1] for at in range(0, 16, 2)), lines
    assert all(world.read(f"{name}.txt").strip() == "own" for name in crew)
    assert all(later >= sooner for (_, sooner), (later, _) in pairwise(_turns(world))), _turns(world)
    assert max(one["waited"] for one in world.events("WriteJudged")) > 0
    spent = {one["phase"]: one["input_tokens"] for one in world.events("AgentReported")}
    assert spent == {name: world.spent(name).input for name in crew}


def _turns(world: World) -> list[tuple[float, float]]:
    """From when to when each agent had the shared file, in order."""
    ends = {one["phase"]: one["at"] for one in world.events("AttemptEnded")}
    judged = [one for one in world.events("WriteJudged") if "shared.txt" in one["claimed"]]
    return sorted((one["at"], ends[one["phase"]]) for one in judged)


def test_ten_phases_by_all_agents_come_home_although_agent_and_coordinator_are_killed(make_world: MakeWorld) -> None:
    """
    base -> a, b, c, d -> left (a, b), right (c, d) -> both -> notes, proof
    """
    world = make_world()
    world.first_start()
    first, second, third, fourth = islice(cycle(chosen()), 4)

    def made(name: str, agent: str, *needs: str, wait: str = "") -> dict[str, object]:
        read = [f"shell cat {other}.txt" for other in needs]
        steps = [
            *read,
            f"write {name}.txt: by {agent}",
            *([f"wait {wait}"] if wait else []),
            f"write {name}/more.txt: more",
        ]
        return task(name, agent, *steps, "shell echo x > build.log; rm build.log", writes=[f"{name}.txt"], needs=needs)

    world.repo.plan(
        made("base", first),
        made("a", first, "base", wait="killed"),
        made("b", second, "base", wait="alive"),
        made("c", third, "base", wait="alive"),
        made("d", fourth, "base", wait="alive"),
        made("left", second, "a", "b"),
        made("right", first, "c", "d"),
        made("both", third, "left", "right"),
        made("notes", fourth, "both"),
        made("proof", second, "both"),
    )
    flags = ("--isolation", "worktree", "--max-parallel-agents", "4", "--retries", "1", "--min-free-memory", "0")
    running = world.start(*flags)
    world.until(lambda: world.stub.waiting("killed") == 1, "a is at work", running)
    world.until(lambda: world.stub.waiting("alive") == 3, "all are at work", running)
    asked = _asked(world, "a")
    world.kill(_agents_of(world, "a"))
    world.stub.open("killed")
    world.until(lambda: _asked(world, "a") > asked, "a is tried again", running)
    running.kill()
    again = world.start(*flags)
    world.until(lambda: len({one["phase"] for one in world.events("AttemptAdopted")}) >= 3, "agents are adopted", again)
    world.stub.open("alive")
    done = again.end()

    assert done.code == 0, (done, world.told())
    verified = world.box.wavecrew("verify")
    assert verified.code == 0, verified
    names = ("base", "a", "b", "c", "d", "left", "right", "both", "notes", "proof")
    assert world.repo.files() >= {f"{name}.txt" for name in names} | {f"{name}/more.txt" for name in names}
    assert world.events("UndeclaredWrites") == []
    outcomes = [one["outcome"] for one in world.events("AttemptEnded", "a")]
    assert outcomes == ["failed", "succeeded"], outcomes
    assert all(len(world.events("AttemptStarted", name)) == 1 for name in names if name != "a")
    wait_for(lambda: not world.box.alive(), "nothing is alive")
    assert world.repo.worktrees() == 0


def _asked(world: World, name: str) -> int:
    """How often the model was asked for a phase."""
    return sum(one.name == name for one in world.stub.requests)


def _agents_of(world: World, phase: str) -> list[int]:
    """The programs that work on a phase."""
    folder = f"/{phase}/1"
    return [pid for pid in world.agent_pids() if folder in world.mark(pid)]
