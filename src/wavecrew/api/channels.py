"""The ways in which a message leaves: the terminal that we run on, its bell, a program, a web address.

What it does: makes the channels that the settings name, and hands a message to all of them at the same time, each with
a limit of time. Addresses are not followed elsewhere, and what they answer is not read.
What it does not know: what is news, and when a message is due.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.error import HTTPError, URLError

from wavecrew import __version__
from wavecrew.config.parallel_config import WEB_ADDRESS, ParallelExecutionConfig
from wavecrew.core.jobs import PASSED_ON
from wavecrew.errors import ConfigError, PreflightError
from wavecrew.views.notice_words import BELL, Message, terminal_words

_T = TypeVar("_T")

TIMEOUT_SECONDS: Final = 10.0
"""The longest that one channel may take for one message."""
_MARGIN_SECONDS: Final = 2.0
_QUICK_SECONDS: Final = 2.0
"""What fails sooner than this may be a hiccup and is tried once more."""
_PAUSE_SECONDS: Final = 1.0


class NotSentError(Exception):
    """A message did not get through; the words say why and hold no secret. `hiccup`: it may do so in a moment."""

    def __init__(self, why: str, *, hiccup: bool = False) -> None:
        super().__init__(why)
        self.hiccup = hiccup


class Channel(Protocol):
    """One way out."""

    @property
    def name(self) -> str:
        """What the settings call it."""

    def send(self, message: Message) -> None:
        """Send a message. Raises NotSentError."""


# -- the terminal -----------------------------------------------------------------------------------------------


def our_terminal() -> str:
    """The path of the terminal that we print on; empty where there is none."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if os.isatty(descriptor):
                return os.ttyname(descriptor)
    return ""


@dataclass(frozen=True, slots=True)
class Terminal:
    """Notifications of a terminal, or only its `bell`. Written at once, past all that else is written to it, and never
    waited for: somebody may have stopped it with Ctrl-S."""

    path: str
    environ: Mapping[str, str]
    bell: bool = False

    @property
    def name(self) -> str:
        return "bell" if self.bell else "terminal"

    def send(self, message: Message) -> None:
        data = (BELL if self.bell else terminal_words(message, self.environ)).encode(errors="replace")
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                written = os.write(descriptor, data) if data else 0
            finally:
                os.close(descriptor)
        except OSError as error:
            raise NotSentError(error.strerror or "it cannot be written") from None
        if written < len(data):
            raise NotSentError("the terminal took only a part of it")


