"""The block structure of documents, beside a full CommonMark parser as the oracle."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from wavecrew.plans.markdown import Fence, Heading, Table, Text, blocks, link_targets, plain_text, sections


def headings(text: str) -> list[tuple[int, str, int]]:
    return [(block.level, block.text, block.line) for block in blocks(text) if isinstance(block, Heading)]


def texts(text: str) -> list[str]:
    return [block.text for block in blocks(text) if isinstance(block, Text)]


def test_headings() -> None:
    assert headings("# One #\n\nTwo\n===\n\nThree\n---\n###### six\n####### seven\n#no\n") == [
        (1, "One", 1),
        (1, "Two", 3),
        (2, "Three", 6),
        (6, "six", 8),
    ]


def test_a_rule_below_a_field_is_no_underline() -> None:
    assert headings("**Depends on**: Phase 1\n---\n\nA sentence.\n---\n") == []


def test_fences_hide_what_is_in_them() -> None:
    text = "````md\n# no\n```\n# no\n````\n~~~\n# no\n~~~\n# yes\n- item\n  ```sh run\n  # no\n  ```\n"
    assert headings(text) == [(1, "yes", 9)]
    fences = [block for block in blocks(text) if isinstance(block, Fence)]
    assert [(fence.info, fence.line) for fence in fences] == [("md", 1), ("", 6), ("sh run", 11)]
    assert fences[2].text == "# no\n"


def test_an_open_fence_goes_to_the_end() -> None:
    assert headings("```\n# no\n") == []


def test_comments_are_left_out() -> None:
    assert headings("<!-- # no\n# no\n-->\n# yes\n") == [(1, "yes", 4)]


def test_lists_know_their_depth() -> None:
    row = [
        block
        for block in blocks("- a\n  wrapped\n  - b\n    - c\n- d\n\npara\n1. e\n2. f\n")
        if isinstance(block, Text)
    ]
    assert [(block.text, block.depth, block.item, block.opens) for block in row] == [
        ("a", 1, True, True),
        ("wrapped", 1, False, False),
        ("b", 2, True, True),
        ("c", 3, True, True),
        ("d", 1, True, True),
        ("para", 0, False, True),
        ("e", 1, True, True),
        ("f", 1, True, True),
    ]


def test_tables() -> None:
    (table,) = (
        block
        for block in blocks("| a | b |\n|---|:-:|\n| 1 | x \\| y |\n| 2 |\n\ntext | no table\n")
        if isinstance(block, Table)
    )
    assert table.header == ("a", "b")
    assert [(row.cells, row.line) for row in table.rows] == [(("1", "x | y"), 3), (("2",), 4)]


def test_quotes_are_read() -> None:
    assert texts("> **Depends on**: x\n>\n> - y\n") == ["**Depends on**: x", "y"]


def test_sections_end_where_the_next_of_their_level_begins() -> None:
    row = blocks("# A\n## B\ntext\n## C\n# D\nend")
    assert [(section.heading.text, section.heading.line, section.last_line) for section in sections(row, 6)] == [
        ("A", 1, 4),
        ("B", 2, 3),
        ("C", 4, 4),
        ("D", 5, 6),
    ]


def test_plain_text() -> None:
    assert plain_text("- [x]") == "- [x]"
    assert plain_text("[x] **bold** _thin_ `code_name` [link](to.md) ~~gone~~") == "bold thin code_name link"
    assert link_targets("[a](b.md) and [c](d)") == ("b.md", "d")


# -- beside the oracle

_LINES = st.sampled_from(
    [
        "# One",
        "## Two",
        "text",
        "more **text**",
        "- item",
        "  - inner",
        "1. first",
        "2. second",
        "> quote",
        "```",
        "```sh run",
        "~~~",
        "---",
        "===",
        "",
        "",
        "    code",
        "| a | b |",
        "|---|---|",
        "* star",
        "  wrapped",
        "***",
        "### ",
    ]
)


def _oracle(text: str) -> tuple[list[tuple[int, str]], list[str]]:
    parser = MarkdownIt("commonmark").enable("table").disable(["inline", "reference"])
    tokens = parser.parse(text)
    found = [
        (token.map[0] + 1, following.content)
        for token, following in itertools.pairwise(tokens)
        if token.type == "heading_open" and token.map and token.markup[0] == "#"
    ]
    return found, [token.info.strip() for token in tokens if token.type == "fence"]


@settings(deadline=None, max_examples=300)
@given(st.lists(_LINES, max_size=14))
def test_hash_headings_and_fences_are_those_of_commonmark(lines: list[str]) -> None:
    text = "\n".join(lines)
    expected, fences = _oracle(text)
    assert [
        (line, content) for level, content, line in headings(text) if lines[line - 1].lstrip("> -*123.").startswith("#")
    ] == expected
    assert [block.info for block in blocks(text) if isinstance(block, Fence)] == fences


@settings(deadline=None)
@given(st.text(alphabet="#>-*+|`~ \t\n1.ab<!->:", max_size=200))
def test_every_line_keeps_its_number(text: str) -> None:
    lines = text.split("\n")
    for block in blocks(text):
        assert 1 <= block.line <= len(lines)
        if isinstance(block, Text):
            assert block.text[:20].strip() in lines[block.line - 1].expandtabs(4)
