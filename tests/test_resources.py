"""Claims and when they meet: reading them, judging two against brute force, and finding the ones in the way."""

from __future__ import annotations

import re
from functools import cache
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecrew.errors import InvalidValueError
from wavecrew.models.resources import (
    MAX_GLOB_LENGTH,
    MAX_LENGTH,
    Claim,
    ClaimIndex,
    Resource,
    ResourceKind,
    literal_prefix,
    meets,
    parse_resource,
)

FILE, TREE, GLOB, NAME = ResourceKind.FILE, ResourceKind.TREE, ResourceKind.GLOB, ResourceKind.NAME


def met(a: str, b: str) -> bool:
    """Whether two claims as people write them meet; it must not matter which comes first."""
    found = meets(parse_resource(a), parse_resource(b))
    assert meets(parse_resource(b), parse_resource(a)) == found
    return found


# -- reading ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "key"),
    [
        ("src/a.py", FILE, "src/a.py"),
        ("./src//./a.py", FILE, "src/a.py"),
        ("src/x/../a.py", FILE, "src/a.py"),
        ("a b/ç.txt", FILE, "a b/ç.txt"),
        ("src/", TREE, "src"),
        ("src/.", TREE, "src"),
        ("src/x/..", TREE, "src"),
        (".", TREE, ""),
        ("./", TREE, ""),
        ("a/..", TREE, ""),
        ("src/*.py", GLOB, "src/*.py"),
        ("src/**/x", GLOB, "src/**/x"),
        ("./src/?", GLOB, "src/?"),
        ("src/[ab]", GLOB, "src/[ab]"),
        ("src/*/", GLOB, "src/*/**"),
        ("port:8080", NAME, "port:8080"),
        ("git:index", NAME, "git:index"),
        ("slot:gpu/2", NAME, "slot:gpu/2"),
        ("name:*", NAME, "name:*"),
        ("port:", FILE, "port:"),
        ("other:8080", FILE, "other:8080"),
        ("c:file", FILE, "c:file"),
        ("...", FILE, "..."),
    ],
)
def test_claims_as_people_write_them(text: str, kind: ResourceKind, key: str) -> None:
    assert parse_resource(text) == Resource(kind, key)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a resource needs a name"),
        ("  ", "a resource needs a name"),
        ("/etc/passwd", "'/etc/passwd' is not a path inside the workspace"),
        ("~/x", "'~/x' is not a path inside the workspace"),
        ("~root/x", "'~root/x' is not a path inside the workspace"),
        ("c:/x", "'c:/x' is not a path inside the workspace"),
        ("C:\\x", "'C:\\\\x' is not a path inside the workspace"),
        ("..", "'..' leaves the workspace"),
        ("a/../../b", "'a/../../b' leaves the workspace"),
        ("a\0b", "control characters in the resource 'a\\x00b'"),
        ("a\nb", "control characters in the resource 'a\\nb'"),
        ("port:80\x1b", "control characters in the resource 'port:80\\x1b'"),
        ("x" * (MAX_LENGTH + 1), f"a resource of {MAX_LENGTH + 1} characters is too long (at most {MAX_LENGTH})"),
        ("*" * (MAX_GLOB_LENGTH + 1), f"a pattern of {MAX_GLOB_LENGTH + 1} characters is too long"),
    ],
)
def test_what_cannot_be_claimed_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        parse_resource(text)
    assert refused.value.reason.startswith(reason)


def test_claims_of_the_greatest_length_are_read() -> None:
    assert parse_resource("x" * MAX_LENGTH).kind is FILE
    assert parse_resource("?" * MAX_GLOB_LENGTH).kind is GLOB


_path_text = st.text("ab./*?[]-!:~\\é", max_size=10)


@given(_path_text)
def test_reading_is_total_and_its_result_is_read_as_itself(text: str) -> None:
    try:
        resource = parse_resource(text)
    except InvalidValueError:
        return
    again = parse_resource(str(resource) or ".") if str(resource) != "/" else parse_resource(".")
    assert again == resource
    if resource.kind is not NAME:
        assert ".." not in resource.key.split("/")
        assert not resource.key.startswith(("/", "./"))
        assert "//" not in resource.key


