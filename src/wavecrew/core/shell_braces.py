"""What braces make of a word: `a{b,c}` is two words.

What it does: spells the words out, as long as they are few.
What it does not know: the rest of the shell's language (`shell_words`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

_MOST_WORDS: Final = 64
_MOST_BRACES: Final = 20

Characters = list[tuple[str, bool]]
"""The characters of a word, each with whether it is quoted."""


def spelled(characters: Characters) -> list[Characters]:
    """The words that braces make of one; none where they make too many, or a range."""
    unquoted = "".join(character for character, quoted in characters if not quoted)
    if "{" not in unquoted:
        return [characters]
    if unquoted.count("{") > _MOST_BRACES or ".." in unquoted:
        return []
    spelled = list(islice(_braces(characters), _MOST_WORDS + 1))
    return spelled if len(spelled) <= _MOST_WORDS else []


def _braces(characters: Characters) -> Iterator[Characters]:
    """`a{b,c}` is two words."""
    found = _alternatives(characters)
    if found is None:
        yield characters
        return
    before, parts, after = found
    for part in parts:
        yield from _braces([*before, *part, *after])


def _alternatives(characters: Characters) -> tuple[Characters, list[Characters], Characters] | None:
    for start, one in enumerate(characters):
        if one != ("{", False):
            continue
        depth, parts, last = 0, [], start + 1
        for position in range(start, len(characters)):
            character, quoted = characters[position]
            if quoted:
                continue
            depth += {"{": 1, "}": -1}.get(character, 0)
            if depth == 1 and character == ",":
                parts.append(characters[last:position])
                last = position + 1
            if depth == 0:
                if parts:
                    return characters[:start], [*parts, characters[last:position]], characters[position + 1 :]
                break
    return None
