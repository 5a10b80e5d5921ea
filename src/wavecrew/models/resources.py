"""Resources and when two of them can mean the same thing.

What it does: turns the text of a claim (`src/api/`, `src/*.py`, `port:8080`) into a key, and judges whether two keys
can touch one file. Glob against glob is exact, by walking both patterns at once.
What it does not know: the file system. Links, letter case and Unicode forms are resolved by `core.resource_keys`
before a key gets here; in a plan, keys are compared as they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, Generic, TypeVar

from wavecrew.errors import InvalidValueError

_T = TypeVar("_T")
_Owner = TypeVar("_Owner", bound=Hashable)

MAX_LENGTH: Final = 4096
MAX_GLOB_LENGTH: Final = 512  # two patterns are compared in time proportional to the product of their lengths
_GLOB_CHARACTERS: Final = frozenset("*?[")
_NAME_SCHEMES: Final = frozenset({"git", "port", "name", "slot"})


class ResourceKind(StrEnum):
    """What a key stands for: one file, a folder with all below it, a pattern, or a name that is no path."""

    FILE = "file"
    TREE = "tree"
    GLOB = "glob"
    NAME = "name"


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """A normalised claim target. `key` has no leading `./`, no `..` and no trailing slash; `""` is the workspace."""

    kind: ResourceKind
    key: str

    def __str__(self) -> str:
        return f"{self.key or '.'}/" if self.kind is ResourceKind.TREE else self.key

    @property
    def pool(self) -> tuple[str, int] | None:
        """For a counted name such as `slot:gpu/2`: the name of the pool and how many may have a place in it."""
        if self.kind is not ResourceKind.NAME or not self.key.startswith("slot:"):
            return None
        name, slash, places = self.key.partition("/")
        return name, int(places) if slash else 1


@lru_cache(maxsize=262_144)
def parse_resource(text: str) -> Resource:
    """Read a claim as people write it: `src/a.py` (file), `src/` (tree), `src/**/*.py` (glob), `port:8080` (name).

    Raises InvalidValueError for what cannot be a resource inside the workspace: empty or over-long text, control
    characters, absolute paths, home folders, drive letters, and `..` that climbs out.
    """
    _refuse_unreadable(text)
    scheme, colon, rest = text.partition(":")
    if colon and scheme in _NAME_SCHEMES and rest:
        _refuse_odd_places(text)
        return Resource(ResourceKind.NAME, text)
    parts = _inside(text)
    key = "/".join(parts)
    if any(character in _GLOB_CHARACTERS for character in key):
        if len(key) > MAX_GLOB_LENGTH:
            raise InvalidValueError(f"a pattern of {len(key)} characters is too long (at most {MAX_GLOB_LENGTH})")
        if text.endswith("/"):
            key += "/**"
        return Resource(ResourceKind.GLOB, key)
    if text.endswith(("/", "/.", "/..")) or key == "":
        return Resource(ResourceKind.TREE, key)
    return Resource(ResourceKind.FILE, key)


def _refuse_unreadable(text: str) -> None:
    if not text.strip():
        raise InvalidValueError("a resource needs a name", fix="write a path such as src/app.py, or src/ for a folder")
    if len(text) > MAX_LENGTH:
        raise InvalidValueError(f"a resource of {len(text)} characters is too long (at most {MAX_LENGTH})")
    if not text.isprintable():
        raise InvalidValueError(
            f"control characters in the resource {text!r}", fix="remove the characters that cannot be seen"
        )


def _refuse_odd_places(text: str) -> None:
    """A counted name is `slot:NAME` or `slot:NAME/PLACES`."""
    name, slash, places = text.partition("/")
    if not name.startswith("slot:"):
        return
    if name == "slot:":
        raise InvalidValueError(f"{text!r} has no name", fix="write it as slot:gpu/2")
    if slash and not (places.isascii() and places.isdigit() and int(places) > 0):
        raise InvalidValueError(f"{text!r} does not tell how many places there are", fix="write it as slot:gpu/2")


def _inside(text: str) -> list[str]:
    """The segments of a path that stays inside the workspace."""
    drive = len(text) > 2 and text[1] == ":" and text[2] in "/\\"
    if text.startswith(("/", "~")) or drive:
        raise InvalidValueError(
            f"{text!r} is not a path inside the workspace", fix="write it relative to the workspace folder"
        )
    parts: list[str] = []
    for segment in text.split("/"):
        if segment == "..":
            if not parts:
                raise InvalidValueError(f"{text!r} leaves the workspace", fix="name a path below the workspace folder")
            parts.pop()
        elif segment not in ("", "."):
            parts.append(segment)
    return parts


# -- do two keys meet? ------------------------------------------------------------------------------------------


def meets(a: Resource, b: Resource) -> bool:
    """Whether some file (or name) belongs to both. Symmetric; exact for globs made of `*`, `?`, `[..]` and `**`."""
    if a.kind is ResourceKind.NAME or b.kind is ResourceKind.NAME:
        return a == b
    if a.kind is ResourceKind.GLOB or b.kind is ResourceKind.GLOB:
        return _globs_meet(_pattern(a), _pattern(b))
    if a.key == b.key:
        return True
    return _covers(a, b) or _covers(b, a)


def _covers(tree: Resource, other: Resource) -> bool:
    return tree.kind is ResourceKind.TREE and (tree.key == "" or other.key.startswith(tree.key + "/"))


def _pattern(resource: Resource) -> str:
    """A glob that means the same; in files and trees the pattern characters are taken literally (there are none)."""
    if resource.kind is ResourceKind.TREE:
        return f"{resource.key}/**" if resource.key else "**"
    return resource.key


@lru_cache(maxsize=65536)
def _globs_meet(a: str, b: str) -> bool:
    return _share_a_word(a.split("/"), b.split("/"), star="**", match=_segments_meet)


@lru_cache(maxsize=65536)
def _segments_meet(a: str, b: str) -> bool:
    return a == b or _share_a_word(_tokens(a), _tokens(b), star=_ANY_RUN, match=_characters_meet)


def _share_a_word(a: Sequence[_T], b: Sequence[_T], *, star: _T, match: Callable[[_T, _T], bool]) -> bool:
    """Whether two rows of tokens, in which `star` stands for any run of words, can spell the same. O(len a * len b).

    `reach[j]` tells whether the part of `a` read so far and `b[:j]` have a common spelling.
    """
    reach = [True]
    for other in b:
        reach.append(reach[-1] and other == star)
    for token in a:
        row = [reach[0] and token == star]
        for j, other in enumerate(b):
            if star in (token, other):
                row.append(reach[j + 1] or row[j])
            else:
                row.append(reach[j] and match(token, other))
        reach = row
    return reach[-1]


@dataclass(frozen=True, slots=True)
class _Characters:
    """A set of characters that one place of a segment may hold; `negated` means every other one."""

    members: frozenset[str]
    negated: bool = False


_ANY_RUN: Final = _Characters(frozenset({""}))  # the star; no class of characters can hold the empty text
_ANY_ONE: Final = _Characters(frozenset(), negated=True)


def _characters_meet(a: _Characters, b: _Characters) -> bool:
    if a.negated and b.negated:
        return True  # two exclusion lists never exclude every character
    if a.negated:
        return bool(b.members - a.members)
    if b.negated:
        return bool(a.members - b.members)
    return bool(a.members & b.members)


def _tokens(segment: str) -> list[_Characters]:
    tokens: list[_Characters] = []
    position = 0
    while position < len(segment):
        character = segment[position]
        first = position + 1 + segment.startswith(("[!", "[^"), position)  # a bracket in first place is a member
        end = segment.find("]", first + 1) if character == "[" else -1
        if end > 0:
            tokens.append(_character_class(segment[position + 1 : end]))
            position = end + 1
            continue
        if character == "*":
            tokens.append(_ANY_RUN)
        else:
            tokens.append(_ANY_ONE if character == "?" else _Characters(frozenset(character)))
        position += 1
    return tokens


def _character_class(body: str) -> _Characters:
    negated = body[0] in "!^"
    body = body[1:] if negated else body
    members: set[str] = set()
    position = 0
    while position < len(body):
        if position + 2 < len(body) and body[position + 1] == "-":
            members.update(map(chr, range(ord(body[position]), ord(body[position + 2]) + 1)))
            position += 3
        else:
            members.add(body[position])
            position += 1
    return _Characters(frozenset(members), negated)


# -- many claims at once ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """A wish for one resource. Two shared claims get along; an exclusive one tolerates nobody beside it."""

    resource: Resource
    exclusive: bool = True

    def places(self, other: Claim) -> int:
        """How many places two claims on the same pool agree on: the smaller number."""
        return min(pool[1] for pool in (self.resource.pool, other.resource.pool) if pool is not None)

    def collides(self, other: Claim) -> bool:
        """Whether these two cannot be held at the same time by different owners. Places of a pool are counted
        elsewhere (`full`); two alone collide only in a pool of one."""
        if self.resource.pool is not None and other.resource.pool is not None:
            return self.resource.pool[0] == other.resource.pool[0] and self.places(other) == 1
        return (self.exclusive or other.exclusive) and meets(self.resource, other.resource)


def full(mine: Claim, others: Iterable[tuple[_Owner, Claim]]) -> bool:
    """Whether the pool that a claim wants a place in has none left beside some other owners."""
    found = list(others)
    return bool(found) and len({owner for owner, _ in found}) >= min(mine.places(claim) for _, claim in found)


class ClaimIndex(Generic[_Owner]):
    """Who holds what, so that a new claim finds those in its way without looking at all of them.

    Files, names and trees are found by their key and its parents; globs, and trees asked for by a newcomer, look at
    what lies below their literal prefix. An owner never stands in its own way.
    """

    def __init__(self) -> None:
        self._by_key: dict[str, list[tuple[_Owner, Claim]]] = {}
        self._below: dict[str, int] = {}  # how many claims lie at or below a folder: lets a tree look only if needed
        self._globs: list[tuple[_Owner, Claim]] = []
        self._claims: dict[_Owner, tuple[Claim, ...]] = {}

    def add(self, owner: _Owner, claims: Iterable[Claim]) -> None:
        """Enter claims of an owner, beside those it already has."""
        added = tuple(claims)
        self._claims[owner] = self._claims.get(owner, ()) + added
        for claim in added:
            if claim.resource.kind is ResourceKind.GLOB:
                self._globs.append((owner, claim))
            else:
                key = _place(claim.resource)
                self._by_key.setdefault(key, []).append((owner, claim))
                for folder in _folders(key):
                    self._below[folder] = self._below.get(folder, 0) + 1

    def discard(self, owner: _Owner) -> None:
        """Forget an owner and all its claims; nothing happens if it has none."""
        for claim in self._claims.pop(owner, ()):
            key = _place(claim.resource)
            if claim.resource.kind is ResourceKind.GLOB:
                self._globs.remove((owner, claim))
                continue
            self._by_key[key].remove((owner, claim))
            if not self._by_key[key]:
                del self._by_key[key]
            for folder in _folders(key):
                self._below[folder] -= 1

    def in_the_way(self, owner: _Owner, claims: Iterable[Claim]) -> Iterator[tuple[_Owner, Claim, Claim]]:
        """Each obstacle as (other owner, its claim, my claim)."""
        for mine in claims:
            near = ((other, theirs) for other, theirs in self._near(mine.resource) if other != owner)
            if mine.resource.pool is None:
                yield from ((other, theirs, mine) for other, theirs in near if mine.collides(theirs))
                continue
            beside = [(other, theirs) for other, theirs in near if theirs.resource.pool is not None]
            if full(mine, beside):
                yield from ((other, theirs, mine) for other, theirs in beside)

    def _near(self, resource: Resource) -> Iterator[tuple[_Owner, Claim]]:
        yield from self._globs
        key = resource.key
        if resource.kind is ResourceKind.GLOB:
            key = literal_prefix(key)
        elif resource.kind is ResourceKind.NAME:
            yield from self._by_key.get(_place(resource), ())
            return
        for folder in _folders(key):
            yield from self._by_key.get(folder, ())
        yield from self._by_key.get(key, ())
        if resource.kind is not ResourceKind.FILE and self._below.get(key, 0):
            start = f"{key}/" if key else ""
            for other, entries in self._by_key.items():
                if other != key and other.startswith(start):
                    yield from entries


def _place(resource: Resource) -> str:
    """What a claim is filed under."""
    return resource.key if resource.pool is None else resource.pool[0]


def literal_prefix(glob: str) -> str:
    """The folder that holds everything a glob can match: `src/api/*.py` -> `src/api`."""
    parts = glob.split("/")
    for position, part in enumerate(parts):
        if any(character in _GLOB_CHARACTERS for character in part):
            return "/".join(parts[:position])
    return glob


def _folders(key: str) -> Iterator[str]:
    """Every folder above a key, the workspace (`""`) included, nearest first."""
    while key:
        key = key.rpartition("/")[0]
        yield key
