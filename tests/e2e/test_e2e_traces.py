"""Runs as traces, as a user has them: sent at the end, sent again, written to a file, and never in the way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbox import Sandbox, phase

from trace_world import Collector, collector, from_json, plain, spans_in, told

_TASK = "cicd.pipeline.task.run.id"


@pytest.fixture
def far_end(box: Sandbox) -> Iterator[Collector]:
    with collector() as found:
        box.extra["OTEL_EXPORTER_OTLP_ENDPOINT"] = found.address
        yield found


def test_a_run_is_one_trace_however_often_it_is_sent(box: Sandbox, far_end: Collector) -> None:
    note = 'echo "$WAVECREW_PHASE/$WAVECREW_ATTEMPT_NUMBER $TRACEPARENT $OTEL_EXPORTER_OTLP_ENDPOINT" >> places'
    once = f"{note}; test -e again || {{ touch again; exit 1; }}"
    box.plan(phase("a", once, retries=1, check=["sh", "-c", note]), phase("b", note, needs=["a"]))
    left = box.run("--traces", "otlp", "--gate", "wave")
    assert left.code == 5, left.err
    assert "trace" not in left.err
    [root] = [one for one in far_end.spans if not one.parent_span_id]
    assert "cicd.pipeline.result" not in plain(root.attributes)
    assert box.wavecrew("approve", "wave 2").code == 0
    far_end.got.clear()
    done = box.run("--traces", "otlp")
    assert done.code == 0
    assert "trace" not in done.err

    spans = far_end.spans
    [again] = [one for one in spans if not one.parent_span_id]
    assert (again.trace_id, again.span_id) == (root.trace_id, root.span_id)
    assert plain(again.attributes)["cicd.pipeline.result"] == "success"
    run = plain(again.attributes)["cicd.pipeline.run.id"]
    attempts = {plain(one.attributes)[_TASK]: one for one in spans if _TASK in plain(one.attributes)}
    assert sorted(attempts) == [f"{run}/a/1", f"{run}/a/2", f"{run}/b/1"]
    assert [link.span_id for link in attempts[f"{run}/b/1"].links] == [attempts[f"{run}/a/2"].span_id]

    places = sorted({tuple(line.split(" ")) for line in box.read("places").splitlines()})
    for place, parent, endpoint in places:  # agents and their checks know their span, and not the collector
        one = attempts[f"{run}/{place}"]
        assert parent == f"00-{one.trace_id.hex()}-{one.span_id.hex()}-01"
        assert not endpoint
    assert [place for place, _, _ in places] == ["a/1", "a/2", "b/1"]

    far_end.got.clear()
    sent = box.wavecrew("report", run, "--send")
    assert (sent.code, sent.out) == (0, "")
    assert sent.err == f"sent run {run} as a trace of {len(spans)} spans to {far_end.address}/v1/traces\n"
    assert told(far_end.spans) == told(spans)

    assert box.wavecrew("report", "--format", "otlp", "-o", "run.jsonl").code == 0
    assert box.wavecrew("report", "--format", "otlp", "-o", "run.jsonl").code == 0  # it knows its own files
    assert told(spans_in(from_json(box.read("run.jsonl")))) == told(spans)

    assert box.wavecrew("runs", "export", "-o", "run.zip").code == 0
    elsewhere = Sandbox(box.home / "elsewhere", box.home, box.extra)
    elsewhere.folder.mkdir()
    assert elsewhere.wavecrew("runs", "import", str(box.folder / "run.zip")).code == 0
    read = spans_in(from_json(elsewhere.wavecrew("report", run, "--format", "otlp").out))
    ids = [(one.trace_id, one.span_id) for one in read]
    assert ids == [(one.trace_id, one.span_id) for one in spans]
    [copy] = [one for one in read if not one.parent_span_id]
    assert plain(copy.attributes)["wavecrew.run.imported_from"] == "run.zip"


def test_a_dead_collector_is_one_line_and_changes_nothing(box: Sandbox) -> None:
    box.extra["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
    box.plan(phase("a"))
    done = box.run("--traces", "otlp", "--ui", "plain")
    assert done.code == 0
    words = "the trace of this run could not be sent to http://127.0.0.1:1/v1/traces: Connection refused"
    lines = [line for line in (done.out + done.err).splitlines() if "127.0.0.1" in line or "rror" in line]
    assert len(lines) == 1
    assert words in lines[0]
    sent = box.wavecrew("report", "--send")
    assert sent.code == 8
    assert "Connection refused" in sent.err
    assert "fix: start a collector there" in sent.err


def test_without_the_extra_nothing_starts_and_files_are_written_all_the_same(box: Sandbox) -> None:
    blocked = box.home / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text("import sys\nsys.modules['opentelemetry'] = None\n")
    box.extra["PYTHONPATH"] = str(blocked)
    box.plan(phase("a"))
    box.write("wavecrew.toml", 'traces = "otlp"\n')
    refused = box.run()
    assert refused.code == 3
    assert "fix: pip install 'wavecrew[otel]', or set traces to none" in refused.err
    assert not box.ran()
    assert box.run("--traces", "none").code == 0
    assert box.wavecrew("report", "--send").code == 3
    assert len(spans_in(from_json(box.wavecrew("report", "--format", "otlp").out))) == 2


def test_traces_are_off_unless_somebody_wants_them(box: Sandbox, far_end: Collector) -> None:
    box.plan(phase("a", 'echo "${TRACEPARENT-unset}" > place'))
    assert box.run().code == 0
    assert box.read("place") == "unset\n"
    assert not far_end.headers
