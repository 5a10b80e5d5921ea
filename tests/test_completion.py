"""What shells are told: in any folder, without a trace, and never a word that means more than itself."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecrew.cli.completion_line import Line
from wavecrew.cli.completion_scripts import PATIENCE, SCRIPTS, SEPARATOR, VARIABLE, WORDS
from wavecrew.cli.completion_table import words_for
from wavecrew.cli.main import cli
from wavecrew.core.store import SCHEMA_VERSION, Store

NASTY = (
    *("$(touch x)", "`touch x`", "a;touch x", "it's", 'say "hi"', "back\\slash", "two  blanks", "~", "#x", "a&b", "*"),
    *("[x]", "{a,b}", "<in", "a|b", "ünï", "%n", "=ls", "p:q", "k=v", "a\\", "''", '"', "$HOME", "\\$HOME", "tail "),
)


class Shop:
    """A folder with somebody who presses Tab in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, path: str, text: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return target

    def plan(self, *names: str, path: str = "plan.json") -> None:
        phases = [{"id": f"p{at}", "name": name, "command": ["true"]} for at, name in enumerate(names, start=1)]
        self.write(path, json.dumps({"phases": phases}))

    def asked(
        self, *words: str, shell: str = "fish", env: Mapping[str, str] | None = None, program: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        mine = {"PATH": os.environ["PATH"], "HOME": str(self.folder), PATIENCE: "60", VARIABLE: f"{shell}_complete"}
        line = {WORDS: SEPARATOR.join(("wavecrew", *words))}
        command = [sys.executable, *(program or ("-m", "wavecrew"))]
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**mine, **line, **(env or {})},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    def told(self, *words: str, **options: Mapping[str, str]) -> dict[str, str]:
        """Words with what they are. Nothing is ever said beside them."""
        done = self.asked(*words, **options)  # type: ignore[arg-type]
        assert (done.returncode, done.stderr) == (0, "")
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        assert all(line[0] in ("word", "file", "dir") and len(line) <= 3 for line in lines), lines
        return {line[1]: line[2] for line in lines if line[0] == "word"}

    def picture(self) -> dict[str, tuple[int, bytes]]:
        """Every file here, as exactly as it can be told."""
        return {
            str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in self.folder.rglob("*")
        }


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


# -- a word in bash ---------------------------------------------------------------------------------------------


def _typed_in_three_ways(word: str, upto: int) -> Iterator[tuple[str, str, str]]:
    """(what stands on the line, what bash replaces, what bash adds at the end)"""
    begun = word[:upto]
    bare = "".join(f"\\{c}" for c in begun)
    yield bare, bare, ""
    if "'" not in begun:
        yield f"'{begun}", begun, "'"
    quoted = "".join(f"\\{c}" if c in '$`"\\' else c for c in begun)
    yield f'"{quoted}', quoted, '"'


@pytest.mark.skipif(shutil.which("bash") is None, reason="NO BASH HERE: nothing was tried in it")
def test_what_bash_is_told_becomes_the_word_and_nothing_else(tmp_path: Path) -> None:
    lines, wanted = [], []
    for word in NASTY:
        for upto in range(len(word) + 1):
            for stands, typed, end in _typed_in_three_ways(word, upto):
                reply = Line.of(f"wavecrew retry {stands}").reply(word, typed)
                if reply is None:
                    assert end, (word, stands)
                    assert word.endswith(end), (word, stands)
                    continue
                lines.append(f"{stands.removesuffix(typed)}{reply}{end}")
                wanted.append(word)
    script = f"printf '%s\\0' {' '.join(lines)}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split("\0")[:-1] == wanted
    assert len(wanted) > 3 * len(NASTY)
    assert list(tmp_path.iterdir()) == []  # none of them did anything


def test_between_double_quotes_nothing_recalls_an_earlier_line() -> None:
    assert Line.of('wavecrew retry "a').reply("a!!", "a") is None
    assert Line.of("wavecrew retry a").reply("a!!", "a") == "a\\!\\!"
    assert Line.of("wavecrew retry 'a").reply("a!!", "a") == "a!!"