# -- do two meet? -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("src/a.py", "./src/../src/a.py"),
        ("src/", "src/a.py"),
        ("src/", "src"),
        ("src/", "src/api/"),
        (".", "src/a.py"),
        (".", "src/"),
        (".", "**"),
        ("src/*.py", "src/a.py"),
        ("src/*.py", "src/"),
        ("src/**", "src/a/b/c.py"),
        ("**/a.py", "a.py"),
        ("**/*.py", "src/api/a.py"),
        ("src/*/x", "src/**/x"),
        ("a*", "*b"),
        ("[a-c].py", "[c-e].py"),
        ("[!a]", "[!b]"),
        ("[]]", "[!a]"),
        ("[!]]", "a"),
        ("[!]a]b", "cb"),
        ("[^]]", "a"),
        ("[a", "[a"),
        ("[!]", "[!]"),
        ("[a-]", "[x-]"),
        ("?", "[z]"),
        ("port:8080", "port:8080"),
        ("src/*/", "src/a/b/c"),
    ],
)
def test_these_can_mean_one_file(a: str, b: str) -> None:
    assert met(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("src/a.py", "src/b.py"),
        ("src/", "srcs/a.py"),
        ("src/api/", "src/app/"),
        ("src", "src/a.py"),
        ("src/*.py", "src/api/a.py"),
        ("src/*.py", "src/a.js"),
        ("src/*.py", "docs/"),
        ("**/*.py", "**/*.js"),
        ("a*", "b*"),
        ("[a-c].py", "[d-e].py"),
        ("[!a]", "[a]"),
        ("[z-a]", "z"),
        ("?", "ab"),
        ("[!]]", "[]]"),
        ("[!]]", "aa"),
        ("[a", "a"),
        ("port:8080", "port:8081"),
        ("port:8080", "*"),
        ("port:8080", "."),
        ("name:a/b", "name:a"),
    ],
)
def test_these_cannot(a: str, b: str) -> None:
    assert not met(a, b)


_LETTERS = "abc"
_SEGMENTS = [*_LETTERS, *("".join(pair) for pair in product(_LETTERS, repeat=2))]
_PATHS = ["/".join(parts) for depth in (1, 2, 3) for parts in product(_SEGMENTS, repeat=depth)]
_piece = st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]", "[b-c]"])
_segment = st.lists(_piece, min_size=1, max_size=2).map("".join)
_pattern = st.lists(st.one_of(_segment, st.just("**")), min_size=1, max_size=2).map("/".join)
_claim_text = st.tuples(_pattern, st.sampled_from(["", "", "/"])).map("".join)


@cache
def _expression(text: str) -> re.Pattern[str]:
    """What a claim means, told once more in another language. `**` is any number of segments, none included."""
    parts = [*text.removesuffix("/").split("/"), *(["**"] if text.endswith("/") else [])]
    written = ""
    for part in parts:
        if part == "**":
            written += "(?:[^/]+/)*"
        else:
            written += part.replace("*", "[^/]*").replace("?", "[^/]").replace("[!", "[^") + "/"
    return re.compile(written)


@cache
def _files(text: str) -> frozenset[str]:
    return frozenset(path for path in _PATHS if _expression(text).fullmatch(path + "/"))


@given(_claim_text, _claim_text)
def test_meeting_is_having_a_file_in_common(a: str, b: str) -> None:
    """Two segments of two characters, and one `**` each, cannot need a longer common file than those tried."""
    assert met(a, b) == bool(_files(a) & _files(b)), (a, b)


@given(_claim_text)
def test_everything_meets_itself_and_the_whole_workspace(text: str) -> None:
    assert met(text, text)
    assert met(text, ".")
    assert met(text, "**")


@given(_claim_text)
def test_a_pattern_lies_below_its_literal_prefix(text: str) -> None:
    prefix = literal_prefix(parse_resource(text).key)
    assert not set(prefix) & set("*?[")
    assert all(path == prefix or f"{path}/".startswith(f"{prefix}/" if prefix else "") for path in _files(text))


def test_the_literal_prefix_of_what_is_no_pattern_is_itself() -> None:
    assert literal_prefix("src/api/*.py") == "src/api"
    assert literal_prefix("*") == ""
    assert literal_prefix("src/a.py") == "src/a.py"


