"""Which paths a tool call will write: edits, patches, scripts, and above all shell commands with their quoting."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavecrew.core.patches import agent_patch, unified_diff
from wavecrew.core.shell_state import Write, WriteKind
from wavecrew.core.shell_words import Unreadable, read
from wavecrew.core.shell_writes import shell_writes
from wavecrew.core.tool_calls import tool_writes

PATCH = """*** Begin Patch
*** Add File: src/new file.py
+*** Update File: not/a/header.py
*** Update File: src/old.py
*** Move to: src/moved.py
@@
-a
+b
*** Delete File: gone.py
*** End Patch
"""


def written(command: str, cwd: str = "/w") -> tuple[list[str], list[str]]:
    """Paths with their kinds where that is no ordinary file, and what is unread."""
    found = shell_writes(command, cwd, home="/h")
    return [_shown(write) for write in found.found], list(found.unread)


def _shown(write: Write) -> str:
    name = f"{write.path}|{write.into}" if write.into else write.path
    return name if write.kind is WriteKind.FILE else f"{write.kind}:{name}"


# -- tools -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "given", "paths"),
    [
        ("Write", {"file_path": "/w/a", "content": "x"}, ["/w/a"]),
        ("Edit", {"file_path": "a", "old_string": "/etc/x", "new_string": "> y"}, ["/w/a"]),
        ("MultiEdit", {"file_path": "a", "edits": [{"old_string": "x", "new_string": "y"}]}, ["/w/a"]),
        ("NotebookEdit", {"notebook_path": "/w/n.ipynb", "new_source": "x"}, ["/w/n.ipynb"]),
        ("write_file", {"file_path": "a", "content": "x"}, ["/w/a"]),
        ("replace", {"file_path": "~/a", "old_string": "x"}, ["/h/a"]),
        ("write", {"filePath": "/w/a", "content": "x"}, ["/w/a"]),
        ("edit", {"filePath": "a"}, ["/w/a"]),
        ("apply_patch", {"command": PATCH}, ["/w/src/new file.py", "/w/src/old.py", "/w/src/moved.py", "/w/gone.py"]),
        ("apply_patch", {"input": PATCH.replace("\n", "\r\n")}, ["/w/src/new file.py", "/w/src/old.py", "/w/src/moved.py", "/w/gone.py"]),  # noqa: E501
        ("apply_patch", {"patchText": "--- a/x\n+++ b/x\n"}, ["/w/x"]),
        ("Bash", {"command": "echo a >b"}, ["/w/b"]),
        ("bash", {"command": "echo a >b", "workdir": "sub"}, ["/w/sub/b"]),
        ("run_shell_command", {"command": "touch b", "dir_path": "/w/sub"}, ["/w/sub/b"]),
        ("shell", {"command": ["bash", "-lc", "echo it\\'s > 'a b'"]}, ["/w/a b"]),
        ("local_shell", {"command": ["touch", "a;rm b", "it's"]}, ["/w/a;rm b", "/w/it's"]),
        ("exec_command", {"cmd": "touch b", "workdir": "/w/s"}, ["/w/s/b"]),
        ("write_stdin", {"session_id": 3, "chars": "touch b\n"}, ["/w/b"]),
        ("write_stdin", {"session_id": 3, "chars": ""}, []),
        ("mcp__files__move", {"source": "a", "destination": "/w/b"}, ["/w/a", "/w/b"]),
        ("mcp__files__many", {"edits": [{"path": "a"}, {"deep": {"filePath": "file:///w/b"}}]}, ["/w/a", "/w/b"]),
        ("mcp__files__list", {"paths": ["a", "b", 3]}, ["/w/a", "/w/b"]),
    ],
)  # fmt: skip
def test_tools_say_what_they_write(tool: str, given: dict[str, Any], paths: list[str]) -> None:
    found = tool_writes(tool, given, "/w", home="/h")

    assert [write.path for write in found.writes] == paths
    assert found.unread == ()
    assert found.known is (not tool.startswith("mcp__"))


@pytest.mark.parametrize("tool", ["Write", "apply_patch", "edit", "replace"])
@pytest.mark.parametrize("given", [{}, None, [], "text", {"file_path": 3}, {"command": 7}, {"file_path": ""}])
def test_a_writing_tool_without_a_path_is_unread(tool: str, given: object) -> None:
    found = tool_writes(tool, given, "/w")

    assert (found.writes, found.unread) == ((), (tool,))


def test_a_tool_that_nobody_knows_is_called_so() -> None:
    assert tool_writes("press", {"button": "/w/x", "count": 3}, "/w") == tool_writes("press", {}, "/w")
    assert not tool_writes("press", {}, "/w").known
    endless: list[Any] = []
    for _ in range(500):
        endless = [endless]
    assert tool_writes("press", {"more": endless}, "/w").writes == ()


@pytest.mark.parametrize(
    ("script", "paths", "unread"),
    [
        ("text(await tools.apply_patch(" + json.dumps(PATCH) + "))", ["/w/src/new file.py", "/w/src/old.py", "/w/src/moved.py", "/w/gone.py"], []),  # noqa: E501
        ("await tools.apply_patch(`*** Begin Patch\n*** Add File: a\n+x\n*** End Patch`)", ["/w/a"], []),
        ("await tools.apply_patch('*** Begin Patch\\n*** Add File: \\x61\\u0062\\u{63}\\n')", ["/w/abc"], []),
        ('await tools.exec_command({cmd: "echo \\"a\\" > \'b c\'", workdir: "sub"})', ["/w/sub/b c"], []),
        ('await tools.exec_command({"cmd": "ls"}); await tools.update_plan({plan: []})', [], []),
        ("await tools.apply_patch(patch)", [], ["tools.apply_patch"]),
        ("await tools.apply_patch(`*** Begin Patch\n*** Add File: ${name}\n`)", [], ["tools.apply_patch"]),
        ('await tools["exec_command"]({cmd: "touch " + name})', ["/w/"], []),
        ("const t = tools; await t.apply_patch(x)", [], ["a script"]),
        ("await tools.unknown_tool({})", [], ["tools.unknown_tool"]),
        ("1 + 1", [], []),
    ],
)  # fmt: skip
def test_scripts_that_call_tools(script: str, paths: list[str], unread: list[str]) -> None:
    found = tool_writes("exec", {"input": script}, "/w")

    assert [write.path for write in found.writes] == [path for path in paths if path != "/w/"]
    assert list(found.unread) == unread


# -- patches -----------------------------------------------------------------------------------------------------


def test_patches_name_their_files() -> None:
    assert agent_patch(PATCH) == ("src/new file.py", "src/old.py", "src/moved.py", "gone.py")
    diff = (
        "diff --git a/mode b/mode\nold mode 100644\nnew mode 100755\n"
        "diff --git a/x.py b/y.py\nsimilarity index 90%\nrename from x.py\nrename to y.py\n"
        "--- a/x.py\n+++ b/y.py\n@@ -1 +1 @@\n-a\n+b\n"
        "--- /dev/null\t2026-01-01\n+++ b/src/n.py\t2026-01-01\n@@ -0,0 +1 @@\n+x\n"
    )
    assert unified_diff(diff) == ("mode", "x.py", "y.py", "src/n.py")
    assert unified_diff("--- f.orig\n+++ f\n", strip=0) == ("f.orig", "f")


# -- shell commands ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        ("echo a > f 2>&1", ["/w/f"]),
        ("echo a>f>>g", ["/w/f", "/w/g"]),
        ("a &> b &>> c >| d <> e 3>f >&g 2>&-", ["/w/b", "/w/c", "/w/d", "/w/e", "/w/f", "/w/g"]),
        ("cmd < in <<< 'x > y' 2>/dev/null >&2", []),
        ("echo 'a > b' \"c > d\" e\\>f '>' g", []),
        ("echo \"it's\" > 'a b'\"c\"\\ d", ["/w/a bc d"]),
        ("echo 'don'\\''t' > ok", ["/w/ok"]),
        ("echo a # > f\necho b >g", ["/w/g"]),
        ("echo a#b >h", ["/w/h"]),
        ("echo a >\\\nf", ["/w/f"]),
        ("cat <<EOF >f\n> g\n'unbalanced\nEOF\ntouch h", ["/w/f", "/w/h"]),
        ("cat <<-'E O' | tee f\n\t$(rm no)\n\tE O\ntouch g", ["/w/f", "/w/g"]),
        ("cat <<EOF\n$(touch sneaky)\nEOF", ["/w/sneaky"]),
        ('echo "$(rm -f z)" `touch y` > f', ["entry:/w/z", "/w/y", "/w/f"]),
        ("[[ a > b && c < d ]] && echo x > f", ["/w/f"]),
        ("((a > b)); echo $((c > d)) > f", ["/w/f"]),
        ("if [ a \\> b ]; then touch f; else touch g; fi", ["/w/f", "/w/g"]),
        ("while true; do echo x >f; done > g", ["/w/f", "/w/g"]),
        ("case x in a) touch f ;; *) touch g ;; esac", ["/w/f", "/w/g"]),
        ("f() { echo > g; }; f", ["/w/g"]),
        ("! { touch f; } && (touch g)", ["/w/f", "/w/g"]),
        ("diff <(sort a >f) >(tee g)", ["/w/f", "/w/g"]),
        ("cd sub && touch f; cd .. ; touch g; cd /q; touch h", ["/w/sub/f", "/w/sub/../g", "/q/h"]),
        ("(cd sub; touch f); touch g", ["/w/sub/f", "/w/g"]),
        ("cd; touch f; cd ~/x; touch ~/g $HOME/h \"${HOME}/i\"", ["/h/f", "/h/g", "/h/h", "/h/i"]),
        ("sudo -u me env -i A=b nice -n 5 timeout -k 1 5 touch f", ["/w/f"]),
        ("A=b C='d e' touch f; $SUDO touch g", ["/w/f", "/w/g"]),
        ("/usr/bin/touch f; exec touch g; command touch h", ["/w/f", "/w/g", "/w/h"]),
        ("bash -lc 'cd sub; touch \"f g\"'; touch h", ["/w/sub/f g", "/w/h"]),
        ("eval 'cd sub' '; touch f'; touch g", ["/w/sub/f", "/w/sub/g"]),
        ("sh script.sh > log", ["/w/log"]),
        ("tee -a f g >/dev/null", ["/w/f", "/w/g"]),
        ("touch -d yesterday -- -f", ["/w/-f"]),
        ("truncate -s 0 f; dd if=a of=b; sort -o c d; sort --output=e f2", ["/w/f", "/w/b", "/w/c", "/w/e"]),
        ("mkdir -p a/{b,c} -m 700; rmdir d", ["folder:/w/a/b", "folder:/w/a/c", "folder:/w/d"]),
        ("rm -rf f 'g h' i*", ["entry:/w/f", "entry:/w/g h", "glob:/w/i*", "glob:/w/i*/**"]),
        ("cp f{,.bak}; cp a b c/", ["/w/f.bak|f", "/w/c/|a", "/w/c/|b"]),
        ("cp -r a b; cp -t d a; cp --target-directory=e a", ["tree:/w/b|a", "/w/d/|a", "/w/e/|a"]),
        ("cp *.py d", ["tree:/w/d"]),
        ("mv a b; ln -s ../x y; ln -s ../z", ["entry:/w/a", "entry:/w/b|a", "/w/y|x", "entry:/w/z"]),
        ("install -m 755 a b; rsync -a a/ b/", ["/w/b|a", "tree:/w/b/"]),
        ("sed -i.bak s/a/b/ f g; sed -n p h; sed -Ei -e s/a/b/ -f s i", ["/w/f", "/w/g", "/w/i"]),
        ("perl -pi -e 's/a/b/' f; perl -MList::Util -e 1 g; perl -ne 1 h", ["/w/f"]),
        ("chmod +x f; chown me:me g", ["entry:/w/f", "entry:/w/g"]),
        ("curl -sSLo f u; curl u -o- ; curl --output g u; curl -Lo h u; wget -qO- u; wget -O i u", ["/w/f", "/w/g", "/w/h", "/w/i"]),  # noqa: E501
        ("find a b -name x -delete; find c -name '>' -print", ["tree:/w/a", "tree:/w/b"]),
        ("find . -exec sed -i s/a/b/ {} +; find d -exec grep x {} \\;", ["tree:/w/."]),
        ("git mv a b; git rm c; git rm --cached d; git -C sub checkout -- e", ["entry:/w/a", "entry:/w/b|a", "entry:/w/c", "tree:/w/sub/e"]),  # noqa: E501
        ("git restore f; git restore --staged g", ["tree:/w/f"]),
        ("git status; git commit -qam 'a > b'; git checkout -b x; git switch -c y; git stash list; git log > f", ["/w/f"]),  # noqa: E501
        ("git apply <<'E'\n--- a/x\n+++ b/x\nE", ["/w/x"]),
        ("apply_patch <<'E'\n" + PATCH + "E", ["/w/src/new file.py", "/w/src/old.py", "/w/src/moved.py", "/w/gone.py"]),
        ("pytest -q && make build; python -c 'open(\"x\", \"w\")'; npm install", []),
        ("sed -i s/a/b/ src/*.py", ["glob:/w/src/*.py"]),
        ("rm 'src/*.py'", ["entry:/w/src/*.py"]),
        ("", []),
        (" \n;;\n", []),
    ],
)  # fmt: skip
def test_what_can_be_read_from_a_command(command: str, paths: list[str]) -> None:
    assert written(command) == (paths, [])


@pytest.mark.parametrize(
    ("command", "paths", "unread"),
    [
        ('echo x > "$OUT"', [], ['"$OUT"']),
        ("for f in *.py; do sed -i s/a/b/ $f; done", [], ["$f"]),
        ("cp a $(mktemp)", [], ["$(mktemp)"]),
        ("touch ~you/f", [], ["~you/f"]),
        ("echo > ${x:-'>'} > f", ["/w/f"], ["${x:-'>'}"]),
        ("touch $'a\\tb' {1..3}", [], ["$'a\\tb'", "{1..3}"]),
        ("cd $D && touch f /w/g; touch h", ["/w/g", "/w/h"], ["f", "h"]),
        ("cd -; touch f; (cd /q; touch h); popd; touch i", ["/w/f", "/q/h", "/w/i"], ["f", "i"]),
        ("ls | xargs rm", [], ["what it is given"]),
        ("sh -c \"rm $x\"; eval $y", [], ['"rm $x"', "eval"]),
        ("git reset --hard; git stash; git checkout main; git pull", [], ["git reset", "git stash", "git checkout", "git pull"]),  # noqa: E501
        ("patch -p1 < fix.diff; git apply fix.diff", [], ["patch", "git apply"]),
        ("tar xf a.tar; wget u", [], ["tar", "wget"]),
        ("echo x > f*", [], ["f*"]),
        ("rm 'a*'b*", [], ["a*b*"]),
        ("touch `touch \\`echo q\\`y`", [], ["`echo q`y", "`touch \\`echo q\\`y`"]),
        ("touch {a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", [], ["{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"]),
        ("echo 'no end", [], ["a command without an end"]),
        ('echo "no end', [], ["a command without an end"]),
        ("echo $(no end", [], ["a command without an end"]),
        ("echo `no end", [], ["a command without an end"]),
        ("echo ${no end", [], ["a command without an end"]),
        ("echo >", [], ["a command without an end"]),
        ("$(" * 50, [], ["a command without an end"]),
        ("$(" * 50 + ")" * 50, [], ["a command without an end"]),
    ],
)  # fmt: skip
def test_what_only_a_shell_can_know_is_never_guessed(command: str, paths: list[str], unread: list[str]) -> None:
    assert written(command) == (paths, unread)


@pytest.mark.parametrize(
    ("command", "places"),
    [
        ("cd a; touch f", "a"),
        ("cd a && touch f", "a"),
        ("cd a && :; touch f", "a"),
        ("cd no; touch f", "no ."),
        ("cd no && touch f", "no"),
        ("cd no || touch f", "no ."),
        ("cd no && :; touch f", "no ."),
        (": && cd a && touch f", "a"),
        (": && cd a && :; touch f", "a ."),
        ("(: && cd a); touch f", "."),
        ("(:) && cd a; touch f", "a ."),
        ("if :; then cd a; fi; touch f", "a ."),
        ("cd a; cd no; touch f", "a/no a"),
        ("eval cd a; touch f", "a"),
        ("eval cd no; touch f", "no ."),
        ("git -C no rm f; touch g", "no g"),
        ("cd 1; cd 2; cd 3; cd 4; touch /w/f", "."),
    ],
)
def test_a_change_of_folder_may_fail(command: str, places: str) -> None:
    found = shell_writes(command, "/w", is_folder=lambda path: path == "/w/a").found

    assert {write.path.removesuffix("/f") for write in found} == {
        os.path.normpath(f"/w/{place}") for place in places.split()
    }


NAMES = st.text(st.sampled_from("ab >|&;$`'\"\\*?[]{}~#!()<-\n\t=,."), min_size=1, max_size=12).filter(
    lambda name: name.strip(".") and not name.startswith("-") and name not in ("~",)
)


@given(st.lists(NAMES, min_size=1, max_size=4), st.sampled_from(["touch -- {}", "echo x | tee -- {}", "echo x >{}"]))
def test_quoted_names_are_read_as_they_are(names: list[str], template: str) -> None:
    """Whatever a name holds: quoted as a shell needs it, exactly this file is written and no other."""
    one = names[:1] if ">" in template else names
    command = template.format(" ".join(shlex.quote(name) for name in one))

    assert written(command) == (list(dict.fromkeys(f"/w/{name}" for name in one)), [])


@given(
    st.lists(
        st.sampled_from(
            ["a", "b c", "$x", "'", '"', "\\", " ", ";", "|", "&", ">", ">>", "<", "(", ")", "{", "}", "{a,b}", "*",
             "~", "#", "\n", "touch ", "echo ", "$(", "`", "2>", "<<E\n", "E\n", "[[ ", " ]]", "((", "))", "cd d;",
             "if ", "!"]
        ),
        max_size=25,
    ).map("".join)
)  # fmt: skip
@settings(max_examples=300)
def test_no_text_is_too_odd(command: str) -> None:
    try:
        items = read(command, home="/h")
    except Unreadable:
        items = []
    depth = 0
    for item in items:
        depth += 1 if item == "(" else -1 if item == ")" else 0
        assert depth >= 0
    assert all(write.path.startswith("/") for write in shell_writes(command, "/w", home="/h").found)


@given(
    st.lists(
        st.sampled_from(
            ["a", "b", "'c d'", '"e;f"', "\\>", "'>'", ">", ">>", "2>", ">|", ";", "&&", "||", "|", "touch", "echo",
             "(", ")", "{g,h}", '"$(touch i)"', "`touch j`", "#", "\\\n", "\n", "tee", "cd", "~", "no",
             "cd sub;", "~/k", "l\\ m"]
        ),
        min_size=1,
        max_size=10,
    ).map(" ".join)
)  # fmt: skip
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_real_shell_writes_no_file_that_was_not_read(tmp_path_factory: pytest.TempPathFactory, command: str) -> None:
    """The reading is compared with what bash really does."""
    folder = Path(tmp_path_factory.mktemp("sh"))
    (folder / "home").mkdir()
    (folder / "sub").mkdir()
    told = shell_writes(command, str(folder), home=str(folder / "home"), is_folder=os.path.isdir)
    subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder / "home")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    real = {str(path) for path in folder.rglob("*") if path.is_file()}

    assert told.unread or real <= {write.path for write in told.found}
