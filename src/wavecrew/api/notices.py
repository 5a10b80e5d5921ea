"""Who tells people the news of a run: a thread beside the coordinator, which only rings its bell.

What it does: reads what was recorded from the store, folds it into news, and sends them; remembers up to which event
that was done, so that a run which is taken up tells what a dead coordinator could not, and nothing twice. Whatever
goes wrong is counted and said once; the run never waits for it, but at its end for the last message, with a limit.
What it does not know: what is news, how a message reads, and by which ways it leaves.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from wavecrew.api.channels import Channel, Post, channels_for, secret_variables
from wavecrew.api.secret_values import values_to_hide
from wavecrew.config.sources import LoadedConfig
from wavecrew.core.store import STATE_FOLDER, Store
from wavecrew.errors import WavecrewError
from wavecrew.models.events import Event
from wavecrew.models.execution_state import ExecutionState
from wavecrew.views.notice_words import message_of
from wavecrew.views.notices import Gatherer, NoticeFold
from wavecrew.views.secrets import Secrets
from wavecrew.views.summary import summarize

_PAUSE_SECONDS: Final = 0.25
"""At most so often the store is read, however fast events come."""
_LAST_SECONDS: Final = 30.0
"""How long the end of a run waits for its last messages."""


class Teller:
    """Tells the news of one run for as long as the context is open. `observe` costs the coordinator nothing.

    `behind` is the number of events that the run has behind it: what happened before news were wanted is none. `note`
    is told, once for each channel, what could not be sent.
    """

    def __init__(
        self,
        workspace: Path,
        run: str,
        channels: Sequence[Channel],
        *,
        behind: int = 0,
        secrets: Secrets | None = None,
        note: Callable[[str], None] = lambda text: None,
        gatherer: Gatherer | None = None,
    ) -> None:
        self._workspace = workspace
        self._run = run
        self._post = Post(channels)
        self._secrets = secrets or Secrets()
        self._note = note
        self._fold = NoticeFold()
        self._gatherer = gatherer or Gatherer()
        self._memory = _Memory(workspace / STATE_FOLDER / "runs" / run, behind)
        self._seen = 0
        self._messages = 0
        self._notices = 0
        self._failed: Counter[str] = Counter()
        self._recorded = False
        self._looks_again = True
        self._bell = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="news", daemon=True)

    def observe(self, events: Sequence[Event], state: ExecutionState) -> None:
        """Something was recorded."""
        self._recorded = True
        self._bell.set()

    def __enter__(self) -> Teller:
        if self._post.channels:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._post.channels:
            return
        self._looks_again = kind is None  # else somebody else may be in charge by now, and tells what comes
        self._over.set()
        self._bell.set()
        with contextlib.suppress(KeyboardInterrupt):  # somebody is in a hurry; the run is over all the same
            self._thread.join(_LAST_SECONDS)
        if self._thread.is_alive():
            self._note("the last news of the run may not have been sent")
        for name, times in self._failed.items():
            if times > 1:
                self._note(f"{times} of {self._messages} messages could not be sent by {name}")

    # -- in the thread

    def _work(self) -> None:
        try:
            self._bell.wait()  # there may be no store before
            if not self._recorded:  # the run has not begun; whatever its history holds is the news of another
                return
            with Store.open(self._workspace, create=False) as store:
                self._memory.begin()
                while not self._over.is_set():
                    self._read(store)
                    if not self._over.is_set():  # asked after the bell was silenced: it may have rung for the end
                        self._bell.wait(self._gatherer.wait(time.monotonic()))
                    if self._gatherer.wait(time.monotonic()) == 0:
                        self._send()
                    self._over.wait(_PAUSE_SECONDS)
                if self._looks_again:
                    self._read(store)
                self._send()
        except WavecrewError as error:
            self._note(f"no more news of this run can be told: {error.reason}")
        except Exception as error:
            self._note(f"no more news of this run can be told: {type(error).__name__}: {error}")

    def _read(self, store: Store) -> None:
        self._bell.clear()
        numbered = store.events(self._run, after=self._seen)
        if numbered:
            notices = self._fold.add(numbered)
            self._seen = numbered[-1][0]
            self._gatherer.add((one for one in notices if one.event > self._memory.told), time.monotonic())

    def _send(self) -> None:
        now = time.time()
        notices = [one for one in self._gatherer.take() if self._fold.holds(one, now)]
        if notices:
            summary = summarize(self._fold.state, now, history=self._fold.history)
            project = self._workspace.name
            message = message_of(notices, summary, self._secrets, project=project, told=self._notices)
            self._messages += 1
            self._notices += len(notices)
            for name, why in self._post.deliver(message).items():
                self._failed[name] += 1
                if self._failed[name] == 1:
                    self._note(f"news of this run could not be sent by {name}: {why}")
        self._memory.keep(self._seen)


class _Memory:
    """Up to which event news were told, in a file of the run."""

    def __init__(self, folder: Path, behind: int) -> None:
        self._file = folder / "news.json"
        self.told = behind

    def begin(self) -> None:
        """Go on where an earlier coordinator left off. Where none has told anything, with what comes now."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            self.told = int(json.loads(self._file.read_bytes())["told"])
        self.keep(self.told)

    def keep(self, told: int) -> None:
        """Remember. What cannot be kept may be told twice; that is no reason to stop."""
        self.told = told
        temporary = self._file.with_suffix(".new")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump({"told": told}, file)
            temporary.replace(self._file)


def teller_for(
    loaded: LoadedConfig,
    folder: Path,
    run: str,
    *,
    behind: int,
    environ: Mapping[str, str],
    note: Callable[[str], None] = lambda text: None,
) -> Teller:
    """The one who tells the news of a run as the settings ask for it. Raises like `channels_for`."""
    channels = channels_for(loaded.config, folder, environ, from_project=loaded.from_project("notify_command"))
    secrets = Secrets(values_to_hide(environ, secret_variables(loaded.config)))
    return Teller(folder, run, channels, behind=behind, secrets=secrets, note=note)
