"""What the board does about a run: asks where harm could come of it, and has the command line do it.

What it does: carries actions out as commands in processes of their own and shows what they said; copies commands; hands
the terminal to a pager or to plain lines and takes it back.
What it does not know: which actions fit (`views.board_actions`), and how the board is drawn.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from textual.app import SuspendNotSupported

from wavecrew.errors import WavecrewError
from wavecrew.tui.commands import Running, parsed, replay_speed
from wavecrew.tui.dialogs import Page, Question, Words
from wavecrew.tui.plain_lines import follow_plain
from wavecrew.tui.played_source import PlayedSource
from wavecrew.tui.source import RunSource
from wavecrew.views.board_actions import Action, look_commands, stop_action
from wavecrew.views.board_parts import Line, folded, plain
from wavecrew.views.phase_rows import PhaseRow
from wavecrew.views.terminal_text import one_line

if TYPE_CHECKING:
    from wavecrew.tui.board import Board

_PAGERS: Final = ("less", "more")


class Deeds:
    """Acts for one board. `prefix` are options that go before every command, `environment` what it runs in."""

    def __init__(self, source: RunSource, environment: Mapping[str, str], prefix: Sequence[str] = ()) -> None:
        self._source = source
        self._environment = environment
        self._prefix = tuple(prefix)
        self._typed: list[str] = []

    # -- actions

    def do(self, board: Board, action: Action) -> None:
        """Carry an action out, after the question that it needs."""
        if action.wants_words:

            def given(reason: str | None) -> None:
                if reason is not None:
                    self._run(board, action.with_words(reason.strip()))

            board.app.push_screen(
                Words(f"{action.confirm} Why?" if action.wants_reason else action.confirm, required=True), given
            )
        elif action.confirm:

            def answered(key: str | None) -> None:
                if key == "y":
                    self._run(board, action)
                elif key == "c":
                    self._copy(board, action.command)

            keys = (("y", f"yes, {action.word}"), ("n", "no"), ("c", "copy the command"))
            board.app.push_screen(Question(f"{action.word}?", action.confirm, keys, action.command), answered)
        else:
            self._run(board, action)

    def ask_stop(self, board: Board) -> None:
        """Stop the run or leave it at work; where nobody is at work, there is nothing to ask."""
        action = stop_action(self._source.summary)
        if action is None or self._source.player is not None:
            board.action_leave()
            return
        stop = action

        def answered(key: str | None) -> None:
            if key == "l":
                board.app.exit()
            elif key == "s":
                self._run(board, stop)

        keys = (("l", "leave; the run goes on"), ("s", "stop the run"))
        sentence = f"Leave the board, and the run goes on without you? Or: {action.confirm}"
        board.app.push_screen(Question("leave or stop?", sentence, keys, action.command), answered)

    def _run(self, board: Board, action: Action) -> None:
        board.say(f"{action.command} ...", "quiet")
        board.run_worker(self._carry_out(board, action.arguments), group="deeds")

    async def _carry_out(self, board: Board, words: Sequence[str]) -> None:
        running = self._running(board, words)
        code = await running.work()
        board.source.tick()
        board.draw()
        board.say(one_line(running.last_words), "good" if code == 0 else "bad")

    def _running(self, board: Board, words: Sequence[str]) -> Running:
        folder = self._source.workspace
        return Running((*self._prefix, *words), folder, self._environment, max(40, board.size.width - 2))

    # -- any command

    def ask_command(self, board: Board) -> None:
        """A line for any command of wavecrew."""

        def given(line: str | None) -> None:
            if line is None or not line.strip():
                return
            if line.strip() in ("q", "quit"):
                board.action_leave()
                return
            self._typed.append(line)
            try:
                speed = replay_speed(line)
                if speed is None:
                    self.show(board, parsed(line))
                else:
                    self._replay(board, speed)
            except WavecrewError as error:
                board.say(error.reason + (f" ({error.fix})" if error.fix else ""), "bad")

        board.app.push_screen(Words("wavecrew", earlier=self._typed), given)

    def _replay(self, board: Board, speed: float) -> None:
        """Play the run on a board of its own, over this one. Raises StoreError and InvalidValueError."""
        source = PlayedSource(self._source.store, self._source.workspace, self._source.run, speed=speed)
        board.app.push_screen(type(board)(source, Deeds(source, self._environment, self._prefix)))

    def show(self, board: Board, words: Sequence[str]) -> None:
        """Run a command and show what it says over the whole screen, while it says it."""
        running = self._running(board, words)
        title = f"wavecrew {shlex.join(words)}"

        def lines(width: int) -> Sequence[Line]:
            return [plain(row) for line in running.text.splitlines() for row in folded(line.expandtabs(8), width)]

        page = Page(title, lines, text=lambda: running.text)

        async def work() -> None:
            code = await running.work(page.draw)
            board.source.tick()
            page.draw(f"{title}   (ended with {code})")

        board.app.push_screen(page, lambda _: running.end())
        board.run_worker(work(), group="deeds")

    # -- the clipboard

    def ask_copy(self, board: Board, row: PhaseRow | None, attempt: int, text: str) -> None:
        """Which command is to be copied; the next key says it."""
        found = [*board.valid(), *look_commands(self._source.summary, row, attempt)]
        stop = stop_action(self._source.summary) if self._source.player is None else None
        found += [stop] if stop is not None else []
        by_key = {action.key: action for action in reversed(found)}
        keys = [(key, action.word) for key, action in reversed(by_key.items())]
        keys += [("y", "what is shown")] if text else []

        def answered(key: str | None) -> None:
            if key == "y":
                self._copy(board, text, f"{len(text):,} characters")
            elif key in by_key:
                self._copy(board, by_key[key].command)

        board.app.push_screen(Question("copy", "Copy the command behind which key?", keys), answered)

    def _copy(self, board: Board, text: str, words: str = "") -> None:
        board.app.copy_to_clipboard(text)
        board.say(f"copied: {words or text}")

    # -- the terminal for something else

    def pager(self, board: Board, row: PhaseRow, attempt: int) -> None:
        """The log in a pager, cleaned as everywhere."""
        name = ("--", row.id) if row.id.startswith("-") else (row.id,)
        words = (*self._prefix, "logs", "--run", self._source.run, "--attempt", str(attempt), *name)
        self._lend(board, partial(_in_pager, words, self._environment, self._source))

    def plain_lines(self, board: Board) -> None:
        """The events as plain lines, until enter is pressed."""
        self._lend(board, partial(follow_plain, self._source))

    def _lend(self, board: Board, use: Callable[[], str]) -> None:
        """Let something else have the terminal."""
        try:
            with board.app.suspend():
                said = use()
        except SuspendNotSupported:
            board.say("this terminal cannot be lent to something else", "wait")
            return
        board.app.refresh(layout=True)
        board.draw()
        if said:
            board.say(said, "wait")


def _in_pager(words: Sequence[str], environment: Mapping[str, str], source: RunSource) -> str:
    """Show a log in the pager of the user. Gives what went wrong, or nothing."""
    wanted = shlex.split(os.environ.get("PAGER", ""))
    log = subprocess.Popen(
        [sys.executable, "-P", "-m", "wavecrew", *words],
        cwd=source.workspace,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        for program in ([wanted] if wanted else []) + [[name] for name in _PAGERS]:
            try:
                subprocess.run(program, stdin=log.stdout, check=False)
                return ""
            except OSError:
                continue
            except KeyboardInterrupt:
                return ""
        return "there is no pager: set PAGER, or use F"
    finally:
        if log.stdout is not None:
            log.stdout.close()
        log.terminate()
        log.wait()
