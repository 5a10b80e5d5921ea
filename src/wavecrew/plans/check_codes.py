"""What each finding of `check` means, at more length than one line allows.

What it does: holds one explanation per code, with an example and a way out, for `wavecrew explain WC104`.
What it does not know: how findings are made (`checks` does that), and codes of other parts of wavecrew.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Explanation(NamedTuple):
    """A title for lists, and the text that `explain` prints."""

    title: str
    text: str


CHECK_CODES: Final[Mapping[str, Explanation]] = MappingProxyType(
    {
        "WC101": Explanation(
            "two phases have the same id",
            """\
An id is how other phases, the history and the commands name a phase, so it may
be used once in a plan.

Example:  plan/04-html.md and plan/04-html-old.md both have the id 04.
Way out:  give one of them another id, or move the old document out of the plan.""",
        ),
        "WC102": Explanation(
            "a dependency that does not exist",
            """\
A phase names something it needs, but no phase of the plan has that id or name.
It could never start, so the plan is refused.

Example:  `needs: [reader, html-writer]`, and there is no phase html-writer.
Way out:  correct the id (the finding suggests the nearest one), add the missing
          phase, or remove the dependency if the thing exists already.""",
        ),
        "WC103": Explanation(
            "a phase depends on itself",
            """\
A phase that waits for its own end never starts.

Example:  phase 05 says `needs: [04, 05]`.
Way out:  remove the phase's own id from its dependencies. A range such as 01-05
          is a usual cause: write 01-04.""",
        ),
        "WC104": Explanation(
            "phases wait for each other",
            """\
Following the dependencies leads back to where one started, so none of the
phases in the ring can ever be the first. The finding shows one shortest ring;
after it is broken, another may come to light.

Example:  03 needs 05, 05 needs 04, 04 needs 03.
Way out:  remove the dependency that is not really needed. If two phases do need
          a piece of each other, cut that piece out as a phase that runs first.""",
        ),
        "WC105": Explanation(
            "phases want one resource and nothing orders them",
            """\
Two phases write the same file (or one reads what the other writes), and neither
depends on the other. Nothing breaks: wavecrew lets them take turns. But who
goes first is then decided by the scheduler, and the wait makes the run longer.

Example:  03 and 04 both write src/registry.py.
Way out:  say the order (`needs: [03]` in 04) if it matters, or split the file
          so that each phase has its own. It may also stay as it is.""",
        ),
        "WC106": Explanation(
            "a resource that cannot be claimed",
            """\
Outputs, reads and locks are paths inside the workspace, patterns such as
src/*.py, or names such as port:8080. Absolute paths, home folders and paths
that climb out with .. are refused, because nobody could guard them.

Example:  `writes: [/etc/hosts, ../other/file.py]`
Way out:  write the path relative to the workspace folder, or claim a name, such
          as name:hosts-file, for something that lies outside.""",
        ),
        "WC107": Explanation(
            "an agent that is not known",
            """\
A phase asks for an agent by a name that no installed agent has.

Example:  `agent: cluade`
Way out:  correct the name, install the package that brings the agent, or remove
          the line to use the agent of the configuration.""",
        ),
        "WC108": Explanation(
            "a phase that declares nothing it makes",
            """\
A phase counts as completed when its outputs exist and its checks pass. With
neither outputs nor checks only the agent's own word is left, and nothing can be
locked for it.

Example:  a phase with a task in words and no list of files.
Way out:  list the files it writes, or add a check such as `python -m pytest`.""",
        ),
    }
)
