"""Everything that can be said against a plan, one example per code, and silence where nothing is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given

from plan_strategies import hostile_text, sound_plans
from wavecrew.errors import Diagnostic, Place, Severity
from wavecrew.models.parallel_execution import PhaseInfo, Source, Step, StepKind
from wavecrew.models.plan import Plan
from wavecrew.plans.checks import CHECK_CODES, check


def phase(name: str, *needs: str, title: str = "", **more: object) -> PhaseInfo:
    values: dict[str, object] = {"outputs": (f"{name}.txt",), "source": Source(f"plan/{name}.md", 4), **more}
    return PhaseInfo(name, title or name, needs, **values)  # type: ignore[arg-type]


def findings(*phases: PhaseInfo, agents: tuple[str, ...] | None = None) -> tuple[Diagnostic, ...]:
    return check(Plan("test", "plan", phases), agents)


def only(code: str, *phases: PhaseInfo, agents: tuple[str, ...] | None = None) -> Diagnostic:
    (finding,) = findings(*phases, agents=agents)
    assert finding.code == code
    return finding


def test_a_sound_plan_has_no_findings() -> None:
    assert findings(phase("a"), phase("b", "a", agent="claude"), agents=("claude",)) == ()


def test_wc101_names_both_places() -> None:
    first, second = phase("a", title="one"), phase("a", title="two", source=Source("plan/b.md", 7), outputs=("x",))
    finding = only("WC101", first, second)
    assert finding.severity is Severity.ERROR
    assert "plan/a.md:4" in finding.message
    assert finding.place == Place("plan/b.md", 7)


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [("html-writer", None), ("htlm", "04"), ("HTML", "04"), ("4", "04"), ("Html Pages", "05"), ("6", "006")],
)
def test_wc102_guesses_what_was_meant(wanted: str, meant: str | None) -> None:
    named = (phase("04", title="html"), phase("05", title="html pages"), phase("006", title="cli"))
    finding = only("WC102", *named, phase("07", wanted))
    assert finding.message == f'phase 07 needs "{wanted}", which does not exist'
    assert finding.phases == ("07",)
    assert (f'did you mean "{meant}"' in finding.fix) if meant else ("did you mean" not in finding.fix)


def test_wc103_a_phase_that_needs_itself() -> None:
    assert only("WC103", phase("a", "a")).phases == ("a",)


def test_wc104_shows_the_ring() -> None:
    finding = only("WC104", phase("a", "c"), phase("b", "a"), phase("c", "b"), phase("d", "c"))
    assert finding.message.endswith("a -> c -> b -> a")
    assert set(finding.phases) == {"a", "b", "c"}


def test_wc104_keeps_a_long_ring_short() -> None:
    names = [f"p{number}" for number in range(400)]
    ring = [phase(name, names[number - 1]) for number, name in enumerate(names)]
    finding = only("WC104", *ring)
    assert len(finding.message) < 200
    assert "more" in finding.message


def test_wc105_is_one_warning_for_each_resource() -> None:
    finding = only("WC105", phase("a", outputs=("x",)), phase("b", outputs=("x",)), phase("c", reads=("x",)))
    assert finding.severity is Severity.WARNING
    assert finding.message.startswith("x: written by a and b, read by c")
    assert finding.phases == ("a", "b", "c")
    assert finding.place.file == "plan/b.md"


def test_wc105_names_a_few_of_many() -> None:
    finding = only("WC105", *(phase(f"p{number}", outputs=("x",)) for number in range(9)))
    assert "p0, p1, p2, p3 and 5 more" in finding.message


def test_wc105_bears_a_file_that_looks_like_a_name() -> None:
    only("WC105", phase("a", outputs=("./port:1",)), phase("b", outputs=("./port:1",)))


@pytest.mark.parametrize("field", ["outputs", "reads", "locks"])
@pytest.mark.parametrize("text", ["/etc/passwd", "../x", "~/x", "C:\\x", "a\x00b"])
def test_wc106_what_lies_outside_or_cannot_be_read(field: str, text: str) -> None:
    finding = only("WC106", phase("a", **{"outputs": ("fine",), field: (text,)}))
    assert finding.severity is Severity.ERROR
    assert finding.fix
    assert finding.message.isprintable()


def test_wc107_names_the_agents_that_there_are() -> None:
    finding = only("WC107", phase("a", agent="cluade"), agents=("runbook", "claude"))
    assert finding.fix == 'did you mean "claude"? known agents: claude, runbook'
    assert findings(phase("a", agent="cluade")) == ()


def test_wc108_a_phase_that_nothing_proves() -> None:
    assert only("WC108", phase("a", outputs=())).severity is Severity.INFO
    assert findings(phase("a", outputs=(), checks=(("true",),))) == ()
    assert findings(phase("a", outputs=(), steps=(Step(StepKind.CHECK, "true"),))) == ()


def test_findings_stand_by_file_and_line_with_those_of_the_reader() -> None:
    read = Diagnostic("WC118", Severity.INFO, "an estimate", Place("plan/b.md", 9))
    plan = Plan("test", "plan", (phase("b", "x"), phase("a", "x")), (read,))
    assert [(finding.code, str(finding.place)) for finding in check(plan)] == [
        ("WC102", "plan/a.md:4"),
        ("WC102", "plan/b.md:4"),
        ("WC118", "plan/b.md:9"),
    ]


def test_every_code_is_explained() -> None:
    assert sorted(CHECK_CODES) == [f"WC{number}" for number in range(101, 109)]
    for explanation in CHECK_CODES.values():
        assert "Example:" in explanation.text
        assert "Way out:" in explanation.text
        assert max(map(len, explanation.text.splitlines())) <= 80


@given(sound_plans())
def test_a_sound_plan_has_no_errors(phases: list[PhaseInfo]) -> None:
    assert not any(finding.severity is Severity.ERROR for finding in check(Plan("x", "x", tuple(phases))))


@given(hostile_text, hostile_text)
def test_strange_names_are_no_obstacle(name: str, wanted: str) -> None:
    check(Plan("x", "x", (PhaseInfo(name, name, (wanted,)), PhaseInfo("b", name, (name, "b")))), [name])
