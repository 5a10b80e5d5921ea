"""The ids of the trace of a run, worked out from what the run is, so that they are the same whenever it is asked for.

What it does: makes the id of a trace, the ids of its spans, and the value of TRACEPARENT by which a program that traces
itself hangs below its attempt. The ids of runs are short and only unique in their workspace; the moment when a run
began goes into its trace id as well.
What it does not know: spans, and where a trace is sent.
"""

from __future__ import annotations

from hashlib import sha256


def trace_id(run: str, started: float) -> str:
    """32 hexadecimal digits for a run that `started` then, in seconds since 1970."""
    return _digits(16, "run", run, repr(float(started)))


def span_id(trace: str, *what: str) -> str:
    """16 hexadecimal digits for a part of a trace; nothing more names the run itself."""
    return _digits(8, "span", trace, *what)


def attempt_id(trace: str, phase: str, attempt: int) -> str:
    """The id of the span of an attempt."""
    return span_id(trace, "attempt", phase, str(attempt))


def traceparent(run: str, started: float, phase: str, attempt: int) -> str:
    """What the variable TRACEPARENT (W3C Trace Context) of an attempt holds; it is sampled."""
    trace = trace_id(run, started)
    return f"00-{trace}-{attempt_id(trace, phase, attempt)}-01"


def _digits(size: int, *parts: str) -> str:
    """So many bytes of a sum over texts, each told apart from the next; only zeros would be no id."""
    joined = b"".join(b"%d:%b," % (len(text), text) for text in (part.encode(errors="surrogatepass") for part in parts))
    return sha256(joined).hexdigest()[: 2 * size].replace("0" * (2 * size), "0" * (2 * size - 1) + "1")
