"""News of a run as a message: a title, a few lines, JSON for programs, and the bytes that make a terminal tell it.

What it does: writes one message for all that is told at once, with a digest when the run is over; makes foreign words
harmless and hides secrets; chooses what a terminal understands.
What it does not know: what is news (`notices`), and who sends a message and when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wavecrew.views.notices import END, NEEDS_YOU, Notice
from wavecrew.views.run_next import next_lines
from wavecrew.views.run_words import DOT, label, seconds
from wavecrew.views.secrets import Secrets
from wavecrew.views.summary import RunStatus, Standing, Summary
from wavecrew.views.terminal_text import cut, one_line, safe_json
from wavecrew.views.usage_words import spent_data, spent_words

FORMAT: Final = 1
"""Version of the JSON. Keys are only ever added."""
MOST_BYTES: Final = 64 * 1024
_NOTICES: Final = 40
_FAILED: Final = 10
_LINES: Final = 8
_WIDTH: Final = 300
_TITLE: Final = 120
_NOTIFICATION: Final = 200
"""Columns of the words that a terminal is given."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is told at once. All its texts are clean and free of secrets; `data` is ready for JSON."""

    title: str
    lines: tuple[str, ...]
    data: Mapping[str, Any]

    @property
    def text(self) -> str:
        """Title and lines together."""
        return "\n".join((self.title, *self.lines))

    @property
    def json(self) -> str:
        """The message for programs, in one line of at most MOST_BYTES."""
        told = safe_json(dict(self.data))
        if len(told.encode(errors="surrogatepass")) <= MOST_BYTES:
            return told
        return safe_json({**self.data, "notices": [], "digest": None, "text": self.data["text"][:_WIDTH], "cut": True})


def message_of(
    notices: Sequence[Notice], summary: Summary, secrets: Secrets, *, project: str, told: int = 0
) -> Message:
    """The message for some news, the most urgent first, at least one. `project` names the workspace for people;
    `told` counts what was told of this run before."""
    clean = _Cleaner(secrets)
    run = clean.line(f"{project}: run {summary.run}", _TITLE)
    end = next((one for one in notices if one.kind in END), None)
    headline = _end_words(summary) if end else clean.line(notices[0].text, _TITLE)
    more = sum(one is not end for one in notices) if end else len(notices) - 1
    title = f"{run} {headline}" if end else f"{run}: {headline}"
    shown = [one for one in notices if one is not end][: _LINES + 1] if len(notices) > 1 or end else []
    lines = [clean.line(one.text) for one in shown[:_LINES]]
    lines += [f"and {more - _LINES} more"] if more > _LINES else []
    lines += _digest_lines(summary, clean) if end else _commands(notices, clean)
    data = {
        "format": FORMAT,
        "id": f"{summary.run}/{max(one.event for one in notices)}",
        "run": clean.line(summary.run),
        "plan": clean.line(summary.plan_name),
        "project": clean.line(project),
        "title": title,
        "text": "\n".join((title, *lines)),
        "needs_you": any(one.kind in NEEDS_YOU for one in notices),
        "ended": end is not None,
        "notices": [_notice_data(one, clean) for one in notices[:_NOTICES]],
        "more": max(0, len(notices) - _NOTICES),
        "summary": _summary_data(summary),
        "digest": _digest_data(summary, clean, told + len(notices)) if end else None,
    }
    return Message(title, tuple(lines), data)


def trial(project: str) -> Message:
    """A message that only shows that messages arrive."""
    title = f"{one_line(project)}: this is how wavecrew tells you news of a run"
    line = "nothing happened; it was asked for by: wavecrew notify --test"
    data = {"format": FORMAT, "id": "trial", "run": None, "plan": None, "project": one_line(project), "title": title}
    more = {"text": f"{title}\n{line}", "needs_you": False, "ended": False, "notices": [], "more": 0}
    return Message(title, (line,), {**data, **more, "summary": None, "digest": None})


