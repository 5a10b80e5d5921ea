"""Whether the copy of a file in a worktree lacks what has come into the result since.

What it does: asks git which of some files were changed in the result and not in the worktree, and says how the agent
there brings that in, so that its own change comes on top instead of into a conflict.
What it does not know: locks, and when it is asked (`gate_calls` asks after a wait).
"""

from __future__ import annotations

import os
from collections.abc import Callable

from wavecrew.core.git import Git
from wavecrew.core.git_calls import printable
from wavecrew.core.worktrees import Place


def lacking(git: Git, place: Place, branch: str) -> Callable[[tuple[str, ...]], str]:
    """What tells for files and folders of a place, named from the workspace, whether `branch` has something newer:
    a sentence for the agent, or nothing. Patterns are passed over. It raises GitError."""
    start = f"{place.prefix}/" if place.prefix else ""

    def look(names: tuple[str, ...]) -> str:
        wanted = [f":(top,literal){start}{name.rstrip('/')}" for name in names]
        answer = git.run("diff", "--name-only", "-z", f"HEAD...{branch}", "--", *wanted, cwd=place.folder)
        newer = [printable(os.fsdecode(name)) for name in answer.out.split(b"\0") if name]
        if not newer:
            return ""
        return (
            f"{', '.join(newer)} was changed by others meanwhile, and your copy does not have that. Commit what you"
            f" have, run `git merge {branch}`, read it again, and make your change to what is in it now."
        )

    return look
