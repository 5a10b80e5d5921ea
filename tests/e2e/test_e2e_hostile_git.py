"""Repositories and agents that attack through git: a canary lies behind everything that git could be made to start.

No call of ours may wake it: neither what a repository brings along, nor what an agent plants while a run is at work.
Agents here call no git where hooks are armed, so that whoever wakes the canary is wavecrew.
"""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
from repo import Repo, work
from sandbox import STATE, Outcome, Sandbox

HOOKS = [
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "p4-changelist",
    "p4-post-changelist",
    "p4-pre-submit",
    "p4-prepare-changelist",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "prepare-commit-msg",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
]
KEYS = (
    ("core.fsmonitor", "{canary}"),
    ("core.hooksPath", "{folder}"),
    ("filter.evil.clean", "{canary}"),
    ("filter.evil.smudge", "{canary}"),
    ("filter.evil.process", "{canary}"),
    ("merge.evil.driver", "{canary} %A"),
    ("diff.external", "{canary}"),
    ("diff.evil.textconv", "{canary}"),
    ("diff.evil.command", "{canary}"),
    ("core.sshCommand", "{canary}"),
    ("core.editor", "{canary}"),
    ("sequence.editor", "{canary}"),
    ("core.pager", "{canary}"),
    ("core.askPass", "{canary}"),
    ("core.alternateRefsCommand", "{canary}"),
    ("credential.helper", "!{canary}"),
    ("gpg.program", "{canary}"),
    ("gpg.ssh.program", "{canary}"),
    ("alias.status", "!{canary}"),
    ("pager.log", "{canary}"),
    ("interactive.diffFilter", "{canary}"),
    ("trailer.evil.command", "{canary}"),
    ("include.path", "{folder}/more"),
)
PLAIN = (
    ("commit.gpgSign", "true"),
    ("filter.evil.required", "true"),
    ("diff.evil.cachetextconv", "true"),
    ("log.showSignature", "true"),
    ("merge.default", "evil"),
    ("submodule.recurse", "true"),
    ("gc.auto", "1"),
    ("maintenance.auto", "true"),
    ("alias.rev-parse", "!{canary}"),
)


