"""The timeline: what it keeps, and the trace that comes out."""

from __future__ import annotations

import json

from tests.server.still_engine import record
from trunkline.server.timeline import Timeline


def at(end_s: float, model: str = "a") -> dict[str, float]:
    """The times of a batch that ended then."""
    return {
        "load_begin_s": end_s - 0.4,
        "load_end_s": end_s - 0.3,
        "compute_begin_s": end_s - 0.2,
        "compute_end_s": end_s,
    }


def test_old_batches_are_forgotten() -> None:
    """Batches older than the window go, and of the others no more than the limit stay."""
    now = [10.0]
    timeline = Timeline(longest_s=5.0, most=3, clock=lambda: now[0])
    for end_s in (4.0, 6.0, 7.0, 8.0, 9.0):
        timeline.batch(record(**at(end_s)))
    assert [one.compute_end_s for one in timeline.last(5.0, 9)] == [7.0, 8.0, 9.0]
    now[0] = 13.5
    timeline.decided(0.001, 2)
    spans = [event for event in timeline.trace()["traceEvents"] if event["ph"] == "X"]
    assert {event["ts"] + event["dur"] for event in spans} == {8.7e6, 9.0e6}


def test_last_batches() -> None:
    """The latest batches within a time come in the order in which they ended."""
    timeline = Timeline(clock=lambda: 10.0)
    for end_s in (2.0, 8.0, 9.0, 10.0):
        timeline.batch(record(**at(end_s)))
    assert [one.compute_end_s for one in timeline.last(3.0, 9)] == [8.0, 9.0, 10.0]
    assert [one.compute_end_s for one in timeline.last(9.0, 2)] == [9.0, 10.0]


def test_trace_is_a_chrome_trace() -> None:
    """Each batch is a complete event on its resource's thread, in microseconds; nothing loaded, no
    load; the queue is a counter; and it is JSON."""
    timeline = Timeline(clock=lambda: 2.0)
    timeline.batch(record("a"))
    timeline.batch(record("b", error="broken", load_end_s=1.0))
    timeline.decided(0.001, 7)
    trace = json.loads(json.dumps(timeline.trace()))
    named = {
        e["tid"]: e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"
    }
    assert named == {1: "loading", 2: "computing"}
    spans = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert [(one["name"], named[one["tid"]]) for one in spans] == [
        ("a", "loading"), ("a", "computing"), ("b", "computing"),
    ]  # fmt: skip
    assert all(one["pid"] == 1 and one["dur"] > 0 for one in spans)
    assert (spans[1]["ts"], round(spans[1]["dur"])) == (1.01e6, 30_000)
    assert "error" not in spans[1]["args"]
    assert spans[2]["args"]["error"] == "broken"
    (counter,) = [event for event in trace["traceEvents"] if event["ph"] == "C"]
    assert (counter["ts"], counter["args"]) == (2e6, {"requests": 7})