@pytest.mark.parametrize(
    ("line", "typed", "word", "reply"),
    [
        ("wavecrew logs --run=la", "la", "--run=latest", "latest"),
        ("wavecrew logs --run=", "", "--run=latest", "latest"),
        ("wavecrew retry p:", "", "p:q", "q"),
        ("wavecrew retry --run='la", "la", "--run=latest", "latest"),
        ("wavecrew retry x", "y", "xy", None),
        ("wavecrew retry ab", "b", "xb", None),
    ],
)
def test_bash_replaces_the_end_of_a_word(line: str, typed: str, word: str, reply: str | None) -> None:
    assert Line.of(line).reply(word, typed) == reply


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=("C", "Z")), min_size=1), min_size=1))
def test_words_that_were_quoted_are_read_back(words: list[str]) -> None:
    quoted = ["'" + word.replace("'", "'\\''") + "'" for word in words]
    assert Line.of(" ".join(quoted)).words == tuple(words)
    escaped = ["".join(f"\\{c}" for c in word) for word in words]
    assert Line.of("  ".join(escaped)).words == tuple(words)
    assert Line.of(f"{escaped[0]} ").words == (words[0], "")


# -- what is told -----------------------------------------------------------------------------------------------


def test_phases_of_the_plan_are_told_with_their_names(shop: Shop) -> None:
    shop.plan("Model", "Words", "Words and more")
    assert shop.told("explain", "--plan", "plan.json", "") == {"p1": "Model", "p2": "Words", "p3": "Words and more"}
    assert shop.told("explain", "--plan", "plan.json", "Wo") == {"Words": "phase p2", "Words and more": "phase p3"}
    assert shop.told("explain", "--plan", "plan.json", "mod") == {"Model": "phase p1"}
    assert shop.told("run", "plan.json", "--only", "p1", "--until", "p2") == {"p2": "Words"}


def test_the_plan_is_the_one_of_the_place_that_is_named(shop: Shop) -> None:
    shop.plan("Here", path="plan.json")
    shop.plan("There", path="sub/other.json")
    shop.write("wavecrew.toml", 'plan = "plan.json"')
    shop.write("sub/wavecrew.toml", 'plan = "other.json"')
    shop.write("more.toml", 'plan = "sub/other.json"')
    assert shop.told("explain", "p") == {"p1": "Here"}
    assert shop.told("-C", "sub", "explain", "p") == {"p1": "There"}
    assert shop.told("explain", "-C", "~/sub", "p") == {"p1": "There"}
    assert shop.told("--config", "more.toml", "explain", "p") == {"p1": "There"}
    assert shop.told("--no-config", "explain", "p") == {}
    assert shop.told("explain", "p", env={"WAVECREW_PLAN": "sub/other.json"}) == {"p1": "There"}


def test_values_that_a_setting_can_have_are_told(shop: Shop) -> None:
    assert list(shop.told("run", "--gate", "")) == ["none", "wave", "phase"]
    assert list(shop.told("run", "--gate=w")) == ["--gate=wave"]
    assert list(shop.told("run", "--notify", "bell,t")) == ["bell,terminal"]
    assert list(shop.told("resume", "--agent", "cl")) == ["claude"]
    assert "none" in shop.told("run", "--fallback-agent", "")
    assert list(shop.told("report", "--format", "text,ht")) == ["text,html"]
    assert list(shop.told("run", "--budget", "")) == ["none"]
    assert shop.told("run", "--retries", "") == {}
    assert list(shop.told("explain", "WC10")) == [f"WC10{digit}" for digit in range(9)]


def test_branches_are_told_without_those_of_runs(shop: Shop) -> None:
    shop.write(".git/HEAD", "ref: refs/heads/main\n")
    for name in ("main", "feature/a", "wavecrew/3f2a/result"):
        shop.write(f".git/refs/heads/{name}", "0" * 40)
    shop.write(".git/packed-refs", f"# pack-refs with: peeled\n{'1' * 40} refs/heads/old\n{'1' * 40} refs/tags/v1\n")
    assert list(shop.told("land", "--into", "")) == ["feature/a", "main", "old"]
    tree = shop.write("tree/.git", f"gitdir: {shop.folder}/.git/worktrees/tree\n")
    shop.write(".git/worktrees/tree/commondir", "../..\n")
    assert list(shop.told("-C", str(tree.parent), "land", "--into", "m")) == ["main"]