class Armed:
    """A repository with a canary: a program that leaves a trace when anybody starts it."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self.folder = repo.box.home / "cage"
        self.folder.mkdir()
        self.trace = repo.box.home / "canary"
        self.canary = self._program(self.folder / "canary")
        (self.folder / "more").write_text(f'[filter "more"]\n\tclean = {self.canary}\n')

    def _program(self, path: Path) -> Path:
        path.write_text(f'#!/bin/sh\necho "$0 $*" >> "{self.trace}"\ncat\nexit 0\n')
        path.chmod(0o755)
        return path

    def line(self, key: str, value: str) -> str:
        """A setting, as it is written into a file. No git is asked to write it."""
        section, _, name = key.rpartition(".")
        first, _, rest = section.partition(".")
        told = value.format(canary=self.canary, folder=self.folder)
        return f'[{first} "{rest}"]\n\t{name} = "{told}"\n' if rest else f'[{first}]\n\t{name} = "{told}"\n'

    def set(self, *settings: tuple[str, str]) -> None:
        with (self.repo.box.folder / ".git" / "config").open("a") as file:
            file.write("".join(self.line(key, value) for key, value in settings))

    def arm_hooks(self) -> None:
        hooks = self.repo.box.folder / ".git" / "hooks"
        hooks.mkdir(exist_ok=True)
        for folder in (hooks, self.folder):
            for name in HOOKS:
                self._program(folder / name)

    @property
    def woken(self) -> str:
        return self.trace.read_text() if self.trace.exists() else ""


@pytest.fixture
def repo(box: Sandbox) -> Repo:
    found = Repo(box)
    found.begin({"README.md": "# Here\n", "common": "begin\n"})
    return found


@pytest.fixture
def armed(repo: Repo) -> Armed:
    return Armed(repo)


def _two(repo: Repo) -> None:
    repo.plan(work("a", "echo a > a", writes=["a"]), work("b", "cat a > b", needs=["a"], writes=["b"]))


def _together(count: int = 2) -> str:
    return f"mkdir -p $HOME/here; touch $HOME/here/$WAVECREW_PHASE; {_wait_for_all(count)}"


def _wait_for_all(count: int) -> str:
    return f"while [ $(ls $HOME/here | wc -l) -lt {count} ]; do sleep 0.02; done"


# -- what a repository brings along -----------------------------------------------------------------------------------


def test_no_setting_that_starts_a_program_is_taken_without_consent(armed: Armed) -> None:
    repo = armed.repo
    _two(repo)
    run = ("run", "plan.json", "--wave-delay-seconds", "0")
    assert repo.box.wavecrew(*run).code == 5, "the commands of the plan alone need an agreement of their own"
    config = repo.box.folder / ".git" / "config"
    before = config.read_text()

    for key, value in KEYS[::5] + KEYS[-1:]:
        armed.set((key, value))
        refused = repo.box.wavecrew(*run)
        assert refused.code == 8, (key, refused)
        assert key.lower() in refused.err.lower()
        assert "--yes" in refused.err
        config.write_text(before)
    armed.set(*KEYS)
    refused = repo.box.wavecrew(*run)
    assert refused.code == 8, refused
    more = len(KEYS) + 1 - 5  # what is included counts as well
    assert f"and {more} more" in " ".join(refused.err.split()), "each one of them counts"
    assert armed.woken == ""
    assert repo.ran() == []
    assert not (repo.box.folder / STATE).exists()


def test_settings_of_one_work_tree_count_too(armed: Armed) -> None:
    repo = armed.repo
    _two(repo)
    armed.set(("extensions.worktreeConfig", "true"))
    (repo.box.folder / ".git" / "config.worktree").write_text(armed.line("core.fsmonitor", "{canary}"))

    refused = repo.box.wavecrew("run", "plan.json", "--wave-delay-seconds", "0")

    assert refused.code == 8, refused
    assert "core.fsmonitor" in refused.err
    assert armed.woken == ""


def test_nothing_that_a_repository_brings_along_is_ever_started(armed: Armed) -> None:
    repo = armed.repo
    attributes = "* filter=evil diff=evil merge=evil\n*.more filter=more\n"
    repo.box.write(".gitattributes", attributes)
    repo.box.write("wavecrew.toml", 'gate_commands = ["test -e README.md"]\n')
    script = f"{_together()}; echo $WAVECREW_PHASE >> common; echo x > $WAVECREW_PHASE; echo y > $WAVECREW_PHASE.more"
    repo.plan(
        work("a", script, writes=["a", "a.more"]),
        work("b", script, writes=["b", "b.more"]),
        work("c", "cat common > c", needs=["a", "b"], writes=["c"]),
        work("d", "echo d > d; exit 3", needs=["c"], writes=["d"]),
    )
    armed.set(*KEYS, *PLAIN)
    armed.arm_hooks()
    (repo.box.folder / ".git" / "info" / "attributes").write_text(attributes)

    done = repo.run("--audit", "off")

    assert done.code == 1, done
    assert armed.woken == ""
    assert repo.events("MergeRefused"), "there was a conflict"
    assert armed.repo.box.statuses() == {"a": "COMPLETED", "b": "COMPLETED", "c": "COMPLETED", "d": "FAILED"}
    for command in (
        ("verify",),
        ("diff", "a"),
        ("diff", "a", "--stat"),
        ("diff", "d", "--raw"),
        ("status",),
        ("report",),
        ("doctor",),
        ("land", "--partial"),
        ("clean",),
        ("clean", "--yes"),
    ):
        told = repo.box.wavecrew(*command)
        assert told.code in (0, 8) if command == ("doctor",) else told.code == 0, (command, told)
        assert armed.woken == "", command
    assert sorted(repo.box.read("c").split()) == ["a", "b", "begin"]


def test_submodules_and_lfs_files_are_told_of_and_start_nothing(armed: Armed) -> None:
    repo = armed.repo
    other = repo.box.home / "other"
    repo.git("init", "-q", str(other))
    (other / "file").write_text("1\n")
    repo.git("-C", str(other), "add", "-A")
    repo.git("-C", str(other), "commit", "-qm", "other")
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "module")
    (repo.box.home / "bin").mkdir()
    armed._program(repo.box.home / "bin" / "git-lfs")
    repo.box.write(".gitattributes", "*.big filter=lfs diff=lfs merge=lfs -text\n")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 5\n"
    repo.box.write("old.big", pointer)
    repo.plan(
        work("a", "cat old.big > a; echo new > new.big; ls module > empty", writes=["a", "new.big", "empty"]),
        work("b", "cat new.big > b", needs=["a"], writes=["b"]),
    )
    lfs = [(f"filter.lfs.{name}", f"git-lfs {name} -- %f") for name in ("clean", "smudge")]
    armed.set(*lfs, ("filter.lfs.process", "git-lfs filter-process"), ("filter.lfs.required", "true"))
    armed.set(("submodule.module.update", "!{canary}"), ("submodule.recurse", "true"))
    path = {"PATH": f"{repo.box.home}/bin:{os.environ['PATH']}"}

    refused = repo.box.wavecrew("run", "plan.json", "--wave-delay-seconds", "0", env=path)
    assert refused.code == 8
    assert "submodule.module.update" in refused.err
    done = repo.run(env=path)

    assert done.code == 0, done
    told = " ".join(done.err.split())
    assert "git-lfs are pointers" in told
    assert "submodules stay empty in a phase: module" in told
    assert armed.woken == ""
    assert repo.text("a") == pointer
    assert repo.text("b") == "new\n"
    assert repo.text("empty") == ""
    assert repo.git("ls-tree", repo.result, "module").startswith("160000 commit")


def test_a_state_folder_that_is_a_link_out_of_the_repository_is_refused(repo: Repo) -> None:
    outside = repo.box.home / "outside"
    outside.mkdir()
    (repo.box.folder / STATE).symlink_to(outside)
    _two(repo)

    refused = repo.run()

    assert refused.code == 8, refused
    assert list(outside.iterdir()) == []
    assert repo.ran() == []


# -- links ------------------------------------------------------------------------------------------------------------


def test_links_to_the_outside_are_work_and_what_they_lead_to_is_not(repo: Repo) -> None:
    outside = repo.box.home / "outside"
    outside.mkdir()
    (outside / "secret").write_text("the secret\n")
    make = f"ln -s {outside} dir; ln -s {outside}/secret file; ln -s / root; ln -s nowhere dangling; echo a > a"
    repo.plan(
        work("a", make, writes=["a", "dir", "file", "root", "dangling"]),
        work("b", "test -L dir; echo b > b", needs=["a"], writes=["b"]),
        work("c", "rm -rf dir root; mkdir dir; echo c > dir/c", needs=["b"], writes=["dir/", "root"]),
    )

    done = repo.run("--audit", "off")

    # what a link that leads out stands for is not in the result, so the declared outputs of `a` are not there
    assert done.code == 1, done
    assert "outputs are missing" in done.err + done.out
    kept = repo.git("ls-tree", "-r", repo.branch("a"))
    assert kept.count("120000") == 4
    assert (outside / "secret").read_text() == "the secret\n"

    repo.plan(
        work("a", make, writes=["a"]),
        work("b", "test -L dir; echo b > b", needs=["a"], writes=["b"]),
        work("c", "rm dir root; mkdir dir; echo c > dir/c", needs=["b"], writes=["dir/"]),
    )
    done = repo.run("--audit", "off")

    assert done.code == 0, done
    assert repo.text("dir/c") == "c\n"
    assert repo.worktrees() == 1, "that of the attempt that failed is for people to look at"
    assert "the secret" not in repo.git("log", "-p", "--all")
    assert [one.name for one in outside.iterdir()] == ["secret"], "worktrees went, and nothing behind their links"
    assert repo.box.wavecrew("land").code == 0
    assert repo.box.read("dir/c") == "c\n"
    assert [one.name for one in outside.iterdir()] == ["secret"]


# -- names ------------------------------------------------------------------------------------------------------------

AWKWARD = (
    ("$(touch $HOME/canary)", "`touch $HOME/canary`; touch $HOME/canary"),
    ("-rf", "--help"),
    ("../../x", "../.."),
    ("HEAD", "Wavecrew-Phase: other"),
    ("a.lock", "# a comment to git"),
    ("@{1}~1^:x", "%s%n%x00"),
    ("ä€😀", "\u202e right to left"),
    ("x" * 200, "y" * 400),
    ("result", "refs/heads/main"),
    ("a b'c\"d\\e", "'\"\\"),
)


def test_ids_and_names_of_phases_are_only_words(repo: Repo) -> None:
    ids, phases = [phase for phase, _ in AWKWARD], []
    for number, (phase, name) in enumerate(AWKWARD):
        one = work(phase, writes=[f"f{number}"])
        phases.append({**one, "name": name, "command": ["sh", "-c", f'printf %s "$WAVECREW_PHASE" > f{number}']})
    repo.plan(*phases)

    done = repo.run()

    assert done.code == 0, done
    assert not (repo.box.home / "canary").exists()
    assert [repo.text(f"f{number}") for number in range(len(ids))] == ids
    assert repo.box.wavecrew("verify").code == 0
    for phase in ids:
        shown = repo.box.wavecrew("diff", "--name-only", "--", phase)
        assert shown.code == 0, (phase, shown)
    messages = repo.git("log", "--format=%B", repo.result)
    assert "\x1b" not in messages
    assert "\u202e" not in messages
    assert repo.box.wavecrew("land").code == 0


@pytest.mark.parametrize(("phase", "name"), [("a\nb", "x"), ("a\n\nWavecrew-Phase: b", "x"), ("a\x1b[31m", "x")])
def test_an_id_that_cannot_be_told_is_refused(repo: Repo, phase: str, name: str) -> None:
    repo.plan({**work("a"), "id": phase, "name": name})

    done = repo.run()

    assert done.code == 3, done
    assert repo.ran() == []


def test_a_name_of_many_lines_forges_no_trailer(repo: Repo) -> None:
    name = "x\n\nWavecrew-Run: 1\nWavecrew-Phase: b\nWavecrew-Attempt: 1"
    repo.plan({**work("a", "echo a > a"), "name": name}, work("b", "exit 1"))

    done = repo.run("--audit", "off")

    assert done.code in (1, 3), done
    if done.code == 1:
        told = repo.git("log", "--format=%(trailers:key=Wavecrew-Phase,valueonly)", repo.result).split()
        assert told == ["a"]


NAMES = (
    b"new\nline",
    b"quote\"and'apostrophe",
    b"bytes-\xff\xfe",
    b" space ",
    b"-rf",
    b"--help",
    b":(exclude)*",
    b"*",
    b"[a-z]",
    b"back\\slash",
    b"tab\there",
    b"$(touch canary)",
    b"\xc3\xa9 and e\xcc\x81",
    b"\x1b[31mred",
    b"#comment",
    b"!not",
    b"~home",
    b"n" * 250,
)


def _creating(content: str) -> str:
    """Shell that writes files of all these names, each byte of a name by its number."""
    made = (f"printf {content} > \"$(printf '{''.join(f'{chr(92)}{byte:03o}' for byte in name)}_')\"" for name in NAMES)
    return "\n".join(made)


def test_names_of_files_may_have_any_bytes(repo: Repo) -> None:
    repo.plan(
        work("a", f"mkdir odd; cd odd; {_creating('a')}"),
        work("b", "ls odd | wc -l > b; cp -r odd copy; rm -r odd", needs=["a"], writes=["copy/", "b"]),
    )

    done = repo.run("--audit", "off")

    assert done.code == 0, done
    expected = {os.fsdecode(b"copy/" + name + b"_") for name in NAMES}
    assert {path for path in repo.files() if path.startswith("copy/")} == expected
    assert not any(path.startswith("odd/") for path in repo.files())
    for command in (
        ("status", "--json"),
        ("status",),
        ("report",),
        ("verify",),
        ("diff", "b"),
        ("diff", "a", "--json"),
    ):
        told = repo.box.wavecrew(*command)
        assert told.code == 0, (command, told)
        assert "\x1b[31mred" not in told.out, command
    assert repo.worktrees() == 0
    assert repo.box.wavecrew("land").code == 0
    assert {os.fsencode(one.name) for one in (repo.box.folder / "copy").iterdir()} == {name + b"_" for name in NAMES}


def test_conflicts_in_files_of_any_name_are_told_and_solved(repo: Repo) -> None:
    script = f"{_together()}; {_creating('$WAVECREW_PHASE')}"
    repo.plan(work("a", script), work("b", script))

    done = repo.run("--audit", "off", "--conflict-retry-attempts", "1")

    assert done.code == 0, done
    [refused] = repo.events("MergeRefused")
    assert "\x1b" not in done.out + done.err
    again = refused["phase"]
    prompt = repo.prompt(again, 2)
    assert "both change" in prompt
    assert "\\x1b[31mred_" in prompt
    assert "\x1b" not in prompt
    odd = {path for path in repo.files() if path.endswith("_")}
    assert odd == {os.fsdecode(name + b"_") for name in NAMES}
    assert repo.git("show", f"{repo.result}:#comment_") == again


# -- agents that attack while the run is at work ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        ('printf "[filter \\"evil\\"]\\n clean = {canary}\\n" >> {git}/config', "filter.evil.clean"),
        ('printf "[core]\\n fsmonitor = {canary}\\n" >> {git}/config', "core.fsmonitor"),
        ('printf "[include]\\n path = {folder}/more\\n" >> {git}/config', "include.path"),
        ("echo '* filter=evil' > {git}/info/attributes", "info/attributes"),
        ("cp {canary} {git}/hooks/reference-transaction", "hooks/reference-transaction"),
        (
            'printf "[extensions]\\n worktreeConfig = true\\n[core]\\n hooksPath = {folder}\\n" >> {git}/config',
            "hookspath",
        ),
    ],
)
def test_what_an_agent_plants_stops_the_run_and_is_never_started(armed: Armed, plant: str, told: str) -> None:
    repo = armed.repo
    armed.arm_hooks()
    git = repo.box.folder / ".git"
    (git / "info").mkdir(exist_ok=True)
    planted = plant.format(canary=armed.canary, folder=armed.folder, git=git)
    for name in HOOKS:
        (git / "hooks" / name).unlink()
    repo.box.write(".gitattributes", "* filter=evil\n")
    repo.plan(work("a", f"echo a > a; {planted}", writes=["a"]), work("b", "echo b > b", needs=["a"], writes=["b"]))

    done = repo.run()

    assert done.code not in (0, 1), done
    assert told in (done.out + done.err).lower()
    assert repo.ran() == ["a 1"]
    assert armed.woken == ""
    again = repo.run()  # somebody has looked at it, and goes on
    assert again.code == 0, again
    assert repo.ran() == ["a 1", "b 1"]
    assert repo.text("b") == "b\n"
    assert repo.box.wavecrew("verify").code == 0
    assert armed.woken == ""


def test_an_agent_that_puts_another_repository_in_the_place_of_its_worktree_gains_nothing(armed: Armed) -> None:
    repo = armed.repo
    armed.arm_hooks()
    for name in HOOKS:
        (repo.box.folder / ".git" / "hooks" / name).unlink()
    evil = armed.line("core.fsmonitor", "{canary}") + armed.line("core.hooksPath", "{folder}")
    (armed.folder / "evil").write_text(evil)
    swap = f"rm .git; git init -q .; cat {armed.folder}/evil >> .git/config; echo a > a"
    point = (
        f"git init -q $HOME/own; cat {armed.folder}/evil >> $HOME/own/.git/config; echo gitdir: $HOME/own/.git > .git"
    )
    repo.plan(
        work("a", swap, writes=["a"]), work("b", point, writes=["b"]), work("c", "rm .git; echo c > c"), work("d")
    )

    done = repo.run()

    assert done.code == 1, done
    assert armed.woken == ""
    statuses = repo.box.statuses()
    assert statuses == {"a": "FAILED", "b": "FAILED", "c": "FAILED", "d": "COMPLETED"}
    for command in (
        ("status",),
        ("verify",),
        ("report",),
        ("clean",),
        ("clean", "--yes"),
        ("diff", "a"),
        ("diff", "b"),
    ):
        told = repo.box.wavecrew(*command)
        assert told.code in (0, 4), (command, told)
        assert armed.woken == "", command
    assert (_left(repo)["a"] / "a").read_text() == "a\n", "what it made is still there for people to look at"


def _left(repo: Repo) -> dict[str, Path]:
    """The worktrees that are still there, by phase."""
    found = sorted((repo.box.folder / STATE / "worktrees").glob("*/*"))
    return {path.name.rpartition("-")[0]: path for path in found}


def test_an_agent_that_writes_into_the_worktree_of_another_is_told_of(repo: Repo) -> None:
    other = "$(dirname $WAVECREW_WORKSPACE)/b-1"
    repo.plan(
        work("a", f"{_together()}; echo evil > {other}/evil; echo a > a; touch $HOME/done", writes=["a"]),
        work("b", f"{_together()}; while [ ! -e $HOME/done ]; do sleep 0.02; done; echo b > b", writes=["b"]),
    )

    done = repo.run("--audit", "fail")

    assert done.code == 1, done
    assert repo.box.statuses() == {"a": "COMPLETED", "b": "FAILED"}
    assert "evil" in done.out + done.err
    assert "evil" not in repo.files()
    assert repo.text("evil", repo.branch("b")) == "evil\n"


@pytest.mark.parametrize(
    "attack",
    [
        "echo 'ref: refs/heads/main' > {private}/HEAD",
        "echo 'ref: refs/heads/wavecrew/'$(basename $(dirname $PWD))/result > {private}/HEAD",
        "echo /tmp > {private}/commondir",
        "echo $HOME/elsewhere/.git > {private}/gitdir",
        "rm -rf {private}",
        "echo garbage > {private}/index",
        "rm -rf {private}/index; mkfifo {private}/index.lock",
        "git worktree remove --force --force ../b-1",
    ],
)
def test_an_agent_that_tampers_with_the_worktree_of_another_harms_nothing_but_that(repo: Repo, attack: str) -> None:
    private = "$(git rev-parse --path-format=absolute --git-common-dir)/worktrees/b-1"
    tamper = attack.format(private=private)
    wait = "while [ ! -e $HOME/done ]; do sleep 0.02; done"
    repo.plan(
        work("a", f"{_together()}; echo a > a; {tamper}; touch $HOME/done", writes=["a"]),
        work("b", f"{_together()}; {wait}; echo b > b", writes=["b"]),
        work("c", "cat a > c", needs=["a"], writes=["c"]),
    )
    main = repo.git("rev-parse", "main")

    done = repo.run("--audit", "off")

    assert done.code in (0, 1), done
    statuses = repo.box.statuses()
    assert (statuses["a"], statuses["c"]) == ("COMPLETED", "COMPLETED"), done
    assert repo.git("rev-parse", "main") == main
    assert repo.git("status", "--porcelain") == ""
    assert repo.text("c") == "a\n"
    assert (statuses["b"] == "COMPLETED") == ("b" in repo.files())
    assert repo.box.wavecrew("verify").code == 0
    assert repo.box.wavecrew("clean").code == 0


def test_an_agent_that_moves_the_result_makes_no_green_run(repo: Repo) -> None:
    back = "git update-ref refs/heads/wavecrew/$(basename $(dirname $PWD))/result main"
    repo.plan(
        work("a", "echo a > a", writes=["a"]),
        work("b", f"echo b > b; {back}", needs=["a"], writes=["b"]),
        work("c", "echo c > c", needs=["b"], writes=["c"]),
    )

    done = repo.run()

    assert done.code == 9, done
    assert "git branch -f" in " ".join(done.err.split())
    assert repo.box.wavecrew("verify").code == 9


# -- forged trailers --------------------------------------------------------------------------------------------------


TRAILERS = "Wavecrew-Run: %s\\nWavecrew-Phase: b\\nWavecrew-Attempt: 1"
FORGED = f"git commit -q --allow-empty -m b -m \"$(printf '{TRAILERS}' $(basename $(dirname $PWD)))\""


def _run_id(repo: Repo) -> str:
    with sqlite3.connect(f"file:{repo.box.folder}/{STATE}/state.db?mode=ro", uri=True) as database:
        return str(database.execute("SELECT id FROM run ORDER BY number DESC LIMIT 1").fetchone()[0])


def test_forged_trailers_prove_nothing(repo: Repo) -> None:
    repo.plan(
        work("a", f"echo a > a; {FORGED}", writes=["a"]),
        work("b", "echo b > b", needs=["a"], writes=["b"]),
        work("c", "exit 1", needs=["b"]),
    )
    done = repo.run()
    assert done.code == 1, done
    assert repo.box.statuses() == {"a": "COMPLETED", "b": "COMPLETED", "c": "FAILED"}
    told = repo.git("log", "--format=%(trailers:key=Wavecrew-Phase,valueonly)", repo.result).split()
    assert sorted(told) == ["a", "b", "b"], "the forged one is there"
    assert f"Wavecrew-Run: {_run_id(repo)}" in repo.git("log", "--format=%B", "-3", repo.result)
    assert repo.box.wavecrew("verify").code == 0, "what is honest is still proven"

    home = repo.result
    ends = {one["phase"]: one["commit"] for one in repo.events("AttemptEnded")}
    repo.git("update-ref", home, ends["a"])  # the forged commit is in it, the work of b is not

    proof: Outcome = repo.box.wavecrew("verify", "--json")

    assert proof.code == 9, proof
    assert ends["b"] in json.dumps(proof.json)


def test_forged_trailers_make_no_failed_phase_completed(repo: Repo) -> None:
    repo.plan(work("a", f"echo a > a; {FORGED}", writes=["a"]), work("b", "exit 1", needs=["a"], writes=["b"]))

    assert repo.run().code == 1
    assert repo.run().code == 1

    assert repo.box.statuses() == {"a": "COMPLETED", "b": "FAILED"}
    assert repo.ran() == ["a 1", "b 1", "b 2"]
