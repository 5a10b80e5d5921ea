"""Random plans for the property tests of analysis and views."""

from __future__ import annotations

from hypothesis import strategies as st

from wavecrew.models.parallel_execution import PhaseInfo

RESOURCES = ("a.py", "b.py", "src/a.py", "src/b.py", "src/", "src/*.py", "**/b.py", "src/api/x.py", "port:80", "./")
ESTIMATES = (None, 0.0, 0.5, 1.0, 1.0, 2.5, 4.0)
hostile_text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(
    lambda text: text.isprintable() and bool(text.strip())
)


@st.composite
def sound_plans(draw: st.DrawFn, *, most: int = 12, claims: bool = True) -> list[PhaseInfo]:
    """Phases without cycles, in an order that is not always a topological one."""
    count = draw(st.integers(1, most))
    some = st.lists(st.sampled_from(RESOURCES), max_size=2, unique=True) if claims else st.just([])
    phases = [
        PhaseInfo(
            f"p{number}",
            f"phase {number}",
            tuple(draw(st.lists(st.sampled_from([f"p{i}" for i in range(number)]), max_size=3, unique=True)))
            if number
            else (),
            tuple(draw(some)),
            draw(st.sampled_from(ESTIMATES)),
            reads=tuple(draw(some)),
        )
        for number in range(count)
    ]
    return draw(st.permutations(phases))