def test_commands_and_options_are_told_and_no_option_acts(shop: Shop) -> None:
    assert shop.told("re") == {
        name: command for name, command in shop.told("").items() if name in ("resume", "retry", "reject", "report")
    }
    assert "--with-downstream" in shop.told("retry", "--")
    assert "run" in shop.told("--version", "")
    assert "export" in shop.told("runs", "")
    assert shop.told("no-such-command", "") == {}


# Numbers, times, reasons and the like: there is nothing to choose from.
_ANYTHING = {"agents", "attempt", "lines", "port", "speed", "longest_pause", "timeout", "text", "question"}


def test_every_parameter_is_known_or_can_be_anything() -> None:
    """Whoever adds a parameter says what can stand there: in the table, by a type, or here."""
    from wavecrew.config.parallel_config import settings

    context, open_questions = click.Context(cli), []

    def look(command: click.Command, path: tuple[str, ...]) -> None:
        for param in command.params:
            flag = isinstance(param, click.Option) and (param.is_flag or param.count)
            typed = isinstance(param.type, (click.Choice, click.Path))
            asked = not flag and not typed and words_for(path, param) is None
            if asked and param.name not in _ANYTHING and param.name not in settings():
                open_questions.append((*path, param.name))
        for name in command.list_commands(context) if isinstance(command, click.Group) else ():
            below = command.get_command(context, name)  # type: ignore[attr-defined]
            assert below is not None
            look(below, (*path, name))

    look(cli, ())
    assert open_questions == []


# -- in silence -------------------------------------------------------------------------------------------------


def _newer(shop: Shop) -> None:
    database = sqlite3.connect(shop.folder / ".wavecrew/state.db")
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()


def _foreign(shop: Shop) -> None:
    (shop.folder / ".wavecrew").chmod(0o755)


def _garbage(shop: Shop) -> None:
    (shop.folder / ".wavecrew/state.db").write_bytes(b"\0\1\2" * 5000)


def _link(shop: Shop) -> None:
    (shop.folder / ".wavecrew").rename(shop.folder / "elsewhere")
    (shop.folder / ".wavecrew").symlink_to("elsewhere")


