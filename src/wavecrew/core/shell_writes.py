"""Which files a shell command writes, as far as its text tells.

What it does: knows redirections, the ordinary programs that change files, and those that start others (`sh -c`,
`env`, `xargs`, `find`); follows `cd`. What is seen to be written, but not where, is told as unread, never guessed.
What it does not know: what other programs write (a compiler, a test, a script), and the file system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from wavecrew.core.patches import agent_patch, is_patch, unified_diff
from wavecrew.core.shell_state import Folders, Write, WriteKind, Writes, together
from wavecrew.core.shell_words import CLOSE, OPEN, Command, Unreadable, Word, read

_HARMLESS_PLACES: Final = ("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/zero", "/dev/full")
_DEEPEST: Final = 10


def shell_writes(
    text: str, cwd: str, *, home: str = "", is_folder: Callable[[str], bool] = lambda path: True
) -> Writes:
    """What a command writes that a shell runs in the folder `cwd`. A text that no shell would take writes nothing
    that can be read, which is told as unread. `is_folder` tells whether `cd` can go somewhere: where it may fail, what
    follows is taken to happen in both folders."""
    shell = _Shell(Writes(), home, (cwd,), is_folder)
    shell.run(text)
    return shell.told


class _Shell:
    """A shell that only reads."""

    def __init__(
        self,
        told: Writes,
        home: str,
        folders: tuple[str, ...],
        is_folder: Callable[[str], bool],
        depth: int = 0,
    ) -> None:
        self.told = told
        self.home = home
        self.is_folder = is_folder
        self.place = Folders(folders)
        self.depth = depth
        self.is_compound = False

    def run(self, text: str) -> None:
        try:
            items = read(text, home=self.home) if self.depth < _DEEPEST else None
        except (Unreadable, RecursionError):
            items = None
        if items is None:
            self.told.unread["a command without an end"] = None
            return
        outer: list[Folders] = []
        for item in items:
            if isinstance(item, Command):
                self._command(item)
            elif item == OPEN:
                outer.append(self.place)
                self.place = Folders(together(self.place.now, self.place.left))
            elif item == CLOSE:
                self.place = outer.pop()
            else:
                self.place.go_on(item)

    def _command(self, command: Command) -> None:
        self.is_compound |= any(word.text in _COMPOUND for word in command.words[:1])
        for target in command.into:
            if target.glob:
                self.unread(target.text)
            else:
                self.write(target)
        self.start(_without_prefix(command.words), command.documents)

    def start(self, words: list[Word], documents: Iterable[str] = ()) -> None:
        """A program with its arguments. What a variable stands for at its front may be nothing."""
        while words and not words[0].literal:
            words = words[1:]
        if not words:
            return
        name, arguments = words[0].text.rpartition("/")[2], words[1:]
        if name in _STARTERS:
            self.start(_started(name, arguments), documents)
        elif name in _SHELLS:
            self._script(arguments)
        elif name in ("patch", "apply_patch", "applypatch"):
            self.patch(name, arguments, documents)
        elif name == "git":
            self._git(arguments, documents)
        elif name in _PROGRAMS:
            _PROGRAMS[name](self, arguments)

    # -- telling

    def write(self, word: Word, kind: WriteKind = WriteKind.FILE, into: str = "") -> None:
        if word.text in _HARMLESS_PLACES or word.text.startswith(("/dev/fd/", "/proc/self/fd/")):
            return
        is_absolute = word.text.startswith("/")
        if not word.literal or not word.text or ("" in self.place.now and not is_absolute):
            self.unread(word.text)
        if not word.literal or not word.text:
            return
        for folder in ("/",) if is_absolute else filter(None, self.place.now):
            path = word.text if is_absolute else f"{folder.rstrip('/')}/{word.text}"
            if not word.glob:
                self.told.found[Write(path, kind, into)] = None
                continue
            self.told.found[Write(path, WriteKind.GLOB)] = None
            if kind in (WriteKind.ENTRY, WriteKind.TREE):
                self.told.found[Write(f"{path}/**", WriteKind.GLOB)] = None

    def unread(self, what: str) -> None:
        self.told.unread[what[:80]] = None

    def all(self, words: Iterable[Word], kind: WriteKind = WriteKind.FILE) -> None:
        for word in words:
            self.write(word, kind)

    # -- programs that need more than a line

    def change_folder(self, arguments: list[Word]) -> None:
        target = (operands(arguments) or [Word(self.home)])[0]
        if not target.literal or target.glob or target.text in ("", "-"):
            self.place.change(("",), certain=False)
            return
        text = target.text
        folders = tuple(
            text if text.startswith("/") else folder and f"{folder.rstrip('/')}/{text}" for folder in self.place.now
        )
        certain = not self.is_compound and all(folder and self.is_folder(folder) for folder in folders)
        self.place.change(tuple(dict.fromkeys(folders)), certain=certain)

    def _script(self, arguments: list[Word]) -> None:
        """`sh -c TEXT`. A script in a file is a program like any other."""
        for position, word in enumerate(arguments):
            if not word.text.startswith("-"):
                return
            if "c" in word.text.lstrip("-") and not word.text.startswith("--"):
                text = arguments[position + 1] if position + 1 < len(arguments) else Word("")
                if text.literal:
                    self._inner(text.text)
                else:
                    self.unread(text.text)
                return

    def evaluate(self, arguments: list[Word]) -> None:
        if not all(word.literal for word in arguments):
            self.unread("eval")
            return
        inner = self._inner(" ".join(word.text for word in arguments))
        self.place.change(together(inner.place.now, inner.place.left), certain=True)

    def _inner(self, text: str) -> _Shell:
        inner = _Shell(self.told, self.home, self.place.now, self.is_folder, self.depth + 1)
        inner.run(text)
        return inner

    def copy(self, arguments: list[Word], *, moves: bool = False, trees: bool = False) -> None:
        target, sources = _target(arguments)
        if target is None:
            return
        if moves:
            self.all(sources, WriteKind.ENTRY)
        kind = WriteKind.TREE if trees else WriteKind.ENTRY if moves else WriteKind.FILE
        for source in sources or [Word("")]:
            name = source.text.rstrip("/").rpartition("/")[2]
            if source.literal and not source.glob and name not in ("", ".", ".."):
                self.write(target, kind, name)
            else:  # whatever it is called, it comes somewhere below
                self.write(target, WriteKind.TREE)

    def link(self, arguments: list[Word]) -> None:
        found = operands(arguments, ("-t", "-S"))
        if len(found) == 1 and "-t" not in [word.text for word in arguments]:  # it gets the same name here
            self.write(Word(found[0].text.rstrip("/").rpartition("/")[2], found[0].literal), WriteKind.ENTRY)
        else:
            self.copy(arguments)

    def patch(self, name: str, arguments: list[Word], documents: Iterable[str], strip: int = 1) -> None:
        texts = [*documents, *(word.text for word in arguments if word.literal and is_patch(word.text))]
        paths = [path for text in texts for path in (agent_patch(text) or unified_diff(text, strip))]
        if paths:
            self.all(Word(path) for path in paths)
        else:
            self.unread(name)

    def find(self, arguments: list[Word]) -> None:
        names = [word.text for word in arguments]
        starts = arguments[: next((at for at, name in enumerate(names) if name[:1] in "-(!"), len(names))]
        runs = [names[at + 1] for at, name in enumerate(names[:-1]) if name in ("-exec", "-execdir", "-ok", "-okdir")]
        if "-delete" in names or any(name.rpartition("/")[2] in (*_PROGRAMS, *_SHELLS, *_STARTERS) for name in runs):
            self.all(starts or [Word(".")], WriteKind.TREE)

    def _git(self, arguments: list[Word], documents: Iterable[str]) -> None:
        inner = _Shell(self.told, self.home, self.place.now, self.is_folder)
        while arguments and arguments[0].text.startswith("-"):
            if arguments[0].text == "-C" and len(arguments) > 1:
                inner.change_folder([arguments[1]])
            arguments = arguments[2 if arguments[0].text in ("-C", "-c", "--git-dir", "--work-tree") else 1 :]
        if not arguments:
            return
        verb, rest = arguments[0].text, arguments[1:]
        flags = {word.text for word in rest if word.text.startswith("-")}
        if verb == "mv":
            inner.copy(rest, moves=True)
        elif verb == "rm" and "--cached" not in flags:
            inner.all(operands(rest), WriteKind.ENTRY)
        elif verb in ("apply", "am"):
            inner.patch("git apply", rest, documents)
        elif verb == "restore" and not flags & {"--staged", "-S"}:
            inner.all(operands(rest, ("-s", "--source")), WriteKind.TREE)
        elif verb == "checkout" and "--" in flags:
            inner.all(rest[[word.text for word in rest].index("--") + 1 :], WriteKind.TREE)
        elif (
            verb in _REWRITES
            or (verb == "switch" and not flags & {"-c", "-C", "--create"})
            or (verb == "reset" and flags & {"--hard", "--merge", "--keep"})
            or (verb == "checkout" and not flags & {"-b", "-B"})
            or (verb == "stash" and not {"list", "show", "drop"} & {word.text for word in rest[:1]})
        ):
            self.unread(f"git {verb}")


# -- arguments --------------------------------------------------------------------------------------------------


def operands(arguments: Iterable[Word], with_value: Iterable[str] = ()) -> list[Word]:
    """What is no option, nor the value of one of the options that take it as a word of its own."""
    found: list[Word] = []
    takes, skip, only = tuple(with_value), False, False
    for word in arguments:
        if skip:
            skip = False
        elif only or not word.text.startswith("-") or word.text == "-":
            found.append(word)
        elif word.text == "--":
            only = True
        else:
            skip = word.text in takes
    return found


def _target(arguments: list[Word]) -> tuple[Word | None, list[Word]]:
    """Where `cp`, `mv` and `ln` put what they are given, and what they are given."""
    for position, word in enumerate(arguments):
        if word.text in ("-t", "--target-directory") and position + 1 < len(arguments):
            folder = Word(f"{arguments[position + 1].text}/", arguments[position + 1].literal)
            return folder, operands(arguments[:position] + arguments[position + 2 :])
        if word.text.startswith("--target-directory="):
            folder = Word(f"{word.text.partition('=')[2]}/", word.literal)
            return folder, operands(arguments[:position] + arguments[position + 1 :])
    found = operands(arguments, ("-m", "-o", "-g", "-S", "--suffix", "--mode", "--owner", "--group"))
    return (found[-1], found[:-1]) if found else (None, [])


def _without_prefix(words: list[Word]) -> list[Word]:
    """A simple command without the words of the shell's grammar before it, and without assignments."""
    for position, word in enumerate(words):
        if word.literal and word.text in _GRAMMAR:
            continue
        name, equals, _ = word.text.partition("=")
        if equals and name.rstrip("+").isidentifier():
            continue
        return [] if word.text in ("for", "select", "case", "function") else words[position:]
    return []


