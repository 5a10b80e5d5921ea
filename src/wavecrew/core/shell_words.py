"""Reads the text of a shell command: simple commands, their words, where they redirect to, and what is quoted.

What it does: splits a text as `sh` and `bash` do (quotes, escapes, braces, comments, here-documents, substitutions,
subshells). A word whose value only a shell can know, because of a variable or a substitution, is marked as such and
never guessed.
What it does not know: what a command does (`shell_writes`), and the file system. Nothing is ever run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from wavecrew.core.shell_braces import Characters, spelled

_BLANK: Final = " \t"
_META: Final = " \t\n;&|<>()"
_GLOB: Final = "*?["
_OPERATORS: Final = ("&>>", "&>", "<<<", "<<-", "<<", "<>", "<&", "<", ">>", ">|", ">&", ">")
_DEEPEST: Final = 20


class Unreadable(ValueError):  # noqa: N818 -- it is about the text, and no error of ours
    """The text has no end where a shell would want one; it would be refused there, too."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word. `literal`: the shell will see exactly `text`. `glob`: it has pattern characters that are not quoted."""

    text: str
    literal: bool = True
    glob: bool = False


@dataclass(slots=True)
class Command:
    """A simple command: its words, the files that its output goes to, and the here-documents that it reads."""

    words: list[Word] = field(default_factory=list)
    into: list[Word] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)


OPEN, CLOSE, AND, OR, NEXT = "(", ")", "&&", "||", ";"
"""What stands between commands: a subshell begins and ends; the next runs if this one did well, if it did not, or
in any case."""

Item = Command | str


def read(text: str, *, home: str = "") -> list[Item]:
    """The commands of a text in their order, those in substitutions first. Raises Unreadable."""
    return _Reader(text, home, 0).script()


@dataclass(frozen=True, slots=True)
class _Awaited:
    """A here-document that begins with the next line. `bare`: its mark is not quoted, so a shell looks into it."""

    command: Command
    mark: str
    without_tabs: bool
    bare: bool


