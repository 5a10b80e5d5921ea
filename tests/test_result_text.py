"""Proofs, landings, leftovers and differences for a terminal and for programs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecrew.models.execution_state import ExecutionState
from wavecrew.models.proof import Fault, Lack, PhaseProof, Proof, Waived
from wavecrew.models.results import (
    DiskUse,
    Fate,
    FileChange,
    Landed,
    Leftover,
    Met,
    Trail,
    Work,
    WorkStage,
)
from wavecrew.views.result_text import (
    disk_words,
    landed_data,
    landed_text,
    leftovers_data,
    leftovers_text,
    proof_data,
    proof_text,
    size_words,
)
from wavecrew.views.run_status import status_json, status_text
from wavecrew.views.summary import summarize
from wavecrew.views.terminal_text import cells, clean
from wavecrew.views.work_text import names_text, patch_text, visible, work_data, work_text

TIP = "1a2b3c4d5e6f" + "0" * 28
HOSTILE = "x\x1b]0;owned\x07\u202e\r\ny"
LACK = Lack(Fault.COMMIT, "commit 99 is not in the result", "merge it: git merge 99", "99")
GOOD = PhaseProof("a", "Model", "c0ffee" + "0" * 34, "", ("a.out",), ())
PROOF = Proof("r1", "worktree", "wavecrew/r1/result", TIP, (), (GOOD,), (), ())
TRAIL = Trail("r1", "b", "Words", 2, "b" * 40, "wavecrew/r1/b/2", WorkStage.MERGED, "c" * 40)
PATCH = (
    b"diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1,3 +1,2 @@ def f\n one\n--- two\n-three\n+++ four\n"
    b"diff --git a/bin b/bin\nBinary files a/bin and b/bin differ\n"
)
WORK = Work(TRAIL, (FileChange("x", 1, 2), FileChange("bin", None, None), FileChange("new", 0, 0, "old")), (), PATCH)
LANDED = Landed("r1", "main", "b" * 40, TIP, TIP, ("a", "b"), 7, (FileChange("x", 340, 12),), ())


def harmless(text: str) -> bool:
    """Whether every sign has a shape, and is where it was written."""
    return all(sign.isprintable() or sign in "\n\t" or category(sign) == "Zs" for sign in text)


# -- proofs -----------------------------------------------------------------------------------------------------


def test_a_proof_that_holds_says_so_in_its_first_line() -> None:
    kept = replace(GOOD, phase="b", name="Words", kept_from="r0", outputs=("1", "2"))
    proof = replace(PROOF, phases=(GOOD, kept), waived=(Waived("c", "Names", "ann", "by hand"),), open=("d", "e"))

    assert proof_text(proof) == (
        "run r1  proven: 2 phases in wavecrew/r1/result (1a2b3c4d5e6f)\n"
        "  proven   a Model · c0ffee000000 · 1 output\n"
        "  kept     b Words · c0ffee000000 · 2 outputs · made by run r0\n"
        "  waived   c Names · by ann: by hand\n"
        "  not done d e\n"
    )


def test_what_is_missing_stands_above_with_what_would_bring_it_back() -> None:
    bad = replace(GOOD, phase="b", name="Words", lacks=(LACK, Lack(Fault.OUTPUT, "its output x is gone", "again", "x")))

    assert proof_text(replace(PROOF, phases=(GOOD, bad))) == (
        "run r1  NOT PROVEN: 1 of 2 completed phases\n"
        "  lost     b Words · commit 99 is not in the result\n"
        "           fix: merge it: git merge 99\n"
        "  lost     b Words · its output x is gone\n"
        "           fix: again\n"
        "  proven   a Model · c0ffee000000 · 1 output\n"
    )


def test_where_the_result_is_gone_no_phase_is_called_proven() -> None:
    proof = replace(PROOF, branch="", tip="", lacks=(LACK,))

    assert proof_text(proof) == (
        "run r1  NOT PROVEN: 1 of 1 completed phase\n"
        "  result   commit 99 is not in the result\n"
        "           fix: merge it: git merge 99\n"
    )
    assert [one["proven"] for one in proof_data(proof)["phases"]] == [False]


def test_of_a_shared_folder_it_says_how_little_is_proven() -> None:
    text = proof_text(replace(PROOF, isolation="shared", branch="", tip=""))

    assert text.startswith("run r1  proven: the outputs of 1 phase in the workspace\n")
    assert "that outputs exist is all that can be" in text
    assert "NOT PROVEN: the outputs of 1 of 1" in proof_text(
        replace(PROOF, isolation="shared", phases=(replace(GOOD, lacks=(LACK,)),))
    )


def test_nothing_is_not_called_proven() -> None:
    assert proof_text(replace(PROOF, phases=())).startswith("run r1  nothing to prove: no phase is completed\n")


def test_long_lists_are_cut_and_counted() -> None:
    many = tuple(replace(GOOD, phase=f"p{number}", lacks=(LACK,) * (number % 2)) for number in range(200))
    waived = tuple(Waived(f"w{number}", "", "ann", "x") for number in range(20))
    text = proof_text(replace(PROOF, phases=many, waived=waived, open=tuple(f"o{number}" for number in range(30))))

    assert text.count("... and 88 more; --json has all") == 2
    assert "... and 8 more; --json has all" in text
    assert "o11 ... and 18 more" in text
    assert len(text.splitlines()) < 70


def test_a_proof_as_data_has_all() -> None:
    bad = replace(GOOD, lacks=(LACK,))
    data = proof_data(replace(PROOF, phases=(bad,), waived=(Waived("c", "Names", "ann", "x"),), open=("d",)))

    assert json.loads(json.dumps(data)) == {
        "run": "r1",
        "proven": False,
        "isolation": "worktree",
        "branch": "wavecrew/r1/result",
        "commit": TIP,
        "lacks": [],
        "phases": [
            {
                "id": "a",
                "name": "Model",
                "proven": False,
                "commit": GOOD.commit,
                "kept_from": "",
                "outputs": ["a.out"],
                "lacks": [
                    {
                        "kind": "commit",
                        "what": "commit 99 is not in the result",
                        "fix": "merge it: git merge 99",
                        "about": "99",
                    }
                ],
            }
        ],
        "waived": [{"id": "c", "name": "Names", "by": "ann", "reason": "x"}],
        "not_done": ["d"],
    }


# -- landings ---------------------------------------------------------------------------------------------------


def test_a_landing_tells_what_came_and_where_from() -> None:
    assert landed_text(LANDED) == (
        "landed run r1 on main: 2 phases, 7 commits, 1 file (+340 -12)\n"
        "  commits  bbbbbbbbbbbb..1a2b3c4d5e6f · moved to the result\n"
        "  phases   a b\n"
        "next: git log --oneline bbbbbbbbbbbb..1a2b3c4d5e6f · wavecrew clean r1\n"
    )
    assert "merged with what it had" in landed_text(replace(LANDED, result="d" * 40))
    assert "  not done c\n" in landed_text(replace(LANDED, open=("c",)))
    assert landed_text(replace(LANDED, after="b" * 40)) == "main has all of run r1 already\n"
    assert "phases " not in landed_text(replace(LANDED, phases=())).partition("\n")[2]


def test_a_landing_as_data() -> None:
    data = landed_data(LANDED)

    assert (data["already"], data["fast_forward"], data["commits"], data["phases"]) == (False, True, 7, ["a", "b"])
    assert data["files"] == [{"path": "x", "added": 340, "removed": 12, "before": "", "binary": False}]


# -- leftovers --------------------------------------------------------------------------------------------------

KEPT = Leftover("r1", "wavecrew/r1/a/1", Fate.KEPT, "its work is in no result", "wavecrew diff a", 1_500_000, "/f", "a")
GOES = Leftover("r1", "wavecrew/r1/b/1", Fate.REMOVABLE, "its work is merged", "", 2_000, "", "b", 1)


def test_leftovers_tell_what_stays_and_why_and_what_can_go() -> None:
    assert leftovers_text([GOES, KEPT], removed=False) == (
        "  keep     wavecrew/r1/a/1 · phase a · 1.5 MB · its work is in no result\n"
        "           look: wavecrew diff a\n"
        "  can go   wavecrew/r1/b/1 · phase b · 2.0 KB · its work is merged\n"
        "nothing was removed; can go: 1 of 2, 2.0 KB; next: wavecrew clean --yes\n"
    )
    assert leftovers_text([replace(GOES, fate=Fate.REMOVED)], removed=True) == (
        "  removed  wavecrew/r1/b/1 · phase b · 2.0 KB · its work is merged\nremoved 1 of 1, 2.0 KB\n"
    )
    assert leftovers_text([KEPT], removed=False).endswith("can go: 0 of 1, 0 B\n")
    assert leftovers_text([], removed=True) == "nothing is left over\n"
    assert "run r1 · a coordinator" in leftovers_text(
        [Leftover("r1", "", Fate.KEPT, "a coordinator is in charge of it")], removed=False
    )
    assert "... and 8 more" in leftovers_text([KEPT] * 20, removed=False)


def test_leftovers_as_data() -> None:
    data = leftovers_data([GOES], removed=True)

    assert data["removed"] is True
    assert (data["leftovers"][0]["fate"], data["leftovers"][0]["size"]) == ("removable", 2_000)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 KB"),
        (9_940, "9.9 KB"),
        (9_960, "10 KB"),
        (340_000_000, "340 MB"),
        (999_999, "1000 KB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes(size: int, words: str) -> None:
    assert size_words(size) == words


def test_the_disk_in_words() -> None:
    assert disk_words(DiskUse(340_000_000, 12_000_000)) == "worktrees 340 MB · logs 12 MB"
    assert disk_words(DiskUse(0, 12_000_000)) == "logs 12 MB"
    assert disk_words(DiskUse(0, 5, whole=False)) == "logs 5 B · and more that was not counted"
    assert disk_words(DiskUse(500_000, 500_000)) == "worktrees 500 KB · logs 500 KB"
    assert disk_words(DiskUse(500_000, 499_999)) == ""


def test_the_disk_is_a_line_of_the_status_where_it_matters() -> None:
    summary = summarize(ExecutionState(), 0.0)
    lines = status_text(summary, disk=DiskUse(340_000_000, 12_000_000)).splitlines()

    assert lines[-2] == "  disk     worktrees 340 MB · logs 12 MB"
    assert lines[-1].startswith("next: ")
    assert "disk" not in status_text(summary, disk=DiskUse(1, 1, 1))
    assert "disk" not in status_text(summary)
    data = {"worktrees": 1, "logs": 2, "history": 3, "whole": True}
    assert json.loads(status_json(summary, DiskUse(1, 2, 3)))["disk"] == data
    assert "disk" not in json.loads(status_json(summary))


# -- differences ------------------------------------------------------------------------------------------------


def test_a_difference_has_a_heading_and_the_patch() -> None:
    trail = replace(TRAIL, met=(Met("a", "Model", ("x",)), Met("c", "Names")), refused="both change x")
    trail = replace(trail, before=("attempt 1 failed: exit code 3",))
    text = work_text(replace(WORK, trail=trail, uncommitted=(" M x", "?? new")))

    assert text == (
        "phase b Words  attempt 2 of run r1 · merged into the result\n"
        "  commits  bbbbbbbbbbbb..cccccccccccc\n"
        "  before   attempt 1 failed: exit code 3\n"
        "  met      a Model · both changed x\n"
        "  met      c Names · no file in common\n"
        "  refused  both change x\n"
        "  note     2 files in no commit yet; those marked ?? are not below:\n"
        "            M x\n"
        "           ?? new\n"
        "  changed  3 files, +1 -2\n"
        "\n" + PATCH.decode()
    )


def test_other_stages_and_long_lists() -> None:
    sealed = replace(TRAIL, stage=WorkStage.AT_WORK, commit="", met=(Met("a", "", ("1", "2", "3", "4")),) * 20)
    text = work_text(Work(sealed, (), ("?? x",) * 20, b""))

    assert "still at work" in text
    assert "  commits  bbbbbbbbbbbb..wavecrew/r1/b/2\n" in text
    assert "both changed 1, 2, 3 and more" in text
    assert text.count("... and 8 more") == 2
    assert text.endswith("  changed  0 files, +0 -0\n")


def test_files_with_their_lines_and_names_alone() -> None:
    assert work_text(WORK, stat=True).endswith(
        "\n         +1 -2  x\n        binary  bin\n         +0 -0  new (was old)\n"
    )
    assert names_text(replace(WORK, uncommitted=("?? more", " M x"))) == "x\nbin\nnew\nmore\n"


def test_colours_follow_the_hunks_and_not_what_lines_look_like() -> None:
    lines = patch_text(PATCH, color=True).split("\n")
    colors = [re.findall(r"\x1b\[(\d*)m", line) for line in lines]

    assert colors == [
        *([["1", "0"]] * 4),
        ["36", "0"],
        [],
        ["31", "0"],
        ["31", "0"],
        ["32", "0"],
        ["1", "0"],
        ["1", "0"],
        [],
    ]
    assert re.sub(r"\x1b\[\d*m", "", "\n".join(lines)) == PATCH.decode()


def test_lines_without_an_end_belong_to_their_hunk() -> None:
    patch = b"@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\ndiff --git a/y b/y\n"

    assert patch_text(patch, color=True) == (
        "\x1b[36m@@ -1 +1 @@\x1b[0m\n\x1b[31m-a\x1b[0m\n\\ No newline at end of file\n\x1b[32m+b\x1b[0m\n"
        "\\ No newline at end of file\n\x1b[1mdiff --git a/y b/y\x1b[0m\n"
    )


def test_what_could_steer_a_terminal_is_shown() -> None:
    patch = b"+\x1b[2J \xe2\x80\xae\xff\r\tx\x7f \xe3\x80\x80\xf3\xa0\x80\x81\xe2\x80\xa8\n"

    assert patch_text(patch) == "+^[[2J \\u202e\\xff^M\tx^? \u3000\\U000e0001\\u2028\n"
    assert visible("bad\udcff") == "bad\\xff"
    assert patch_text(b"") == ""
    assert patch_text(b"no end") == "no end\n"


@given(st.binary())
def test_no_patch_can_do_anything(patch: bytes) -> None:
    assert harmless(patch_text(patch))
    assert harmless(re.sub(r"\x1b\[(0|1|31|32|36)m", "", patch_text(patch, color=True)))


def test_a_difference_as_data() -> None:
    data = work_data(replace(WORK, trail=replace(TRAIL, met=(Met("a", "Model", ("x",)),)), patch=b"\xff"))

    assert data["patch"] == "\\xff"
    assert data["met"] == [{"phase": "a", "name": "Model", "both_changed": ["x"]}]
    assert data["files"][1] == {"path": "bin", "added": None, "removed": None, "before": "", "binary": True}
    assert (data["stage"], data["attempt"]) == ("merged", 2)
    assert "patch" not in work_data(WORK, with_patch=False)
    json.dumps(data)


# -- every text -------------------------------------------------------------------------------------------------


@given(st.sampled_from([HOSTILE, "word " * 60, "é" * 200, "", "\u3000wide 幅" * 20]) | st.text(max_size=200))
def test_foreign_words_stay_harmless_and_within_the_width(words: str) -> None:
    lack = Lack(Fault.OUTPUT, words, "fix", words)
    bad = replace(GOOD, phase=words, name=words, kept_from=words, lacks=(lack,))
    proof = replace(
        PROOF, run=words, branch=words, phases=(GOOD, bad), waived=(Waived(words, words, words, words),), open=(words,)
    )
    trail = replace(TRAIL, run=words, phase=words, name=words, met=(Met(words, words, (words,)),), refused=words)
    files = (FileChange(words, 1, 1, words),)
    texts = [
        proof_text(proof),
        proof_text(replace(proof, lacks=(lack,), isolation="shared")),
        landed_text(replace(LANDED, run=words, branch=words, phases=(words,), open=(words,))),
        leftovers_text([replace(KEPT, branch=words, phase=words, reason=words, look="")], removed=False),
        work_text(Work(trail, (), (), b"")),
    ]
    for text in texts:
        assert clean(text) == text
        assert max(cells(line) for line in text.splitlines()) <= 80
    for text in (
        names_text(Work(trail, files, (f"?? {words}",), b"")),
        work_text(Work(trail, files, (f"?? {words}",), words.encode(errors="replace")), stat=True),
        proof_text(replace(proof, lacks=(replace(lack, fix=words),))),
        leftovers_text([replace(KEPT, look=words)], removed=True),
    ):
        assert clean(text) == text


def test_terminals_without_our_signs() -> None:
    assert proof_text(PROOF, ascii_only=True).isascii()
    assert landed_text(LANDED, ascii_only=True).isascii()
    assert leftovers_text([KEPT, GOES], removed=False, ascii_only=True).isascii()
    assert work_text(WORK, ascii_only=True).isascii()