def _started(name: str, arguments: list[Word]) -> list[Word]:
    """The command that a program such as `env` or `timeout` starts."""
    takes, skipped = _STARTERS[name]
    at = 0
    while at < len(arguments):
        text = arguments[at].text
        if text.startswith("-"):
            at += 2 if text in takes else 1
        elif name == "env" and "=" in text:
            at += 1
        elif skipped:
            skipped, at = skipped - 1, at + 1
        else:
            break
    rest = arguments[at:]
    return [*rest, Word("what it is given", literal=False)] if name == "xargs" and rest else rest


def _in_place(shell: _Shell, arguments: list[Word], *, short: str) -> None:
    """`sed -i SCRIPT FILE...` and its like: only with that option something is written."""
    options = [word.text for word in arguments if word.text.startswith("-")]
    inside = [text for text in options if text.startswith("--in-place") or (text[1:2] not in "-MI" and short in text)]
    if not inside:
        return
    scripts = [text for text in options if text in ("-e", "-f", "--expression", "--file") or text.endswith("e")]
    files = operands(arguments, ("-e", "-f", "--expression", "--file", *(text for text in scripts if text[1] != "-")))
    shell.all(files if scripts or any(text.startswith("--expression=") for text in options) else files[1:])


def _valued(shell: _Shell, arguments: list[Word], names: tuple[str, ...], *, otherwise: str = "") -> None:
    """The file that an option names; `otherwise` is what is told when there is none."""
    for position, word in enumerate(arguments):
        for name in names:
            is_long = name.startswith("--")
            if word.text == name or (not is_long and _is_cluster(word.text, name)):
                place = arguments[position + 1 : position + 2]
            elif not is_long and _is_cluster(word.text.removesuffix("-"), name):
                place = []
            elif word.text.startswith(f"{name}=" if is_long else name):
                place = [Word(word.text[len(name) + is_long :], word.literal)]
            else:
                continue
            shell.all(one for one in place if one.text != "-")  # that is the standard output
            return
    if otherwise:
        shell.unread(otherwise)