class _Reader:
    def __init__(self, text: str, home: str, depth: int, start: int = 0) -> None:
        if depth > _DEEPEST:
            raise Unreadable("too deep")
        self.text = text
        self.home = home
        self.depth = depth
        self.at = start
        self.brackets = 0
        self.in_test = False
        self.items: list[Item] = []
        self.command = Command()
        self.awaited: list[_Awaited] = []

    def peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def script(self, *, inner: bool = False) -> list[Item]:
        """Everything up to the end, or, in a substitution, up to the bracket that closes it."""
        while self.at < len(self.text):
            if inner and self.peek() == ")" and not self.brackets and not self.in_test:
                self.at += 1
                break
            if not self._between_words():
                self._part(self.peek())
        else:
            if inner:
                raise Unreadable("a substitution does not end")
        self._finish()
        self._documents()
        return self.items

    def _between_words(self) -> bool:
        """Go over a blank, a comment or the end of a line, if there is one."""
        character = self.peek()
        if character in _BLANK:
            self.at += 1
        elif self.peek(2) == "\\\n":
            self.at += 2
        elif character == "#":
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end
        elif character == "\n":
            self.at += 1
            self._finish()
            self._documents()
        else:
            return False
        return True

    def _part(self, character: str) -> None:
        """A word, a redirection, or what stands between commands."""
        if self.in_test and character in _META:  # between `[[` and `]]`, `<` and `>` compare
            self.at += 1
        elif character in "<>" or self.peek(2) == "&>":
            self._redirection()
        elif self.peek(2) == "((" and not self.command.words:
            self._skip_arithmetic()
        elif character in ";&|":
            joined = self.peek(2) if self.peek(2) in (AND, OR) else NEXT
            self.at += len(joined)
            self._finish(joined)
        elif character in "()":
            self.at += 1
            if character == ")" and not self.brackets:
                self.command = Command()  # the pattern of a `case`
            self._finish("")
            self._bracket(character)
        else:
            self._add(self.command.words)
            self.in_test = self.command.words[-1].text == "[[" or (self.in_test and self.command.words[-1].text != "]]")

    def _bracket(self, character: str) -> None:
        if character == "(":
            self.brackets += 1
            self.items.append(OPEN)
        elif character == ")" and self.brackets:
            self.brackets -= 1
            self.items.append(CLOSE)

    def _finish(self, joined: str = NEXT) -> None:
        if self.command.words or self.command.into:
            self.items.append(self.command)
        if joined and self.items and self.items[-1] != NEXT:
            self.items.append(joined)
        self.command = Command()
        self.in_test = False

    # -- redirections

    def _redirection(self) -> None:
        words = self.command.words
        self._drop_descriptor(words)
        operator = next(found for found in _OPERATORS if self.text.startswith(found, self.at))
        self.at += len(operator)
        if operator in ("<", ">") and self.peek() == "(":
            self.at += 1
            self._nested()
            words.append(Word(operator, literal=False))
            return
        while self.peek() and self.peek() in _BLANK:
            self.at += 1
        if not self.peek() or self.peek() in _META:
            raise Unreadable(f"nothing after {operator}")
        found: list[Word] = []
        start = self.at
        self._add(found)
        if operator in ("<<", "<<-"):
            bare = self.text[start : self.at] == found[0].text
            self.awaited.append(_Awaited(self.command, found[0].text, operator == "<<-", bare))
        elif operator not in ("<", "<<<", "<&") and not (operator == ">&" and _is_descriptor(found[0])):
            self.command.into += found

    def _drop_descriptor(self, words: list[Word]) -> None:
        """In `2>file` and `{log}>file`, what stands right before the operator is no word of the command."""
        if words:
            name = words[-1].text
            if self.text[: self.at].endswith(name) and (name.isdecimal() or (name[:1] == "{" and name[-1:] == "}")):
                words.pop()

    def _documents(self) -> None:
        awaited, self.awaited = self.awaited, []
        for one in awaited:
            start, lines = self.at, []
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end]
                line = line.lstrip("\t") if one.without_tabs else line
                self.at = min(len(self.text), end + 1)
                if line == one.mark:
                    break
                lines.append(line)
            one.command.documents.append("\n".join(lines))
            if one.bare:
                self._look_into(start, self.at)

    def _look_into(self, start: int, end: int) -> None:
        """The commands in substitutions of a here-document."""
        after, at = self.at, self.text.find("$(", start, end)
        while at >= 0:
            self.at = at + 2
            self._nested()
            at = self.text.find("$(", self.at, end)
        self.at = max(after, self.at)

    # -- words

    def _add(self, words: list[Word]) -> None:
        start = self.at
        characters: Characters = []
        literal = self._characters(characters)
        raw = self.text[start : self.at]
        if not literal:
            words.append(Word(raw, literal=False))
            return
        words_made = spelled(characters)
        if not words_made:
            words.append(Word(raw, literal=False))
            return
        for one in words_made:
            glob = any(character in _GLOB and not quoted for character, quoted in one)
            mixed = glob and any(character in _GLOB and quoted for character, quoted in one)
            words.append(Word("".join(character for character, _ in one), literal=not mixed, glob=glob))

    def _characters(self, into: Characters) -> bool:
        """One word. Tells whether its value can be read from the text alone."""
        literal = True
        if self.peek() == "~":
            self.at += 1
            if self.home and (not self.peek() or self.peek() in _META + "/"):
                into += [(character, True) for character in self.home]
            else:
                literal = False
        while self.at < len(self.text) and self.peek() not in _META:
            character = self.peek()
            self.at += 1
            if character == "\\":
                if self.peek() not in ("", "\n"):
                    into.append((self.peek(), True))
                self.at += 1
            elif character == "'":
                into += [(one, True) for one in self._until("'")]
            elif character == '"':
                literal &= self._double_quoted(into)
            elif character == "$" and self.peek() in ("'", '"'):
                literal &= self._special_quotes(into)
            elif character in "$`":
                literal &= self._expansion(character, into, quoted=False)
            else:
                into.append((character, False))
        return literal

    def _until(self, mark: str) -> str:
        end = self.text.find(mark, self.at)
        if end < 0:
            raise Unreadable(f"no second {mark}")
        found = self.text[self.at : end]
        self.at = end + 1
        return found

    def _double_quoted(self, into: Characters) -> bool:
        literal = True
        into.append(("", True))
        while (character := self.peek()) != '"':
            if not character:
                raise Unreadable('no second "')
            self.at += 1
            if character == "\\" and self.peek() in ("$", "`", '"', "\\", "\n"):
                if self.peek() != "\n":
                    into.append((self.peek(), True))
                self.at += 1
            elif character in "$`":
                literal &= self._expansion(character, into, quoted=True)
            else:
                into.append((character, True))
        self.at += 1
        return literal

    def _special_quotes(self, into: Characters) -> bool:
        mark = self.peek()
        self.at += 1
        if mark == '"':
            return self._double_quoted(into)
        start = self.at
        while (character := self.peek()) != "'":
            if not character:
                raise Unreadable("no second '")
            self.at += 2 if character == "\\" else 1
        body = self.text[start : self.at]
        self.at += 1
        into += [(one, True) for one in body]
        return "\\" not in body

    def _expansion(self, character: str, into: Characters, *, quoted: bool) -> bool:
        """What follows a dollar or a backtick. Tells whether it is only that character, or the home folder."""
        if character == "`":
            body, self.at = _backticks(self.text, self.at)
            self._take(_Reader(body, self.home, self.depth + 1).script())
            return False
        if self.peek(2) == "((":
            self._skip_arithmetic()
            return False
        if self.peek() == "(":
            self.at += 1
            self._nested()
            return False
        name = self._variable()
        if name == "HOME" and self.home and (quoted or not any(one in _META + _GLOB for one in self.home)):
            into += [(one, True) for one in self.home]
            return True
        if name:
            return False
        into.append(("$", True))
        return True

    def _variable(self) -> str:
        """The name of a variable or what else stands for something; empty where the dollar is only a dollar."""
        if self.peek() == "{":
            start, depth = self.at, 0
            while self.at < len(self.text):
                depth += {"{": 1, "}": -1}.get(self.peek(), 0)
                self.at += 2 if self.peek() == "\\" else 1
                if not depth:
                    return self.text[start + 1 : self.at - 1] or "?"
            raise Unreadable("no } after ${")
        start = self.at
        while self.peek() and (self.peek() == "_" or (self.peek().isascii() and self.peek().isalnum())):
            self.at += 1
        if self.at == start and self.peek() and self.peek() in "?$!#@*-":
            self.at += 1
        return self.text[start : self.at]

    def _nested(self) -> None:
        """The commands of a substitution, up to its bracket."""
        inner = _Reader(self.text, self.home, self.depth + 1, self.at)
        found = inner.script(inner=True)
        self.at = inner.at
        self._take(found)

    def _take(self, found: list[Item]) -> None:
        self.items += [OPEN, *found, CLOSE]

    def _skip_arithmetic(self) -> None:
        opened = 2
        self.at += opened
        while opened:
            character = self.peek()
            if not character:
                raise Unreadable("no )) after ((")
            opened += {"(": 1, ")": -1}.get(character, 0)
            self.at += 1


def _is_descriptor(word: Word) -> bool:
    return word.literal and (word.text.rstrip("-").isdecimal() or word.text == "-")


def _backticks(text: str, start: int) -> tuple[str, int]:
    """What stands up to the next bare backtick, with its escapes undone, and where it goes on after that."""
    body, at = "", start
    while at < len(text) and text[at] != "`":
        if text[at] == "\\" and text[at + 1 : at + 2] in ("`", "\\", "$"):
            at += 1
        body += text[at : at + 1]
        at += 1
    if at >= len(text):
        raise Unreadable("no second `")
    return body, at + 1