class _Cleaner:
    """Foreign words on one line, without controls and secrets."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def line(self, text: str, width: int = _WIDTH) -> str:
        return cut(self._secrets.hide(one_line(text)), width)


def _end_words(summary: Summary) -> str:
    """`succeeded after 1h02m: 10 of 10 done, 0 failed`: what is done, who is needed, what failed and is blocked."""
    took = f" after {seconds(summary.elapsed)}" if summary.elapsed is not None else ""
    words = [f"{summary.done:,} of {summary.total:,} done"]
    words += [f"needs you {summary.needed:,}"] if summary.needed else []
    words += [f"{summary.counts[Standing.FAILED]:,} failed"]
    words += [f"{blocked:,} blocked"] if (blocked := summary.counts[Standing.BLOCKED]) else []
    return f"{summary.status}{took}: {', '.join(words)}"


def _commands(notices: Sequence[Notice], clean: _Cleaner) -> list[str]:
    commands = tuple(dict.fromkeys(command for one in notices[:3] for command in one.commands[:1]))
    return [clean.line(f"next: {DOT.join(commands)}")] if commands else []


def _digest_lines(summary: Summary, clean: _Cleaner) -> list[str]:
    failed = summary.of(Standing.FAILED)
    lines = [clean.line(f"failed {label(row.id, row.name)}: {row.reason}") for row in failed[:_FAILED]]
    lines += [f"and {len(failed) - _FAILED} more failed"] if len(failed) > _FAILED else []
    lines += [clean.line(f"needs you: {', '.join(summary.needs_you)}")] if summary.needs_you else []
    lines += [f"used: {spent_words(summary.spent)}"] if summary.spent.attempts else []
    lines += [f"work {seconds(summary.work)}, retries {summary.retries}"] if summary.status in _OVER else []
    return [*dict.fromkeys(lines), *(clean.line(line.strip()) for line in next_lines(summary))]


_OVER: Final = (RunStatus.SUCCEEDED, RunStatus.FAILED)


def _notice_data(notice: Notice, clean: _Cleaner) -> dict[str, Any]:
    return {
        "event": notice.event,
        "at": notice.at,
        "kind": notice.kind.value,
        "subject": clean.line(notice.subject) or None,
        "text": clean.line(notice.text),
        "commands": [clean.line(command) for command in notice.commands],
    }


def _summary_data(summary: Summary) -> dict[str, Any]:
    counts = summary.counts
    return {
        "status": summary.status.value,
        "done": summary.done,
        "total": summary.total,
        "failed": counts[Standing.FAILED],
        "running": counts[Standing.RUNNING],
        "merging": counts[Standing.MERGING],
        "needs_you": summary.needed,
        "elapsed_seconds": None if summary.elapsed is None else round(summary.elapsed, 3),
        "left_seconds": None if summary.left is None else round(summary.left, 3),
        "usage": spent_data(summary.spent),
    }


def _digest_data(summary: Summary, clean: _Cleaner, told: int) -> dict[str, Any]:
    failed = summary.of(Standing.FAILED)
    return {
        "passed": summary.counts[Standing.PASSED],
        "kept": summary.counts[Standing.KEPT],
        "skipped": summary.counts[Standing.SKIPPED],
        "blocked": summary.counts[Standing.BLOCKED],
        "retries": summary.retries,
        "failed": [{"phase": clean.line(row.id), "reason": clean.line(row.reason)} for row in failed[:_NOTICES]],
        "unproven": [clean.line(name) for name in summary.unproven[:_NOTICES]],
        "missing_outputs": [clean.line(name) for name in summary.missing[:_NOTICES]],
        "needs_you": [clean.line(gate) for gate in summary.needs_you[:_NOTICES]],
        "stop_reason": clean.line(summary.stop_reason) or None,
        "work_seconds": None if summary.work is None else round(summary.work, 3),
        "notices": told,
    }


# -- terminals --------------------------------------------------------------------------------------------------

BELL: Final = "\a"
_END: Final = "\x1b\\"


def terminal_words(message: Message, environ: Mapping[str, str]) -> str:
    """What to write to a terminal so that it tells a message: a notification where one is understood, else its bell,
    and nothing where that would be seen as rubbish.

    Within tmux and screen the bell: they pass nothing else on unless they are told to, and mark the window.
    """
    program, term = environ.get("TERM_PROGRAM", ""), environ.get("TERM", "")
    if term in ("", "dumb"):
        return ""
    if environ.get("TMUX") or environ.get("STY") or term.startswith(("screen", "tmux")):
        return BELL
    title, body = _told(message.title), _told(DOT.join(message.lines[:3]))
    if term == "xterm-kitty" or environ.get("KITTY_WINDOW_ID"):
        return f"\x1b]99;i=wavecrew:d=0;{title}{_END}\x1b]99;i=wavecrew:p=body;{body}{_END}"
    if program == "iTerm.app":
        return f"\x1b]9;wavecrew: {title}{BELL}"  # never a digit first: `9;4;` is a progress bar
    if program in ("ghostty", "WezTerm") or term.startswith(("xterm-ghostty", "wezterm", "foot", "rxvt")):
        return f"\x1b]777;notify;{title.replace(';', ',')};{body}{_END}"
    return BELL


def _told(text: str) -> str:
    """Words between the marks of a sequence: cut, and once more without any control."""
    return "".join(sign for sign in cut(text, _NOTIFICATION) if sign.isprintable())
