"""Agent programs are tried before they work: one that asks, one that does not, and one that does nothing at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from sandbox import Sandbox, phase

ASKS = f"sed 's/^stub: write/WRITE/' | {sys.executable} {Path(__file__).with_name('fake_claude.py')} \"$@\""
WRITES = f"""read_all=$(cat)
printf '%s\\n' "$read_all" | sed -n 's/^stub: write \\([a-z.]*\\): .*/\\1/p' | xargs -r touch
printf '%s\\n' "$read_all" | {ASKS}"""
SILENT = "exit 3"


def program(box: Sandbox, does: str, version: str = "2.9.9") -> None:
    """A `claude` on PATH, and another file than any before."""
    file = box.home / "bin" / "claude"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo {version}; exit; fi\n{does}\n# {len(does)}\n')
    file.chmod(0o755)
    box.extra |= {"PATH": f"{file.parent}:{os.environ['PATH']}", "WAVECREW_GATE_PROOF": "once"}


def plan(box: Sandbox) -> None:
    task = phase("a", "") | {"agent": "claude", "description": "WRITE a: 1", "writes": ["a"]}
    del task["command"]
    box.plan(task)


def test_one_that_asks_is_tried_once_and_works(box: Sandbox) -> None:
    program(box, ASKS)
    plan(box)

    done = box.run()

    assert done.code == 0, done
    assert done.out.count("trying whether claude 2.9.9 asks before it writes") == 1
    assert box.read("a") == "1\n"
    again = box.run("--force")
    assert again.code == 0, again
    assert "trying" not in again.out + again.err
    assert "asked before a write when it was tried here on 20" in " ".join(box.wavecrew("agents", "list").out.split())
    [told] = [one for one in box.wavecrew("agents", "list", "--json").json["agents"] if one["name"] == "claude"]
    assert told["gate_proof"]["asks"] is True


@pytest.mark.parametrize("gate", ["auto", "on"])
def test_one_that_writes_without_asking_does_not_work(box: Sandbox, gate: str) -> None:
    program(box, WRITES)
    plan(box)

    refused = box.run("--write-gate", gate)

    assert refused.code == 8, refused
    assert "claude 2.9.9 does not ask before it writes: it wrote a file that somebody else held" in refused.err
    assert box.wavecrew("status").code != 0  # there is no run
    assert box.read("a") == ""
    assert box.run("--write-gate", "off").code == 0  # as the refusal says


def test_one_that_cannot_be_tried_is_in_doubt_and_refused_by_those_who_want_to_be_sure(box: Sandbox) -> None:
    program(box, SILENT)
    plan(box)

    refused = box.run("--write-gate", "on")

    assert refused.code == 8, refused
    assert "whether claude 2.9.9 asks before it writes is not proven" in refused.err
    in_doubt = box.run()
    assert in_doubt.code == 1, in_doubt
    assert "is not proven" in in_doubt.out


def test_an_update_is_tried_anew(box: Sandbox) -> None:
    program(box, ASKS)
    plan(box)
    assert box.run().code == 0
    program(box, WRITES)

    refused = box.run("--force")

    assert refused.code == 8, refused


def test_the_doctor_tries_what_is_installed(box: Sandbox) -> None:
    program(box, WRITES)
    box.extra["PATH"] = f"{box.home / 'bin'}:/usr/bin:/bin"

    found = box.wavecrew("doctor", "--prove-gate", "--json")

    assert found.code == 8
    [gate] = [check for check in found.json["checks"] if check["name"] == "gate of claude"]
    assert (gate["ok"], gate["detail"]) == (False, "2.9.9: it wrote a file that somebody else held")


def test_those_who_want_to_be_sure_have_no_agent_that_cannot_ask(box: Sandbox) -> None:
    box.plan(phase("a", "echo"))

    refused = box.run("--write-gate", "on")

    assert refused.code == 8, refused
    assert "command cannot ask before it writes" in refused.err


def test_a_version_that_nobody_has_tried_is_told(box: Sandbox) -> None:
    program(box, ASKS, "1.0.9")
    plan(box)

    done = box.run("--gate-proof", "off")

    assert done.code == 0, done
    assert "claude 1.0.9: older than 2.1.295" in done.out


def test_without_a_login_nothing_starts(box: Sandbox) -> None:
    none = '{"loggedIn": false, "authMethod": "none", "apiProvider": "firstParty"}'
    program(box, f'if [ "$1" = auth ]; then [ -n "$KEY" ] || {{ echo \'{none}\'; exit 1; }}; exit; fi\n{ASKS}')
    plan(box)
    box.extra |= {"KEY": "x", "WAVECREW_GATE_PROOF": "off"}

    refused = box.run()

    assert refused.code == 8, refused
    assert "nobody is logged in to claude" in refused.err
    assert "claude auth login" in refused.err
    assert box.run("--env", "KEY").code == 0
