"""The report as one HTML file: what stands in it, that it needs nobody, and that no foreign word can do anything."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report_stories import ORDINARY, VECTORS, big_run, hostile_report, report, steering
from run_stories import T0, bad_run, end, good_run, held_run, histories, opening, phase, start
from wavecrew.models import events as ev
from wavecrew.models.events import Event
from wavecrew.views.report_compare import compare
from wavecrew.views.report_graph import picture_of, svg_of
from wavecrew.views.report_html import html_of
from wavecrew.views.report_picture import shorter
from wavecrew.views.report_style import DARK, LIGHT, SCRIPT

_VOID = {"meta", "input"}


@dataclass
class _Page(HTMLParser):
    """A page as a browser's parser sees it: elements with attributes, texts by element, and whether all are closed."""

    elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._end_of_cells(tag in ("td", "th", "tr"), tag == "tr")
        self.elements.append((tag, tuple(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))

    def _end_of_cells(self, cell: bool, row: bool) -> None:
        """Cells and rows end where the next one begins, or the part of the table that they are in ends."""
        if cell and self.open[-1] in ("td", "th"):
            self.open.pop()
        if row and self.open[-1] == "tr":
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        self._end_of_cells(tag in ("tr", "tbody"), tag == "tbody")
        if not self.open or self.open.pop() != tag:
            self.odd.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def handle_comment(self, data: str) -> None:
        self.odd.append(f"<!--{data}")

    def handle_pi(self, data: str) -> None:
        self.odd.append(f"<?{data}")

    def unknown_decl(self, data: str) -> None:
        self.odd.append(f"<![{data}")

    @property
    def words(self) -> str:
        return " ".join(" ".join(text for tag, text in self.texts if tag not in ("script", "style")).split())


def page(html: str) -> _Page:
    found = _Page()
    found.feed(html)
    found.close()
    assert found.open == []
    assert found.odd == []
    return found


def shapes(found: _Page) -> set[tuple[str, tuple[str, ...]]]:
    """Which elements there are, with the names of their attributes; titles come and go with the length of a text."""
    return {(tag, tuple(name for name, _ in attrs if name != "title")) for tag, attrs in found.elements}


# -- nothing foreign does anything --------------------------------------------------------------------------------


def test_there_are_more_than_fifty_ways_to_attack() -> None:
    assert len(set(VECTORS)) >= 75


@pytest.mark.parametrize("words", VECTORS)
def test_no_foreign_word_becomes_an_element_or_steers(words: str) -> None:
    html = html_of(hostile_report(words))
    found = page(html)
    assert shapes(found) <= shapes(page(html_of(hostile_report(ORDINARY)))) | {("bdi", ())}
    assert steering(html) == []
    html.encode()
    for tag, attrs in found.elements:
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "srcdoc", "style", "action", "formaction", "data", "xlink:href"), (tag, name)
            if name == "href":
                assert re.fullmatch(r"#[\w-]+", value or ""), value
    assert [text for tag, text in found.texts if tag == "script"] == [SCRIPT]


@settings(max_examples=40, deadline=None)
@given(histories())
def test_any_history_makes_a_sound_page(events: list[object]) -> None:
    known = report(events)  # type: ignore[arg-type]
    html = html_of(known, compare(known, known))
    page(html)
    assert steering(html) == []


def test_foreign_words_are_seen_as_they_are() -> None:
    seen = page(html_of(hostile_report("<b>&amp;</b>"))).words
    assert "<b>&amp;</b>: failed" in seen
    assert "1<b>&amp;</b>" in seen


# -- it needs nobody ----------------------------------------------------------------------------------------------


def test_the_policy_allows_the_style_and_the_script_of_this_very_page_and_nothing_else() -> None:
    html = html_of(report(good_run()))
    policy = next(
        dict(attrs)["content"] or ""
        for tag, attrs in page(html).elements
        if tag == "meta" and ("http-equiv", "Content-Security-Policy") in attrs
    )
    rules = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for rule, tag in (("style-src", "style"), ("script-src", "script")):
        texts = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert rules[rule] == f"'sha256-{digests[0]}'"
        assert len(digests) == 1
    assert "unsafe" not in policy
    assert "*" not in policy


