"""Commands of documents run only after their user has agreed, and agents see only what they may."""

from __future__ import annotations

import json
import sys

from sandbox import STATE, Sandbox, phase


def _greet(box: Sandbox, word: str = "hello") -> None:
    box.plan(phase("a", f"echo {word} > greeting", writes=["greeting"]))


def _run(box: Sandbox, *flags: str, text: str = "") -> int:
    return box.wavecrew("run", "plan.json", "--wave-delay-seconds", "0", *flags, text=text).code


def test_nobody_to_ask_means_no(box: Sandbox) -> None:
    _greet(box)
    asked = box.wavecrew("run", "plan.json", text="y\n")
    assert asked.code == 5
    assert "--dry-run" in asked.err
    assert "--yes" in asked.err
    assert box.ran() == []
    assert not (box.folder / STATE).exists()


def test_it_is_told_where_commands_come_from(box: Sandbox) -> None:
    box.write("wavecrew.toml", 'agent = "command"\ncommand = ["true"]\n')
    box.write("plan/1.md", "# Phase 1: A\n\nDo it.\n")
    asked = box.wavecrew("run", "plan")
    assert asked.code == 5
    assert "would run 1 command from the configuration, " in asked.err
    box.write("plan/1.md", "# Phase 1: A\n\nDo it.\n\n```sh check\ntrue\n```\n")
    assert "would run 2 commands from 1 document and the configuration, " in box.wavecrew("run", "plan").err


def test_an_agreement_is_remembered_for_this_content_only(box: Sandbox) -> None:
    _greet(box)
    assert _run(box, "--yes") == 0
    assert _run(box, "--force") == 0
    _greet(box, "goodbye")
    assert _run(box) == 5
    assert box.read("greeting") == "hello\n"
    assert _run(box, "--yes") == 0
    assert box.read("greeting") == "goodbye\n"
    _greet(box)
    assert _run(box) == 0
    assert box.read("greeting") == "hello\n"


def test_an_agreement_is_for_one_workspace(box: Sandbox, make_box: object) -> None:
    _greet(box)
    assert _run(box, "--yes") == 0
    other = make_box("other")  # type: ignore[operator]
    _greet(other)
    other.home = box.home
    assert _run(other) == 5


def test_a_workspace_cannot_bring_its_own_agreement(box: Sandbox) -> None:
    _greet(box)
    assert _run(box, "--yes") == 0
    (kept,) = box.home.rglob("consent.json")
    assert not list(box.folder.rglob("consent*"))
    text = kept.read_text()
    kept.unlink()
    for place in ("", f"{STATE}/", ".config/", ".local/state/wavecrew/"):
        box.write(f"{place}consent.json", text)
    assert _run(box, "--force") == 5


def test_settings_of_a_workspace_cannot_agree_either(box: Sandbox) -> None:
    _greet(box)
    for line in ("yes = true", "no_input = false", "consent = true"):
        box.write("wavecrew.toml", line + "\n")
        assert _run(box) in (3, 5)
    assert box.ran() == []


def test_a_program_that_the_project_names_needs_an_agreement(box: Sandbox) -> None:
    box.write("plan.json", json.dumps({"phases": [{"id": "a", "description": "do it"}]}))
    box.write("wavecrew.toml", 'agent = "command"\ncommand = ["sh", "-c", "touch pwned"]\n')
    assert _run(box) == 5
    assert not (box.folder / "pwned").exists()
    assert _run(box, "--yes") == 0
    (box.folder / "pwned").unlink()
    box.write("wavecrew.toml", 'agent = "command"\ncommand = ["sh", "-c", "touch pwned2"]\n')
    assert _run(box, "--force") == 5


def test_a_broken_memory_of_agreements_asks_again(box: Sandbox) -> None:
    _greet(box)
    assert _run(box, "--yes") == 0
    (kept,) = box.home.rglob("consent.json")
    for text in ("", "[]", '{"/": 3}', json.dumps({str(box.folder): None})):
        kept.write_text(text)
        assert _run(box, "--force") == 5, text
    assert _run(box, "--force", "--yes") == 0
    assert _run(box, "--force") == 0


# -- the dry run ------------------------------------------------------------------------------------------------

_TELL = (
    "import json, os, sys; json.dump({'argv': sys.argv, 'cwd': os.getcwd(), 'env': sorted(os.environ),"
    " 'stdin': sys.stdin.read()}, open('told.json', 'w'))"
)


def test_a_dry_run_tells_what_really_starts_and_writes_nothing(box: Sandbox) -> None:
    argv = [sys.executable, "-c", _TELL, "two words", "$HOME", "{phase}", "*"]
    box.plan({"id": "t 1", "name": "Tell", "description": "The task.", "command": argv, "writes": ["told.json"]})
    before = sorted(box.folder.rglob("*"))
    dry = box.wavecrew("run", "plan.json", "--dry-run", "--json")
    assert dry.code == 0, dry
    assert sorted(box.folder.rglob("*")) == before
    assert not list(box.home.rglob("consent*"))
    (job,) = dry.json["jobs"]
    (step,) = job["steps"]
    assert box.run().code == 0
    told = json.loads(box.read("told.json"))
    assert step["argv"][3:] == told["argv"][1:] == ["two words", "$HOME", "t 1", "*"]
    assert job["cwd"] == told["cwd"]
    assert {*job["environment"], "LC_CTYPE"} == {*told["env"], "LC_CTYPE"}  # Python may add this one to itself
    assert step["stdin"] == told["stdin"]
    assert "The task." in told["stdin"]


def test_the_dry_run_for_people(box: Sandbox) -> None:
    box.plan(phase("a", "touch a", writes=["a"]), phase("b", needs=["a"]))
    dry = box.wavecrew("run", "plan.json", "--dry-run")
    assert dry.code == 0
    assert "nothing was started" in dry.out
    assert "touch a" in dry.out
    assert "wave 2" in dry.out
    assert not (box.folder / STATE).exists()


def test_agents_see_only_variables_that_they_may(box: Sandbox) -> None:
    secret = {
        "MY_SECRET_TOKEN": "s3cr3t",
        "PYTHONPATH": "/nowhere",
        "LD_LIBRARY_PATH": "/nowhere",
        "LANG": "C.UTF-8",
    }
    box.plan(phase("a", "env > seen"))
    assert box.run(env=secret).code == 0
    assert "s3cr3t" not in box.read("seen")
    assert "nowhere" not in box.read("seen")
    assert "LANG=C.UTF-8" in box.read("seen")
    assert "WAVECREW_PHASE=a" in box.read("seen")
    box.write("wavecrew.toml", 'env = ["MY_SECRET_TOKEN"]\n')
    assert box.run("--force", env=secret).code == 0
    assert "MY_SECRET_TOKEN=s3cr3t" in box.read("seen")


def test_secrets_do_not_stay_in_the_state_folder(box: Sandbox) -> None:
    box.plan(phase("a"), phase("b", "exit 1"))
    box.run("--env", "MY_SECRET_TOKEN", env={"MY_SECRET_TOKEN": "s3cr3t-value"})
    assert sorted(box.ran()) == ["a", "b"]
    files = [path for path in box.folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"s3cr3t-value" in path.read_bytes()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in [box.folder / STATE, box.folder / STATE / "state.db"])
