"""Jobs beside an attempt: checks of a merged tree, and clearing up.

What it does: has a job carried out under a shim of its own and waits for its result. A job is known by its folder:
asking for it again adopts the one that is at work and takes the result that is there, so that a coordinator which
takes a run up can simply ask again.
What it does not know: what the jobs are for.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Final

from wavecrew.core.attempts import Fate, Job, Result, fate_of, read_result, write_job
from wavecrew.core.supervisor import Supervisor, sweep
from wavecrew.errors import StoreError

STOPPED: Final = "stopped"
_TRIES: Final = 3
_SWEEP_AGAIN_SECONDS: Final = 1.0


class SideJobs:
    """The jobs of one coordinator that are no attempts."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._waiting: dict[Path, asyncio.Future[None]] = {}

    async def run(self, folder: Path, job: Job) -> Result:
        """Carry a job out, or take what became of it. One that dies without a result is done again, a few times; then
        the cause of its failure is `lost`. Raises OSError when it cannot be started."""
        for _ in range(_TRIES):
            fresh = self._make_room(folder)
            if fresh:
                _write(folder, job)
            if fresh or fate_of(folder) is Fate.ALIVE:
                await self._carried_out(folder, fresh=fresh)
            result = _result(folder)
            if result is not None:
                return result
            while not await sweep(folder):
                await asyncio.sleep(_SWEEP_AGAIN_SECONDS)
        return Result(-1, "lost", job.steps[0].title, "it died without leaving a result", 0)

    def _make_room(self, folder: Path) -> bool:
        """Whether the job has to be started: there was none, or what there was has come to nothing."""
        if not folder.exists():
            return True
        fate, result = fate_of(folder), _result(folder)
        if fate is Fate.ALIVE or (result is not None and result.cause != STOPPED):
            return False
        shutil.rmtree(folder)
        return True

    async def _carried_out(self, folder: Path, *, fresh: bool) -> None:
        self._waiting[folder] = asyncio.get_running_loop().create_future()
        try:
            if fresh:
                self._supervisor.start(folder)
            else:
                self._supervisor.adopt(folder)
            await self._waiting[folder]
        finally:
            del self._waiting[folder]

    def is_at_work(self, folder: Path) -> bool:
        """Whether this job is being carried out, by whoever began it."""
        return (folder / "job.json").exists() and fate_of(folder) is Fate.ALIVE

    async def end(self, beside: Path, *, but: Path | None = None) -> None:
        """End what an earlier coordinator has left at work beside an attempt, `but` this job, and wait until it is
        gone."""
        made = {file.parent for file in (*beside.glob("*/env.json"), *beside.glob("*/job.json"))}
        for folder in made - self._waiting.keys() - {but}:
            if fate_of(folder) is Fate.ALIVE:
                over = asyncio.create_task(self._carried_out(folder, fresh=False))
                await asyncio.sleep(0)  # it is watched now
                self._supervisor.stop(folder)
                await over
            if fate_of(folder) is Fate.LOST:
                while not await sweep(folder):
                    await asyncio.sleep(_SWEEP_AGAIN_SECONDS)

    def has_ended(self, folder: Path) -> bool:
        """Tell of the end of something. Whether it was one of these jobs."""
        waiting = self._waiting.get(folder)
        if waiting is None:
            return False
        if not waiting.done():
            waiting.set_result(None)
        return True

    def stop(self, beside: Path) -> None:
        """End the jobs beside this attempt."""
        for folder in self._waiting:
            if folder.parent == beside:
                self._supervisor.stop(folder)


def _write(folder: Path, job: Job) -> None:
    """All of a job or nothing of it: half of it would keep the environment on the disk."""
    try:
        write_job(folder, job)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _result(folder: Path) -> Result | None:
    try:
        return read_result(folder)
    except StoreError:
        return None  # torn: it counts as lost