@pytest.mark.parametrize("events", [good_run(), bad_run(), held_run(), big_run(60)])
def test_it_names_no_address(events: list[object]) -> None:
    html = html_of(report(events))  # type: ignore[arg-type]
    assert re.findall(r"(?:https?:)?//[\w.]", html.replace("// ", "")) == []
    assert "@import" not in html
    assert "url(" not in html.replace("url(#", "")


def test_every_link_and_label_leads_somewhere() -> None:
    found = page(html_of(report(big_run(60))))
    ids = [value for _, attrs in found.elements for name, value in attrs if name == "id"]
    assert [name for name, number in Counter(ids).items() if number > 1] == []
    for _, attrs in found.elements:
        for name, value in attrs:
            if name in ("href", "for", "aria-labelledby"):
                assert set((value or "").removeprefix("#").split()) <= set(ids)
    html = html_of(report(big_run(60)))
    assert set(re.findall(r"url\(#([\w-]+)\)", html)) <= set(ids)


# -- what stands in it ----------------------------------------------------------------------------------------------


def headings(html: str) -> list[str]:
    found = page(html)
    return [text for tag, text in found.texts if tag == "h2"]


def test_the_sections_of_a_good_run() -> None:
    html = html_of(report(good_run()))
    assert headings(html) == [
        "Where the time went",
        "What would have made it faster",
        "Time line",
        "Graph",
        "Phases",
        "Attempts",
        "Waits",
        "On record",
        "Proof of the work",
    ]
    seen = page(html).words
    assert "split minitable/registry.py, so that nobody waits for it 21.0s 2.0s (9%)" in seen
    assert "One more agent (4 in all): no gain." in seen
    assert "cost unknown tokens unknown" in seen
    assert "waited for minitable/registry.py, which the phase before it held" in seen


def test_the_sections_of_a_run_that_failed_with_another_beside_it() -> None:
    known = report(bad_run(), logs={"05": "first line\nlast line <x>"})
    html = html_of(known, compare(report(good_run()), known))
    assert {"Needs a look", "Compared with another run", "Tried again"} <= set(headings(html))
    seen = page(html).words
    assert "failed 05 stats check: exit code 1 from: python -m unittest 1 attempt" in seen
    assert "first line last line <x>" in seen
    assert "2 phases blocked by 05 : 09 bench, 10 accept" in seen
    assert "03 markdown was waived by ann on 2023-11-14 22:13:23Z: done by hand" in seen
    assert "the run did not succeed" in seen
    assert "-8.0s" in seen


def test_phases_that_are_out_of_date_are_told() -> None:
    events = [*opening(phase("a")), start(0, "a"), end(1, "a"), ev.RunFinished(at=T0 + 2, edited=("a",))]
    assert "OUT OF DATE: a was edited while the run was at work" in page(html_of(report(events))).words


def test_time_is_drawn_with_waits_for_locks_and_for_people() -> None:
    html = html_of(report(big_run(60)))
    for kind in ("chain", "other", "vain", "lock", "people"):
        assert f"class=f-{kind} x=" in html, kind
    for place, wide in re.findall(r"<rect class=f-\w+ x=([\d.]+)% width=([\d.]+)%", html):
        assert 0 <= float(place) <= 100.0
        assert float(place) + float(wide) <= 100.6


def test_unknown_is_never_zero() -> None:
    html = html_of(report(held_run(), alive=True))
    assert "0.75 usd" in html
    assert "+ unknown of 2 attempts" in page(html).words
    assert "0.00 usd" not in html


def test_a_run_of_which_nothing_was_started_and_an_empty_plan() -> None:
    assert "No phase has been started." in page(html_of(report(opening(phase("a"))))).words
    assert "The plan has no phases." in page(html_of(report(opening()))).words


