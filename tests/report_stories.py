"""Histories of runs of any size, with everything in them that a report can tell.

What it does: plans some layers of phases, runs them on paper with a few agents, and writes what happened as events:
lock waits, further tries, gates, silence, usage, a waiver, undeclared writes. Also knows words that attack whoever
shows them, and a run that is full of them.
What it does not know: how a report is written.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import replace
from typing import Any
from unicodedata import category

from run_stories import T0, approve, asked, end, fail, finish, opening, phase, silence, skip, start, told, wait
from wavecrew.models import events as ev
from wavecrew.models.events import Cause, Event, Outcome
from wavecrew.models.execution_state import replay
from wavecrew.models.parallel_execution import PhaseInfo, Source
from wavecrew.models.proof import Fault, Lack, PhaseProof, Proof
from wavecrew.views.report_facts import Report, build_report

_VERBS = ("Build", "Write", "Test", "Move", "Describe", "Measure", "Join", "Translate")
_THINGS = ("the reader", "the table of locks", "the command line", "the store", "all pages", "the importer", "the log")


def plan_of(size: int, seed: int = 1) -> tuple[PhaseInfo, ...]:
    """So many phases in layers; some of them want the same file."""
    chance = random.Random(seed)
    found: list[PhaseInfo] = []
    for place in range(size):
        name = f"{place + 1:03} {chance.choice(_VERBS)} {chance.choice(_THINGS)}"
        before = [one.id for one in found[max(0, place - 14) : max(0, place - 3)]]
        needs = sorted(chance.sample(before, min(len(before), chance.choice((1, 1, 2, 3)))))
        outputs = [f"src/part_{place + 1}.py"]
        if chance.random() < 0.2:
            outputs.append("src/registry.py")
        lasts = chance.choice((240, 600, 900, 1800, None))
        source = Source(f"plan/{place + 1:03}.md", 3)
        found.append(phase(name, " ".join(needs), lasts, *outputs, source=source))
    return tuple(found)


def big_run(size: int = 60, seed: int = 1, agents: int = 5, *, good: bool = False) -> list[Event]:
    """A run with a bit of everything; `good` leaves out what does not succeed for good."""
    return _Story(plan_of(size, seed), random.Random(seed), agents, good).events


class _Story:
    def __init__(self, plan: tuple[PhaseInfo, ...], chance: random.Random, agents: int, good: bool) -> None:
        self.plan = {one.id: one for one in plan}
        self.chance = chance
        self.agents = agents
        self.good = good
        self.events = opening(*plan, agents=agents, settings={"audit": "warn", "agent": "claude"})
        self.running: list[tuple[float, str, int]] = []
        self.done: set[str] = set()
        self.dead: set[str] = set()
        self.tries: dict[str, int] = {}
        self.waiting: dict[str, str] = {}
        self.clock = 5.0
        self.run()

    def run(self) -> None:
        names = list(self.plan)
        self.events += [asked(5, "wave 1"), approve(95, "wave 1", reason="looks good")]
        self.clock = 95.0
        if not self.good and len(names) > 8:
            self.events.append(skip(96, names[0], "ann", "was there before"))
            self.done.add(names[0])
        while True:
            self.start_what_can()
            if not self.running:
                break
            self.clock, name, number = heapq.heappop(self.running)
            self.finish(name, number)
        self.events.append(finish(self.clock + 2))

    def start_what_can(self) -> None:
        busy = {name for _, name, _ in self.running}
        for name, info in self.plan.items():
            if len(self.running) >= self.agents or name in self.done | self.dead | busy:
                continue
            if not set(info.dependencies) <= self.done:
                continue
            holder = next((one for one in busy if set(self.plan[one].outputs) & set(info.outputs)), "")
            if holder:
                if self.waiting.get(name) != holder:
                    self.events.append(wait(self.clock, name, "src/registry.py", holder))
                    self.waiting[name] = holder
                continue
            self.begin(name)
            busy.add(name)

    def begin(self, name: str) -> None:
        number = self.tries[name] = self.tries.get(name, 0) + 1
        self.waiting.pop(name, None)
        agent = self.chance.choice(("claude", "claude", "codex", "runbook"))
        self.events.append(start(self.clock, name, number, agent))
        expected = (self.plan[name].estimated_time or 0.2) * 3600
        heapq.heappush(self.running, (self.clock + expected * self.chance.uniform(0.4, 2.2), name, number))

    def finish(self, name: str, number: int) -> None:
        luck = self.chance.random()
        if luck < 0.08:
            self.events.append(silence(self.clock - 40, name, self.clock - 100, "Overwrite? [y/n]", number))
        if luck < 0.6:
            cost = None if luck < 0.15 else round(self.chance.uniform(0.05, 2.4), 4)
            self.events.append(told(self.clock, name, number, self.chance.randrange(2_000, 90_000), cost))
        if luck > 0.94 and number == 1:
            cause, detail = Cause.CHECK, "exit code 1 from: check python -m unittest"
            self.events.append(fail(self.clock, name, number, retry_at=self.clock, cause=cause, detail=detail))
        elif luck > 0.925 and number == 1 and not self.good:
            self.events.append(fail(self.clock, name, number, cause=Cause.TIMEOUT, detail="its time limit passed"))
            self.dead.add(name)
        elif 0.9 < luck <= 0.91 and number == 1:
            lost: dict[str, Any] = {"cause": Cause.LOST, "outcome": Outcome.LOST, "detail": ""}
            self.events.append(fail(self.clock, name, number, retry_at=self.clock, **lost))
        else:
            if luck < 0.03:
                paths = (f"src/other_{name}.py",)
                self.events.append(ev.UndeclaredWrites(at=T0 + self.clock, suspects=(name,), paths=paths))
            self.events.append(end(self.clock, name, number, *self.plan[name].outputs))
            self.done.add(name)


def report(events: list[Event], **more: Any) -> Report:
    """The report of a history, as the command would make it."""
    from wavecrew.plans.conflicts import find_conflicts

    state = replay(events)
    found = find_conflicts(state.graph, 200)
    return build_report(state, events, conflicts=found.found, more_conflicts=found.more, **more)


# -- hostile words ----------------------------------------------------------------------------------------------

_CODE = "alert(1)"
VECTORS = (
    f"<script>{_CODE}</script>",
    f"</script><script>{_CODE}</script>",
    f"<img src=x onerror={_CODE}>",
    f'"><img src=x onerror={_CODE}>',
    f"'><svg onload={_CODE}>",
    f"<svg/onload={_CODE}>",
    f"</title><script>{_CODE}</script>",
    f"</style><script>{_CODE}</script>",
    f"</svg><script>{_CODE}</script>",
    f"</pre><iframe srcdoc='<script>{_CODE}</script>'></iframe>",
    f"--><script>{_CODE}</script><!--",
    f"]]><script>{_CODE}</script><![CDATA[",
    f"<a href=javascript:{_CODE}>x</a>",
    f"<a href='data:text/html,<script>{_CODE}</script>'>x</a>",
    f"<details open ontoggle={_CODE}>",
    f"<input autofocus onfocus={_CODE}>",
    f"<body onload={_CODE}>",
    f"<math><mtext></mtext><mglyph><svg><mtext><style><img src=x onerror={_CODE}></style>",
    f"<noscript><p title='</noscript><img src=x onerror={_CODE}>'>",
    f"<object data=javascript:{_CODE}>",
    f"<embed src=javascript:{_CODE}>",
    f"<form action=javascript:{_CODE}><button>x",
    f"<meta http-equiv=refresh content='0;url=javascript:{_CODE}'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<base href=//evil.example/>",
    "<style>@import '//evil.example/x.css';</style>",
    "<?xml-stylesheet href='//evil.example/x.xsl'?>",
    '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;',
    "<use href='data:image/svg+xml,<svg id=x></svg>#x'>",
    f"<foreignObject><img src=x onerror={_CODE}></foreignObject>",
    f"<animate onbegin={_CODE} attributeName=x>",
    f'" onmouseover={_CODE} x="',
    f"' onfocus={_CODE} autofocus x='",
    f"` onmouseover={_CODE} `",
    f"&lt;script&gt;{_CODE}&lt;/script&gt;",
    f"&#60;script&#62;{_CODE}&#60;/script&#62;",
    f"<scr\x00ipt>{_CODE}</scr\x00ipt>",
    f"\ufeff<script>{_CODE}</script>",
    f"+ADw-script+AD4-{_CODE}+ADw-/script+AD4-",
    f"{{{{constructor.constructor('{_CODE}')()}}}}",
    f"${{{_CODE}}}",
    f"%3Cscript%3E{_CODE}%3C/script%3E",
    f"[x](javascript:{_CODE})",
    "![x](https://evil.example/pixel.png)",
    "<https://evil.example/>",
    "https://evil.example/ www.evil.example @everyone #1 GH-1",
    "```\n<script>alert(1)</script>\n```",
    "`` ` ``` `a` \\` |x|",
    "| a | b |\n|---|---|\n| c |",
    '"]:::x --> y["z',
    "%%{init: {'theme': 'dark'}}%%",
    'click p0 call alert("x")',
    "end\n  subgraph x",
    "=cmd|'/c calc'!A1",
    "+1+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "\t=1+1",
    '"; =1+1; "',
    "::error file=x,line=1::forged",
    "\n::set-output name=x::y",
    "  ::add-mask::secret",
    "::stop-commands::x",
    "##[command]echo forged",
    "##vso[task.setvariable variable=x]y",
    "\x1b[31mred\x1b[0m",
    "\x1b[2J\x1b[1;1Hgone",
    "\x1b]0;title\x07",
    "\x1b]8;;https://evil.example/\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1bP1;2|data\x1b\\",
    "\x1b_G payload\x1b\\",
    "\x9b31mred \x9d0;t\x9c",
    "\x1bc\x1b(0\x1b7\x1b8",
    "a\x08\x08b\x7f\x00c",
    "one\rtwo\u2028three\u2029four\x85five",
    "\u202egnp.exe\u202c \u2066x\u2069 \u200f",
    "lone \ud83d surrogate \ufffe\uffff \ufdd0",
    "\U000e0041\U000e0042 tags",
)
"""What names, reasons and logs may hold to run a script, to steer a terminal, a spreadsheet, a CI runner or a page."""


def hostile_run(words: str) -> list[Event]:
    """A run in which everything that others name is called so. Ids and names are what a plan can have: printable."""
    shown = "".join(letter for letter in words if letter.isprintable())[:95].strip() or "x"
    one, two, three = f"1{shown}", f"2{shown}", f"3{shown}"
    source = Source(f"plan/{shown}.md", 7)
    plan = (
        PhaseInfo(one, shown, (), (f"src/{shown}",), 0.001, source=source),
        PhaseInfo(two, shown, (one,), (f"src/{shown}",), 0.001, source=source),
        PhaseInfo(three, f"{shown} {shown}", (one,), ("x.py",), None, source=source),
    )
    events = opening(*plan, agents=2)
    first = events[0]
    assert isinstance(first, ev.RunStarted)
    named: dict[str, Any] = {"run": shown, "plan_name": words, "plan_path": words, "plan_digest": words}
    used = ev.AgentReported(at=T0 + 6, phase=two, attempt=1, session=words, model=words, cost_usd=0.5)
    return [
        replace(first, **named),
        events[1],
        asked(0, words),
        approve(1, words, words, words),
        skip(1, one, words, words),
        start(2, two, 1, words),
        wait(2, three, words, words),
        silence(5, two, 3, words),
        used,
        fail(6, two, retry_at=7, detail=words),
        start(7, two, 2, words),
        start(7, three, 1, words),
        ev.UndeclaredWrites(at=T0 + 8, suspects=(two,), paths=(words,)),
        ev.ForbiddenChange(at=T0 + 8, what=(words,), suspects=(two,)),
        ev.WriteJudged(
            at=T0 + 9, phase=three, attempt=1, tool=words, paths=(words,), allowed=True, waited=1, holder=words
        ),
        fail(9, two, 2, detail=words),
        end(9, three, 1, words),
        ev.RunFinished(at=T0 + 10, missing=(words,), unproven=(three,)),
    ]


def hostile_report(words: str) -> Report:
    """Its report, with a log and a proof of such words."""
    events = hostile_run(words)
    state = replay(events)
    names = list(state.phase_states)
    lack = Lack(Fault.OUTPUT, words, words, words)
    phases = (PhaseProof(names[2], words, words, words, (words,), (lack,)),)
    proof = Proof(words, "worktree", words, words, (), phases, (), (names[1],))
    return report(events, proof=proof, logs={names[1]: words * 3}, version="1")


ORDINARY = "an ordinary name"


def steering(text: str) -> list[str]:
    """What of a text could steer a terminal, reorder a line or break an encoder."""
    found = [
        c
        for c in text
        if c not in "\n\t" and (category(c) in ("Cc", "Cs") or c in "\u061c\u200e\u200f\u2028\u2029\ufeff")
    ]
    return found + [
        c for c in text if "\u202a" <= c <= "\u202e" or "\u2066" <= c <= "\u2069" or "\U000e0000" <= c <= "\U000e007f"
    ]