def _died_in_a_write(shop: Shop) -> None:
    """A journal that asks whoever opens the database next to undo half a write."""
    path = shop.folder / ".wavecrew/state.db"
    program = (
        "import os, sqlite3, sys; d = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "d.execute('PRAGMA cache_size = 1'); d.execute('BEGIN IMMEDIATE')\n"
        "d.execute('CREATE TABLE big(x)')\n"
        "d.executemany('INSERT INTO big VALUES(?)', ((b'x' * 3000,) for _ in range(500)))\nos._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    assert path.with_name("state.db-journal").stat().st_size


def _none(shop: Shop) -> None:
    shutil.rmtree(shop.folder / ".wavecrew")


@pytest.mark.parametrize("spoil", [_none, _newer, _foreign, _garbage, _link, _died_in_a_write])
def test_what_cannot_be_read_is_passed_over_in_silence(shop: Shop, spoil: object) -> None:
    with Store.open(shop.folder) as store:
        store.create_run("3f2a", at=1.0, plan="plan", digest="d")
    assert "3f2a" in shop.told("status", "")  # it could be read before
    spoil(shop)  # type: ignore[operator]
    before = shop.picture()
    for words in (("status", ""), ("retry", ""), ("locks", "break", "")):
        assert shop.told(*words) == {}
    assert shop.picture() == before


@pytest.mark.parametrize("text", ["", "{", '{"phases": 3}', '{"phases": [{"id": "a", "needs": ["a"]}]}', "\0\xff"])
def test_a_broken_plan_is_passed_over_in_silence(shop: Shop, text: str) -> None:
    shop.write("plan.json", text)
    before = shop.picture()
    assert set(shop.told("explain", "--plan", "plan.json", "")) <= {"a"}
    assert shop.told("explain", "--plan", "nowhere", "") == {}
    assert shop.told("-C", "nowhere", "retry", "") == {}
    assert shop.told("--config", "nowhere", "explain", "") == {}
    assert shop.picture() == before


def test_looking_leaves_a_state_as_it_is(shop: Shop) -> None:
    with Store.open(shop.folder) as store:
        store.create_run("3f2a", at=1.0, plan="plan", digest="d")
    (shop.folder / ".wavecrew/.gitignore").unlink()  # whoever opens the state to write puts it back
    for mode in ("DELETE", "WAL"):
        database = sqlite3.connect(shop.folder / ".wavecrew/state.db")
        database.execute(f"PRAGMA journal_mode = {mode}")
        database.close()
        before = shop.picture()
        assert list(shop.told("status", "")) == ["latest", "3f2a"]
        assert shop.picture() == before


def test_a_state_that_nobody_may_write_can_still_be_read(shop: Shop) -> None:
    with Store.open(shop.folder) as store:
        store.create_run("3f2a", at=1.0, plan="plan", digest="d")
    folder = shop.folder / ".wavecrew"
    (folder / "state.db").chmod(stat.S_IRUSR)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert "3f2a" in shop.told("status", "")
    finally:
        folder.chmod(0o700)


def test_control_characters_are_not_told(shop: Shop) -> None:
    """A plan cannot hold them today; what a shell is told does not rest on that."""
    program = (
        "from wavecrew.cli import completion_facts as facts, main\n"
        "facts.phases_of_plan = lambda *_: [('a\\nb', ''), ('esc\\x1b[2J', ''), ('\\u202ebidi', ''), ('tab\\tx', ''),\n"
        "    ('ok', 'evil\\x1b]0;title\\x07\\nword\\tname'), ('-rf', 'an option')]\n"
        "main.main()"
    )
    for shell in SCRIPTS:
        line = {"_WAVECREW_LINE": "wavecrew explain ", "_WAVECREW_TYPED": ""}
        done = shop.asked("explain", "", shell=shell, program=("-c", program), env=line)
        shown = {"bash": "word\tok\n", "zsh": "word\tok\tok  -- evil word name\n", "fish": "word\tok\tevil word name\n"}
        assert (done.returncode, done.stdout, done.stderr) == (0, shown[shell], "")


def test_an_answer_that_takes_too_long_is_none(shop: Shop) -> None:
    program = (
        "import time\nfrom wavecrew.cli import completion_facts as facts, main\n"
        "facts.phases_of_plan = lambda *_: time.sleep(600)\nmain.main()"
    )
    done = shop.asked("explain", "", program=("-c", program), env={PATIENCE: "0.3"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_command_name_is_told_without_loading_what_commands_need(shop: Shop) -> None:
    program = (
        "import atexit, sys\nfrom wavecrew.cli.main import main\n"
        "heavy = ('pydantic', 'sqlite3', 'yaml', 'rich', 'wavecrew.models', 'wavecrew.api', 'wavecrew.config')\n"
        "atexit.register(lambda: print('loaded', [name for name in heavy if name in sys.modules], file=sys.stderr))\n"
        "main()"
    )
    for typed in ("", "--"):
        done = shop.asked(typed, program=("-c", program))
        assert done.stdout
        assert done.stderr == "loaded []\n"
    for verb in ("retry", "explain", "status"):
        assert "pydantic" not in shop.asked(verb, "", program=("-c", program)).stderr


# -- the scripts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_command_prints_the_script_as_click_would(shop: Shop, shell: str) -> None:
    printed = shop.asked(program=("-m", "wavecrew", "completion", shell), env={VARIABLE: "none"})
    assert (printed.returncode, printed.stdout) == (1, "")  # the variable alone decides
    done = subprocess.run(
        [sys.executable, "-m", "wavecrew", "completion", shell], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == SCRIPTS[shell] == shop.asked(env={VARIABLE: f"{shell}_source"}).stdout
    assert VARIABLE in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_accepts_its_script(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"NO {shell.upper()} HERE: its script was not tried")
    file = tmp_path / "script"
    file.write_text(SCRIPTS[shell], encoding="utf-8")
    subprocess.run([shell, "-n", str(file)], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="NO BASH HERE: nothing was tried in it")
def test_an_old_bash_is_told_so_in_clear_words(tmp_path: Path) -> None:
    old = SCRIPTS["bash"].replace("BASH_VERSINFO", "FAKE").replace("$BASH_VERSION", "3.2.57(1)-release")
    for major, minor in product("345", "39"):
        script = f"FAKE=({major} {minor}); BASH_VERSION=3.2.57\n{old}\ncomplete -p wavecrew"
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
        refused = (major, minor) in (("3", "3"), ("3", "9"), ("4", "3"))
        assert ("needs bash 4.4 or later, and this is" in done.stderr) == refused, (major, minor, done.stderr)
        assert ("_wavecrew_completion wavecrew" in done.stdout) != refused