# -- a program --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Command:
    """A program that gets each message as JSON on standard input. What it prints is not looked at."""

    argv: tuple[str, ...]
    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    timeout: float = TIMEOUT_SECONDS
    name: str = "command"

    def send(self, message: Message) -> None:
        try:
            process = subprocess.Popen(
                self.argv,
                cwd=self.folder,
                env=dict(self.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # so that Ctrl-C does not reach it, and all of it can be ended
            )
        except (OSError, ValueError) as error:
            raise NotSentError(f"it cannot be started: {getattr(error, 'strerror', '') or error}") from None
        try:
            process.communicate((message.json + "\n").encode(errors="replace"), timeout=self.timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise NotSentError(f"it took longer than {self.timeout:g} s and was ended") from None
        if process.returncode:
            raise NotSentError(f"it ended with {process.returncode}")


# -- a web address ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Webhook:
    """A web address that each message is posted to. Address and headers may be secret, so they are never shown."""

    address: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = TIMEOUT_SECONDS
    name: str = "webhook"

    def send(self, message: Message) -> None:
        body = message.json.encode(errors="replace")
        request = urllib.request.Request(self.address, body, method="POST")  # noqa: S310 -- settings take http(s) only
        for name, value in {**_FIRST_HEADERS, **self.headers}.items():
            request.add_header(name, value)
        try:
            with _opener().open(request, timeout=self.timeout):
                pass  # that it was taken is all we want to know
        except HTTPError as error:
            code = error.code
            error.close()
            why = " (it is not followed elsewhere)" if 300 <= code < 400 else ""
            raise NotSentError(f"it answered {code}{why}", hiccup=code >= 500) from None
        except URLError as error:
            reason = error.reason
            words = reason.strerror if isinstance(reason, OSError) else ""
            raise NotSentError(f"it cannot be reached: {words or type(reason).__name__}", hiccup=True) from None
        except TimeoutError:
            raise NotSentError(f"it did not answer within {self.timeout:g} s") from None
        except OSError as error:
            words = error.strerror or type(error).__name__
            raise NotSentError(f"it cannot be reached: {words}", hiccup=True) from None
        except HTTPException as error:
            raise NotSentError(f"it does not speak HTTP: {type(error).__name__}") from None
        except ValueError:  # the words would hold the value of a header
            raise NotSentError("the address or a header holds what HTTP cannot carry") from None


_FIRST_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": f"wavecrew/{__version__}"}


def _opener() -> urllib.request.OpenerDirector:
    """Only what HTTP needs: no redirects, files or passwords. The proxies of the environment count."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


# -- from settings to channels ----------------------------------------------------------------------------------


def channels_for(
    config: ParallelExecutionConfig, folder: Path, environ: Mapping[str, str], *, from_project: bool = False
) -> tuple[Channel, ...]:
    """The channels that the settings ask for. Without a terminal there are none that need one. A program that the
    project brings along (`from_project`) sees no more of the environment than an agent.

    Raises ConfigError for a channel without an address, and PreflightError for a variable that is not set.
    """
    found: list[Channel] = []
    path = our_terminal()
    for name in dict.fromkeys(config.notify):
        match name:
            case "command":
                seen = _for_strangers(config, environ) if from_project else environ
                found.append(Command(_given(config.notify_command, "notify_command", name), folder, seen))
            case "webhook":
                address = _given(config.notify_webhook, "notify_webhook", name)
                found.append(Webhook(_address(address, environ), _headers(config.notify_headers, environ)))
            case _ if path:
                found.append(Terminal(path, environ, bell=name == "bell"))
    return tuple(found)


def secret_variables(config: ParallelExecutionConfig) -> tuple[str, ...]:
    """The variables whose values must not leave with any words: those that agents were given, and our own."""
    own = [header.partition("=")[2] for header in config.notify_headers]
    own += (
        [config.notify_webhook[1:]] if (config.notify_webhook or "").startswith("$") and config.notify_webhook else []
    )
    return (*config.env, *(one.partition(":")[2] for one in config.agent_env), *own)


def _given(value: _T | None, setting: str, channel: str) -> _T:
    if not value:
        raise ConfigError(
            f"notify has {channel}, but {setting} is not set", fix=f"set {setting}, or leave {channel} out"
        )
    return value


def _for_strangers(config: ParallelExecutionConfig, environ: Mapping[str, str]) -> Mapping[str, str]:
    wanted = {*PASSED_ON, *config.env}
    return {name: value for name, value in environ.items() if name in wanted or name.startswith("LC_")}


def _address(written: str, environ: Mapping[str, str]) -> str:
    if not written.startswith("$"):
        return written
    address = _variable(written[1:], "notify_webhook", environ).strip()
    if not re.fullmatch(WEB_ADDRESS, address):
        raise PreflightError(f"the variable {written[1:]} holds no http or https address without user and password")
    return address


def _headers(written: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    pairs = (header.partition("=") for header in written)
    return {name: _variable(variable, "notify_headers", environ).strip() for name, _, variable in pairs}


def _variable(name: str, setting: str, environ: Mapping[str, str]) -> str:
    if not environ.get(name):
        raise PreflightError(
            f"{setting} names the variable {name}, which is not set", fix=f"set {name}, or change {setting}"
        )
    return environ[name]


# -- sending ----------------------------------------------------------------------------------------------------


class Post:
    """Hands messages to channels, to all at the same time. One that is stuck is not given another message."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self.channels = tuple(channels)
        self._busy: dict[str, threading.Thread] = {}

    def deliver(self, message: Message, timeout: float = TIMEOUT_SECONDS + _MARGIN_SECONDS) -> dict[str, str]:
        """Send a message and wait, at most so long. Gives for each channel that failed why."""
        why: dict[str, str] = {}
        for channel in self.channels:
            before = self._busy.get(channel.name)
            if before is not None and before.is_alive():
                why[channel.name] = "the message before is still on its way"
                continue
            why[channel.name] = f"it took longer than {timeout:g} s"
            thread = threading.Thread(target=_try, args=(channel, message, why), name="post", daemon=True)
            self._busy[channel.name] = thread
            thread.start()
        deadline = time.monotonic() + timeout
        for thread in self._busy.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        return {name: reason for name, reason in why.items() if reason}


def _try(channel: Channel, message: Message, why: dict[str, str]) -> None:
    began = time.monotonic()
    try:
        try:
            channel.send(message)
        except NotSentError as error:
            if not error.hiccup or time.monotonic() - began > _QUICK_SECONDS:
                raise
            time.sleep(_PAUSE_SECONDS)
            channel.send(message)
        why[channel.name] = ""
    except NotSentError as error:
        why[channel.name] = str(error)
    except Exception as error:  # a bug of ours must not pass for a message that was sent
        why[channel.name] = f"{type(error).__name__}"
