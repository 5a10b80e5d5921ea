"""The gate of a run while a coordinator is in charge: who may ask at it, and what of its answers is recorded.

What it does: opens and closes the write gate, lets attempts in and out, and puts what is news on record.
What it does not know: how calls are judged (`gate_calls`), what agents say beside them (`phase_desk`), and which agents
ask (`bounds` says so).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wavecrew.core.attempts import files_folder, owner_name
from wavecrew.core.bounds import Bounds
from wavecrew.core.gate_calls import Decision, Verdict, Wait
from wavecrew.core.ledger import Ledger
from wavecrew.core.lock_registry import LockRegistry
from wavecrew.core.phase_desk import PhaseDesk
from wavecrew.core.workplace import Workplace
from wavecrew.core.write_gate import WriteGate
from wavecrew.models import events as ev


class GateKeeping:
    """The gate of a run, and who may ask at it. `documents` are those of the plan, which no agent may write. What it
    answers is recorded, unless it is no news: a write within the claims of its phase. `redact` takes out of what agents
    say what nobody may read."""

    def __init__(
        self,
        bounds: Bounds,
        registry: LockRegistry,
        ledger: Ledger,
        workspace: Path,
        documents: Sequence[Path] = (),
        redact: Callable[[str], str] = str,
    ) -> None:
        self._bounds = bounds
        self._ledger = ledger
        self._workspace = workspace
        self._documents = documents
        self._is_open = False
        self._desk = PhaseDesk(ledger, redact)
        self._gate = WriteGate(
            registry,
            bounds.runs / ledger.run,
            wait_seconds=bounds.gate_seconds or 0.0,
            harmless=bounds.harmless,
            home=str(Path.home()),
            on_decision=self._decided,
            on_wait=self._waits,
            desk=self._said,
        )

    async def open(self, epoch: int) -> None:
        """Answer from now on, as the coordinator of this epoch; once is enough. Raises OSError."""
        if not self._is_open:
            await self._gate.start(epoch)
            self._is_open = True

    async def close(self) -> None:
        """Answer nobody any more; then nobody writes."""
        await self._gate.close()

    def admit(
        self,
        agent: str,
        phase: str,
        attempt: int,
        folder: Path,
        root: Path,
        moved_on: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda files: (),
    ) -> None:
        """Let an attempt ask that works in `root`, or go on to ask after a coordinator died; `moved_on` is that of its
        `Workplace`. Raises OSError and StoreError."""
        if self._bounds.is_heard(agent):
            free = (Path(tempfile.gettempdir()), files_folder(folder), *self._bounds.own_folders(agent))
            place = Workplace(self._workspace, root, free=free, documents=self._documents, moved_on=moved_on)
            owner = owner_name(self._ledger.run, phase, attempt)
            self._gate.admit(owner, f"phase {phase}", folder, place)

    @property
    def waiting(self) -> frozenset[str]:
        """Phases whose agents wait at the gate or for a person, and can say nothing meanwhile."""
        return frozenset(phase_of(wait.attempt)[0] for wait in self._gate.waits) | self.asking

    @property
    def asking(self) -> frozenset[str]:
        """Phases whose agents wait for the answer of a person."""
        return self._desk.asking

    def dismiss(self, phase: str, attempt: int) -> None:
        """An attempt is over: nothing more is granted to it."""
        self._gate.dismiss(owner_name(self._ledger.run, phase, attempt))

    async def _said(self, tool: str, owner: str, given: object, is_here: Callable[[], bool]) -> Mapping[str, Any]:
        return await self._desk.call(tool, *phase_of(owner), given, is_here)

    def _waits(self, wait: Wait) -> None:
        phase, attempt = phase_of(wait.attempt)
        state = self._ledger.state
        if phase in state.running and state.phase_states[phase].attempts == attempt:
            self._ledger.record(
                ev.WriteAwaited(
                    at=self._ledger.clock(),
                    phase=phase,
                    attempt=attempt,
                    tool=wait.tool,
                    resource=wait.resource,
                    holder=wait.holder,
                    since=wait.since,
                )
            )

    def _decided(self, decision: Decision) -> None:
        allowed = decision.verdict is Verdict.ALLOWED
        if allowed and not (decision.claimed or decision.waited_seconds):
            return
        phase, attempt = phase_of(decision.attempt)
        self._ledger.record(
            ev.WriteJudged(
                at=self._ledger.clock(),
                phase=phase,
                attempt=attempt,
                tool=decision.tool,
                paths=decision.paths,
                allowed=allowed,
                claimed=decision.claimed,
                waited=decision.waited_seconds,
                holder=decision.holder,
                reason=decision.reason,
            )
        )


def phase_of(owner: str) -> tuple[str, int]:
    """Phase and attempt that a name stands for under which locks are held."""
    phase, _, attempt = owner.partition("/")[2].rpartition("/")
    return phase, int(attempt)
