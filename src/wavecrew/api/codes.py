"""Every code that wavecrew prints, with its title and an explanation.

What it does: joins the findings of checks and reading with the errors of the error tree.
What it does not know: where they occur.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cache

from wavecrew import errors
from wavecrew.plans.check_codes import CHECK_CODES
from wavecrew.plans.codes import READING_CODES


@cache
def explanations() -> Mapping[str, tuple[str, str]]:
    """Code -> (title, text), in order of the codes."""
    found = {error.code: _told(error) for error in _tree(errors.WavecrewError)}
    found.update({code: (title, f"Found while reading documents: {title}.") for code, title in READING_CODES.items()})
    found.update({code: (title, text) for code, (title, text) in CHECK_CODES.items()})
    return dict(sorted(found.items()))


def _tree(error: type[errors.WavecrewError]) -> Iterator[type[errors.WavecrewError]]:
    yield error
    for below in error.__subclasses__():
        yield from _tree(below)


def _told(error: type[errors.WavecrewError]) -> tuple[str, str]:
    text = inspect.getdoc(error) or error.__name__
    title = text.split(". ")[0].split(".\n")[0].rstrip(".")
    return title, f"{text}\n\nThe exit code is {error.exit_code}."
