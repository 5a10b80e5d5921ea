"""Names that shells, paths and terminals take for something else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sandbox import Sandbox, phase, wait_for

FOLDERS = [
    "with spaces",
    'quote\'s "double"',
    "ünïcödé 漢字 🎉",
    "$(touch pwned)",
    "-rf",
    "%s%n{phase} #hash?query&x=1 \t back\\slash ; rm -rf *",
    "x" * 150,
]


@pytest.mark.parametrize("name", FOLDERS)
def test_workspaces_of_any_name(make_box: Callable[[str], Sandbox], name: str) -> None:
    box = make_box(name)
    box.write("plan/01-a.md", "---\nwrites: [made.txt]\n---\n# Phase 1: A\n\n```sh run\ntouch made.txt\n```\n")
    box.write("plan/02-b.md", "---\nneeds: [1]\n---\n# Phase 2: B\n\n```sh run\ntest -e made.txt && echo fine\n```\n")
    done = box.run(plan="plan")
    assert done.code == 0, done
    assert "fine" in box.wavecrew("logs", "2").out
    assert "nothing to do" in box.run(plan="plan").out
    assert not list(box.folder.parent.glob("pwned"))


IDS = [
    "$(touch pwned)",
    "`touch pwned`",
    "; rm -rf canary",
    "a;b|c&d>e",
    "-rf",
    "--help",
    "../x",
    "../../../../tmp/x",
    "/etc/passwd",
    ".",
    "..",
    "a/b",
    "with space",
    'quote\'s "double"',
    "ünïcödé 漢字 🎉",
    "{phase} {prompt_file}",
    "%s %n",
    "<script>alert(1)</script>",
    "con",
    "x" * 200,
    "latest",
    "\\n\\e[31m",
    "*",
    "[a-z]",
    "#1",
]


def test_ids_that_are_hostile_to_shells_and_paths(box: Sandbox) -> None:
    (box.folder / "canary").mkdir()
    box.write("canary/alive", "yes")
    entries = []
    for number, name in enumerate(IDS):
        needs = [IDS[number - 1]] if number % 5 else []
        script = 'printf "%s\\n" "$WAVECREW_PHASE" >> seen; printf "%s\\n" "$1" "$2" >> arguments'
        command = ["sh", "-c", script, "sh", "{phase}", "{name}"]
        entries.append({"id": name, "name": f"Name {name}"[:180], "needs": needs, "command": command})
    box.plan(*entries)
    outside = set(box.folder.parent.iterdir())
    done = box.run("-j4")
    assert done.code == 0, done
    assert sorted(box.read("seen").splitlines()) == sorted(IDS)
    given = box.read("arguments").splitlines()
    assert sorted(given) == sorted([*IDS, *(f"Name {name}"[:180] for name in IDS)])
    assert set(box.statuses().values()) == {"COMPLETED"}
    assert box.read("canary/alive") == "yes"
    assert set(box.folder.parent.iterdir()) == outside
    assert {path.name for path in box.folder.iterdir()} <= {"canary", "seen", "arguments", "plan.json", ".wavecrew"}
    for command in ("status", "report", "plan"):
        assert box.wavecrew(command, *(["plan.json"] if command == "plan" else [])).code == 0


@pytest.mark.parametrize("name", ["$(touch pwned)", "-rf", "../x", "with space", "*", "[a-z]", "ünïcödé 漢字 🎉"])
def test_hostile_ids_can_be_named_on_the_command_line(box: Sandbox, name: str) -> None:
    box.plan(phase(name, "echo it is me"), phase("other", "echo not me"))
    assert box.run(f"--only={name}").code == 0
    assert box.read("ran") == f"{name}\n"
    shown = box.wavecrew("logs", "--", name)
    assert shown.code == 0
    assert "it is me" in shown.out


def test_the_next_line_can_be_pasted_for_hostile_ids(box: Sandbox) -> None:
    import shlex

    box.plan(phase("$(touch pwned) it's", "echo reason; exit 1"))
    told = box.run().out.splitlines()[-1]
    words = shlex.split(told.removeprefix("next: ").split(" · ")[0])
    assert words[:2] == ["wavecrew", "logs"]
    assert "reason" in box.wavecrew(*words[1:]).out


def test_the_next_line_can_be_pasted_for_an_id_like_an_option(box: Sandbox) -> None:
    import shlex

    box.plan(phase("-rf", "echo reason; exit 1"))
    told = box.run().out.splitlines()[-1]
    words = shlex.split(told.removeprefix("next: ").split(" · ")[0])
    assert "reason" in box.wavecrew(*words[1:]).out


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "a\x00b", "", " ", "x" * 201])
def test_ids_that_nobody_can_type_are_refused_or_cleaned(box: Sandbox, name: str) -> None:
    box.plan(phase(name))
    done = box.run()
    assert done.code in (0, 3), done
    assert "\x1b" not in done.out + done.err


def test_outputs_of_any_name(box: Sandbox) -> None:
    outputs = ["a b.txt", "quote's.txt", "ünï.txt", "$(x).txt", "-dash", "deep/er/file.txt", "dots...txt"]
    script = 'for f in "$@"; do mkdir -p "$(dirname -- "./$f")"; : > "./$f"; done'
    box.plan({"id": "a", "name": "A", "writes": outputs, "command": ["sh", "-c", script, "sh", *outputs]})
    done = box.run()
    assert done.code == 0, done
    assert "nothing to do" in box.run().out


def test_a_runbook_does_not_write_through_a_link_out_of_the_workspace(box: Sandbox) -> None:
    outside = box.home / "outside"
    outside.mkdir()
    (box.folder / "link").symlink_to(outside)
    box.write("plan/01-a.md", "# Phase 1: A\n\n```txt file=link/owned.txt\nx\n```\n")
    box.write("plan/02-b.md", "# Phase 2: B\n\n```sh run\ntrue\n```\n")
    assert box.run(plan="plan").code in (1, 3)
    assert not list(outside.iterdir())


def test_an_agent_that_hides_its_children_leaves_none_behind(box: Sandbox) -> None:
    hide = "setsid sh -c 'echo $$ > child; exec sleep 600' >/dev/null 2>&1 & until [ -s child ]; do sleep 0.02; done"
    box.plan(phase("a", hide))
    done = box.run("--grace", "0.2")
    assert done.code == 0, done
    child = int(box.read("child"))

    def gone() -> bool:
        try:
            with open(f"/proc/{child}/stat", encoding="ascii") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    wait_for(gone)
    assert not box.alive()