def test_hostile_patterns_are_judged_in_bounded_time() -> None:
    stars = "*a" * (MAX_GLOB_LENGTH // 2)
    assert not met(stars, "b" * MAX_GLOB_LENGTH)
    assert met("**/" * 100 + "a", "a/" * 200 + "a")


# -- shared and exclusive ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "theirs", "collide"), [(True, True, True), (True, False, True), (False, True, True), (False, False, False)]
)
def test_only_readers_get_along(mine: bool, theirs: bool, collide: bool) -> None:
    a, b, elsewhere = parse_resource("src/"), parse_resource("src/a"), parse_resource("docs/")
    assert Claim(a, mine).collides(Claim(b, theirs)) is collide
    assert not Claim(a, mine).collides(Claim(elsewhere, theirs))


def test_a_claim_is_exclusive_unless_it_says_otherwise() -> None:
    assert Claim(parse_resource("a")).exclusive


# -- many at once -----------------------------------------------------------------------------------------------

_path = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3).map("/".join)
_any_text = st.one_of(
    _path, _path.map("{}/".format), _claim_text, st.sampled_from([".", "port:1", "name:a/b", "name:a"])
)
_claims = st.lists(st.builds(Claim, _any_text.map(parse_resource), st.booleans()), max_size=3)
_owner = st.integers(0, 4)
_action: st.SearchStrategy[tuple[str, int, list[Claim]]] = st.one_of(
    st.tuples(st.just("add"), _owner, _claims), st.tuples(st.just("discard"), _owner, st.just([]))
)


@given(st.lists(_action, max_size=12), _owner, _claims)
def test_the_index_finds_exactly_what_looking_at_all_pairs_finds(
    actions: list[tuple[str, int, list[Claim]]], me: int, wanted: list[Claim]
) -> None:
    index: ClaimIndex[int] = ClaimIndex()
    held: list[tuple[int, Claim]] = []
    for what, owner, claims in actions:
        if what == "add":
            index.add(owner, claims)
            held += [(owner, claim) for claim in claims]
        else:
            index.discard(owner)
            held = [(other, claim) for other, claim in held if other != owner]
    expected = [
        (other, theirs, mine) for mine in wanted for other, theirs in held if other != me and mine.collides(theirs)
    ]
    assert sorted(index.in_the_way(me, wanted)) == sorted(expected)


def test_an_owner_who_left_is_forgotten_and_may_leave_twice() -> None:
    index: ClaimIndex[str] = ClaimIndex()
    index.add("a", [Claim(parse_resource("src/*.py")), Claim(parse_resource("src/")), Claim(parse_resource("port:1"))])
    everything = [Claim(parse_resource(".")), Claim(parse_resource("port:1"))]
    assert {owner for owner, _, _ in index.in_the_way("b", everything)} == {"a"}
    assert list(index.in_the_way("a", everything)) == []
    index.discard("a")
    index.discard("a")
    assert list(index.in_the_way("b", everything)) == []


def test_two_on_one_key_are_forgotten_one_by_one_and_what_lies_elsewhere_is_not_near() -> None:
    index: ClaimIndex[str] = ClaimIndex()
    for owner in ("a", "b"):
        index.add(owner, [Claim(parse_resource("src/x.py"), exclusive=False)])
    index.add("c", [Claim(parse_resource("docs/x.md"))])
    wanted = [Claim(parse_resource("src/"))]
    assert [owner for owner, _, _ in index.in_the_way("me", wanted)] == ["a", "b"]
    index.discard("a")
    assert [owner for owner, _, _ in index.in_the_way("me", wanted)] == ["b"]


@pytest.mark.parametrize("wanted", ["src/", "src/*", "s*/**", "."])
def test_those_who_stay_are_still_found_when_a_neighbour_leaves(wanted: str) -> None:
    index: ClaimIndex[str] = ClaimIndex()
    owners = ["a", "b", "c", "d"]
    for owner in owners:
        index.add(owner, [Claim(parse_resource(f"src/{owner}"))])
    while owners:
        assert [owner for owner, _, _ in index.in_the_way("me", [Claim(parse_resource(wanted))])] == owners
        index.discard(owners.pop(0))
    assert not list(index.in_the_way("me", [Claim(parse_resource(wanted))]))
