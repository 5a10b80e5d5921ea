"""Rows of words as sets.

What it does: lets the vocabulary of the notations be written as running text.
What it does not know: what the words are for.
"""

from __future__ import annotations


def numbered(text: str, start: int = 0) -> dict[str, str]:
    """The words of a text with their numbers as digits: `numbered("zero one")` is `{"zero": "0", "one": "1"}`."""
    return {word: str(number) for number, word in enumerate(text.split(), start)}


def words(text: str) -> frozenset[str]:
    """The words of a text, each once: `words("a b")` is `{"a", "b"}`."""
    return frozenset(text.split())