def _is_recursive(word: Word) -> bool:
    is_cluster = word.text.startswith("-") and not word.text.startswith("--") and bool(set(word.text) & set("rRa"))
    return is_cluster or word.text in ("--recursive", "--archive")


def _is_cluster(text: str, name: str) -> bool:
    """Whether `-sSLo` ends with the short option `-o`."""
    return len(name) == 2 and text[:1] == "-" and text[1:2] != "-" and text[1:].isalpha() and text[-1] == name[1]


def _told(name: str) -> Callable[[_Shell, list[Word]], None]:
    return lambda shell, arguments: shell.unread(name)


_Program = Callable[[_Shell, list[Word]], None]
# fmt: off
_PROGRAMS: Final[Mapping[str, _Program]] = MappingProxyType({
    "cd": _Shell.change_folder,
    "pushd": _Shell.change_folder,
    "popd": lambda shell, arguments: shell.change_folder([Word("-")]),
    "eval": _Shell.evaluate,
    "tee": lambda shell, arguments: shell.all(operands(arguments)),
    "sponge": lambda shell, arguments: shell.all(operands(arguments)),
    "touch": lambda shell, arguments: shell.all(operands(arguments, ("-d", "-r", "-t", "--date", "--reference"))),
    "truncate": lambda shell, arguments: shell.all(operands(arguments, ("-s", "-r", "--size", "--reference"))),
    "shred": lambda shell, arguments: shell.all(operands(arguments, ("-n", "-s"))),
    "mkdir": lambda shell, arguments: shell.all(operands(arguments, ("-m", "--mode")), WriteKind.FOLDER),
    "rmdir": lambda shell, arguments: shell.all(operands(arguments), WriteKind.FOLDER),
    "rm": lambda shell, arguments: shell.all(operands(arguments), WriteKind.ENTRY),
    "unlink": lambda shell, arguments: shell.all(operands(arguments), WriteKind.ENTRY),
    "chmod": lambda shell, arguments: shell.all(operands(arguments)[1:], WriteKind.ENTRY),
    "chown": lambda shell, arguments: shell.all(operands(arguments)[1:], WriteKind.ENTRY),
    "mv": lambda shell, arguments: shell.copy(arguments, moves=True),
    "cp": lambda shell, arguments: shell.copy(arguments, trees=any(map(_is_recursive, arguments))),
    "install": _Shell.copy,
    "ln": _Shell.link,
    "rsync": lambda shell, arguments: shell.all(operands(arguments)[-1:], WriteKind.TREE),
    "sed": lambda shell, arguments: _in_place(shell, arguments, short="i"),
    "gsed": lambda shell, arguments: _in_place(shell, arguments, short="i"),
    "perl": lambda shell, arguments: _in_place(shell, arguments, short="i"),
    "ruby": lambda shell, arguments: _in_place(shell, arguments, short="i"),
    "sort": lambda shell, arguments: _valued(shell, arguments, ("-o", "--output")),
    "dd": lambda shell, arguments: _valued(shell, arguments, ("of=",)),
    "curl": lambda shell, arguments: _valued(shell, arguments, ("-o", "--output")),
    "wget": lambda shell, arguments: _valued(shell, arguments, ("-O", "--output-document"), otherwise="wget"),
    "find": _Shell.find,
    **{name: _told(name) for name in ("tar", "unzip", "cpio", "gzip", "gunzip", "bzip2", "xz", "zstd", "split")},
})
_STARTERS: Final[Mapping[str, tuple[tuple[str, ...], int]]] = MappingProxyType({
    "sudo": (("-u", "-g", "-h", "-p", "-C", "-D"), 0), "doas": (("-u", "-C"), 0), "env": (("-u", "-C", "-S"), 0),
    "nohup": ((), 0), "nice": (("-n",), 0), "ionice": (("-c", "-n"), 0), "timeout": (("-k", "-s"), 1),
    "command": ((), 0), "builtin": ((), 0), "exec": (("-a",), 0), "stdbuf": (("-i", "-o", "-e"), 0), "setsid": ((), 0),
    "time": (("-f", "-o"), 0), "busybox": ((), 0), "chronic": ((), 0),
    "xargs": (("-I", "-n", "-P", "-d", "-L", "-s", "-a", "-E"), 0),
})
_SHELLS: Final = frozenset(("sh", "bash", "dash", "zsh", "ksh"))
_GRAMMAR: Final = frozenset(("if", "then", "elif", "else", "fi", "while", "until", "do", "done", "!", "{", "}", "esac", "time"))  # noqa: E501
_COMPOUND: Final = frozenset(("if", "while", "until", "for", "select", "case", "function", "{"))
_REWRITES: Final = frozenset(("merge", "rebase", "pull", "cherry-pick", "revert", "clean", "bisect", "read-tree", "checkout-index"))  # noqa: E501
# fmt: on