def test_light_and_dark_know_the_same_colours_and_all_that_are_used() -> None:
    light, dark = (_colours(part) for part in (LIGHT, DARK))
    assert light.keys() == dark.keys()
    used = set(re.findall(r"var\(--(\w+)\)", html_of(report(bad_run()))))
    assert used <= light.keys() | {"now", "line", "thick"}


def _colours(text: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+):(#\w+)", text))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_words_can_be_read_on_their_grounds(theme: str) -> None:
    colours = _colours(theme)
    for ground in ("bg", "band"):
        for words in ("text", "soft", "key", "done", "fail", "work", "wait", "clash"):
            assert _contrast(colours[words], colours[ground]) >= 4.5, (words, ground)


def _contrast(one: str, other: str) -> float:
    bright, dim = sorted((_light(one), _light(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _light(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_page_of_two_hundred_phases_has_them_all_and_a_bearable_size() -> None:
    html = html_of(report(big_run(200, good=True)))
    assert len(html.encode()) < 600_000
    seen = page(html).words
    assert all(f"{number:03} " in seen for number in range(1, 201))


def test_a_page_of_sixty_phases_weighs_less_than_a_hundred_kilobytes() -> None:
    assert len(html_of(report(big_run(60))).encode()) < 100_000


# -- the graph of the page --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [good_run(), bad_run(), big_run(60, seed=2)])
def test_the_graph_of_the_page_shows_what_the_file_shows(events: list[Event]) -> None:
    known = report(events)
    file, part = svg_of(known), "\n".join(picture_of(known).parts())
    title, about, *texts = re.findall(r"<text[^>]*>([^<]+)</text>", file)
    assert re.findall(r"<text[^>]*>([^<]+)</text>", part) == texts, (title, about)
    assert len(re.findall(r"<use href=#g\d />", part)) == len(known.phases)
    drawn, joined = (text.split('<g transform="translate(26')[0] for text in (file, part))  # without the legend
    for kind in ("edge", "edge key", "tip", "tip key", "link"):
        lines = re.findall(f'<path class="{kind}" (?:data-[^>]*)?d="M[^"]*"/>', drawn)
        (d,) = re.findall(f'<path class="{kind}" d="([^"]*)"/>', joined) or [""]
        assert d.count("M") == len(lines), kind


_WHOLE = st.integers(-2000, 2000).map(float)
_STEP = st.one_of(
    st.tuples(st.sampled_from("HV"), st.tuples(_WHOLE)),
    st.tuples(st.just("L"), st.tuples(_WHOLE, _WHOLE)),
    st.tuples(st.just("Q"), st.tuples(*[_WHOLE] * 4)),
    st.tuples(st.just("C"), st.tuples(*[_WHOLE] * 6)),
)


@given(st.tuples(_WHOLE, _WHOLE), st.lists(_STEP, max_size=8))
def test_a_shorter_path_goes_the_same_way(
    start: tuple[float, float], steps: list[tuple[str, tuple[float, ...]]]
) -> None:
    long = f"M{start[0]:.1f} {start[1]:.1f}" + "".join(letter + " ".join(map(str, found)) for letter, found in steps)
    x, y = start
    points, way = [start], [start]
    for letter, found in steps:  # what the long one says
        x, y = (found[0], y) if letter == "H" else (x, found[0]) if letter == "V" else found[-2:]
        points += [(x, y)] if points[-1] != (x, y) or letter not in "HV" else []
    x, y = start
    for letter, told in re.findall(r"([hvlqc])([^a-zM]*)", shorter(long)):  # what the short one says
        found = tuple(map(float, re.findall(r"-?\d+", told)))
        x, y = (
            (x + found[0], y)
            if letter == "h"
            else (x, y + found[0])
            if letter == "v"
            else (x + found[-2], y + found[-1])
        )
        way.append((x, y))
    assert way == points
