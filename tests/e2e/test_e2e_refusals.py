"""Mistakes of users: each with its exit code, its place and a way out, and nothing is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sandbox import STATE, Sandbox, phase


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("rum",), "run"),
        (("nonsense",), "--help"),
        (("run", "--nonsense"), "--nonsense"),
        (("run", "a", "b"), "b"),
        (("check", "--format", "xml"), "sarif"),
        (("logs",), "phase"),
    ],
)
def test_usage(box: Sandbox, arguments: tuple[str, ...], hint: str) -> None:
    box.plan(phase("a"))
    box.run()
    refused = box.wavecrew(*arguments)
    assert refused.code == 2, refused
    assert hint in refused.err
    assert refused.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("logs", "a"),
        ("report",),
        ("runs", "show"),
        ("run", "no-such-plan"),
        ("plan", "no-such-plan"),
        ("-C", "no-such-folder", "status"),
        ("explain", "no-such-phase"),
    ],
)
def test_what_is_not_there(box: Sandbox, arguments: tuple[str, ...]) -> None:
    refused = box.wavecrew(*arguments)
    assert refused.code == 4, refused
    assert refused.err.startswith("error[")
    assert not (box.folder / STATE).exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "zzz"),
        ("runs", "show", "99"),
        ("report", "zzz"),
        ("logs", "zzz"),
        ("logs", "a", "--run", "zzz"),
        ("run", "plan.json", "--only", "zzz"),
        ("explain", "zzz", "--plan", "plan.json"),
    ],
)
def test_what_is_not_there_beside_what_is(box: Sandbox, arguments: tuple[str, ...]) -> None:
    box.plan(phase("a"))
    assert box.run().code == 0
    refused = box.wavecrew(*arguments)
    assert refused.code == 4, refused
    assert "zzz" in refused.err or "99" in refused.err


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("plan = 'plan'\nmax_parallel_agents = 'three'\n", 2, "max_parallel_agents"),
        ("max_parallel_agents = 0\n", 1, "1"),
        ("\n\nmax_paralel_agents = 3\n", 3, "max_parallel_agents"),
        ("a = [1\nb = 2\n", 2, "TOML"),
        ("command = 'sh -c x'\n", 1, "list"),
        ("timeout = 5\n", 1, "timeout"),
    ],
)
def test_a_wrong_configuration_is_shown_where_it_is_wrong(box: Sandbox, text: str, line: int, word: str) -> None:
    box.plan(phase("a"))
    box.write("wavecrew.toml", text)
    for command in (("run", "plan.json", "--yes"), ("config", "validate")):
        refused = box.wavecrew(*command)
        assert refused.code == 3, refused
        assert f"wavecrew.toml:{line}" in refused.err
        assert word in refused.err
    assert box.ran() == []


def test_wrong_flags_and_variables_are_refused(box: Sandbox) -> None:
    box.plan(phase("a"))
    assert box.run("-j", "zero").code in (2, 3)
    assert box.run("-j", "0").code in (2, 3)
    refused = box.run(env={"WAVECREW_MAX_PARALLEL_AGENTS": "many"})
    assert refused.code == 3
    assert "WAVECREW_MAX_PARALLEL_AGENTS" in refused.err
    assert box.ran() == []


def _bad_plans() -> list[tuple[str, list[dict[str, object]], str]]:
    return [
        ("a ring", [phase("a", needs=["b"]), phase("b", needs=["a"])], "WC104"),
        ("itself", [phase("a", needs=["a"])], "WC103"),
        ("unknown", [phase("a", needs=["nobody"])], "WC102"),
        ("twice", [phase("a"), phase("a")], "WC101"),
        ("outside", [phase("a", writes=["../outside"])], "WC106"),
        ("absolute", [phase("a", writes=["/etc/passwd"])], "WC106"),
    ]


@pytest.mark.parametrize(("phases", "code"), [pair[1:] for pair in _bad_plans()], ids=[one[0] for one in _bad_plans()])
def test_a_faulty_plan_is_not_run(box: Sandbox, phases: list[dict[str, object]], code: str) -> None:
    box.plan(*phases)
    refused = box.run()
    assert refused.code == 3, refused
    assert code in refused.err
    assert "plan.json:" in refused.err
    assert box.ran() == []
    assert not (box.folder / STATE).exists()
    checked = box.wavecrew("check", "plan.json")
    assert checked.code == 3
    assert code in checked.out


def test_a_faulty_plan_is_shown_as_far_as_it_could_be_read(box: Sandbox) -> None:
    box.plan(phase("a", needs=["b"]), phase("b", needs=["a"]), phase("c"))
    shown = box.wavecrew("plan", "plan.json")
    assert shown.code == 3
    assert "Phase c" in shown.out
    found = box.wavecrew("check", "plan.json", "--format", "json")
    assert "WC104" in json.dumps(found.json)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"phases": 3}', "\x00\x01", "hello"])
def test_what_is_no_plan_is_refused(box: Sandbox, text: str) -> None:
    box.write("plan.json", text)
    refused = box.run()
    assert refused.code in (3, 4), refused
    assert "error[" in refused.err


def test_an_agent_that_does_not_exist(box: Sandbox) -> None:
    box.plan(phase("a"), {"id": "b", "name": "B", "agent": "nobody"})
    refused = box.run()
    assert refused.code in (3, 8), refused
    assert "nobody" in refused.err
    assert box.ran() == []
    other = box.run("--agent", "nobody", plan="plan.json")
    assert other.code in (3, 8)


def test_a_runbook_without_blocks_is_refused_before_anything_starts(box: Sandbox) -> None:
    box.plan(phase("a"), {"id": "b", "name": "B", "description": "only words"})
    refused = box.run()
    assert refused.code == 8, refused
    assert "b" in refused.err
    assert box.ran() == []


def test_a_program_that_is_not_installed(box: Sandbox) -> None:
    box.plan({"id": "a", "name": "A", "command": ["no-such-program-anywhere"]}, phase("b"))
    done = box.run()
    assert done.code in (1, 8)
    assert "no-such-program-anywhere" in done.out + done.err


def test_doctor_says_what_is_missing(box: Sandbox) -> None:
    assert box.wavecrew("doctor").code == 0
    box.write("wavecrew.toml", 'agent = "command"\ncommand = ["no-such-program-anywhere"]\n')
    found = box.wavecrew("doctor")
    assert found.code == 8
    assert "no-such-program-anywhere" in found.out
    assert any(not check["ok"] for check in box.wavecrew("doctor", "--json").json["checks"])


def test_a_state_database_that_is_none(box: Sandbox) -> None:
    box.plan(phase("a"))
    assert box.run().code == 0
    (box.folder / STATE / "state.db").write_bytes(b"this is no database" * 1000)
    for command in (("status",), ("run", "plan.json", "--yes"), ("runs", "list"), ("locks", "list")):
        refused = box.wavecrew(*command)
        assert refused.code == 8, (command, refused)
        assert "state.db" in refused.err


def test_a_workspace_that_is_a_file(box: Sandbox) -> None:
    target: Path = box.write("file", "")
    assert box.wavecrew("-C", str(target), "status").code in (2, 4)
    box.write(STATE, "not a folder")
    box.plan(phase("a"))
    refused = box.run()
    assert refused.code == 8, refused


# -- first steps ------------------------------------------------------------------------------------------------


def test_first_steps(box: Sandbox) -> None:
    nothing = box.wavecrew()
    assert nothing.code == 0
    assert "wavecrew init" in nothing.out
    made = box.wavecrew("init")
    assert made.code == 0
    for path in ("wavecrew.toml", "plan/01-model.md"):
        assert (box.folder / path).exists()
    assert box.wavecrew("check").code == 0
    assert box.wavecrew("plan").code == 0
    done = box.wavecrew("run", "--yes", "--wave-delay-seconds", "0")
    assert done.code == 0, done
    assert "nothing to do" in box.wavecrew("run").out
    assert box.wavecrew("init").code == 2
    assert box.wavecrew("--version").out.startswith("wavecrew ")
