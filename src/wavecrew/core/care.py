"""Looking after the files of a shared workspace while phases work in it.

What it does: tells of files that changed without a claim (`audit`), keeps what a phase may write and puts it back when
its attempt is to be repeated (`restore`).
What it does not know: scheduling, processes and the database; it answers with events.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from wavecrew.core import restore
from wavecrew.core.attempts import attempt_folder
from wavecrew.core.audit import Audit
from wavecrew.core.jobs import Prepared
from wavecrew.core.resource_keys import ResourceKeys
from wavecrew.models import events as ev
from wavecrew.models.events import Event, Outcome
from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.resources import Claim, ResourceKind, parse_resource
from wavecrew.models.sessions import session_to_go_on


class AuditPolicy(StrEnum):
    """What a change outside the claims leads to: nothing is looked at, it is told, or the phase fails."""

    OFF = "off"
    WARN = "warn"
    FAIL = "fail"


class Care:
    """The care of one coordinator for the files of its workspace."""

    def __init__(
        self,
        keys: ResourceKeys,
        claims: Mapping[str, tuple[Claim, ...]],
        audit: AuditPolicy = AuditPolicy.OFF,
        *,
        put_back: bool = False,
    ) -> None:
        self.policy = audit
        self._workspace = keys.workspace
        self._claims = claims
        self._audit = None if audit is AuditPolicy.OFF else Audit(keys)
        self._put_back = put_back

    def look(self, at_work: Mapping[str, tuple[str, ...]], now: float) -> list[Event]:
        """What has changed without a claim since the last look, laid to those who were at work: phases, with what was
        claimed for them on the way."""
        if self._audit is None:
            return []
        given = {name: (Claim(parse_resource(text)) for text in texts) for name, texts in at_work.items()}
        found = self._audit.look({name: (*self._claims.get(name, ()), *given[name]) for name in at_work})
        if found is None:
            return []
        return [ev.UndeclaredWrites(at=now, suspects=found.suspects, paths=found.paths)]

    def before_start(self, state_folder: Path, run: str, one: Prepared) -> None:
        """Keep what the phase may write. If the attempt before this one was given up and nobody has touched what it
        left, start where it did. Raises OSError."""
        if not self._puts_back(one.claims):
            return
        if one.attempt > 1:
            last = attempt_folder(state_folder, run, one.phase.id, one.attempt - 1)
            if restore.is_as_left(self._workspace, last, one.claims) and restore.hand_on(last, one.folder):
                self._put_files_back(one.folder, one.claims)
                if one.session:  # it knows the files as it left them
                    self._put_files_back(last, one.claims, restore.ASIDE)
                restore.forget(last)
                return  # what was kept for the last attempt is what this one starts from
            restore.forget(last)
        restore.keep(self._workspace, one.folder, one.claims)

    def after_end(self, folder: Path, ended: ev.AttemptEnded, *, may_go_on: bool = False) -> None:
        """While the locks are still held: put everything back if the attempt will be repeated. With `may_go_on` what it
        left is set aside before, because the next one may go on from there. Raises OSError."""
        claims = self._claims.get(ended.phase, ())
        if not self._puts_back(claims):
            return
        if ended.outcome is Outcome.SUCCEEDED:
            restore.forget(folder)
        elif may_go_on:
            if not restore.has(folder, restore.ASIDE):  # else we were killed here, and files may be put back already
                with contextlib.suppress(OSError):
                    restore.keep(self._workspace, folder, claims, restore.ASIDE)
            self._put_files_back(folder, claims)
            restore.note_left(self._workspace, folder, claims)
        elif ended.outcome is Outcome.STOPPED or ended.retry_at is not None:
            self._put_files_back(folder, claims)
        else:
            restore.note_left(self._workspace, folder, claims)

    def session_for(
        self, state: ExecutionState, state_folder: Path, phase: str, agent: str, inputs: Mapping[str, str]
    ) -> str:
        """The session in which the next attempt of a phase goes on; empty if it begins afresh. The agent must find the
        files in the same folder and as it left them: in a worktree, it would not."""
        found, claims = state.phase_states[phase], self._claims.get(phase, ())
        session = session_to_go_on(found, agent, inputs, puts_back=self._puts_back(claims))
        if not session or found.base:
            return ""
        if self._puts_back(claims):
            last = attempt_folder(state_folder, state.run, phase, found.attempts)
            ready = restore.has(last, restore.ASIDE) and restore.is_as_left(self._workspace, last, claims)
            return session if ready else ""
        return session

    def _puts_back(self, claims: Iterable[Claim]) -> bool:
        return self._put_back and _may_write_files(claims)

    def _put_files_back(self, folder: Path, claims: Iterable[Claim], copies: str = restore.BEFORE) -> None:
        touched = restore.put_back(self._workspace, folder, claims, copies)
        if touched and self._audit is not None:
            self._audit.know(touched)  # what we have put back is nobody's undeclared write


def _may_write_files(claims: Iterable[Claim]) -> bool:
    """Whether there can be anything to keep: for a phase that claims no file, its folder is not written to either."""
    return any(claim.exclusive and claim.resource.kind is not ResourceKind.NAME for claim in claims)
