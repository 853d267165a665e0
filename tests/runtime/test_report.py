"""Reports and traces."""

from __future__ import annotations

import json

import pytest

from trunkline.loading import Batch, LoadingPlan
from trunkline.runtime.report import BatchRun, RunReport
from trunkline.runtime.trace import chrome_trace

BATCH = Batch("m", ("a", "b"), (0.5, 0.5), 100.0, 0.010, 0.020, 0.030, 0.0, 0.060)
PLAN = LoadingPlan("optimal", 2, 3, 2, True, 0.001, 0.060, (BATCH,))
RUN = BatchRun(BATCH, 0.0, 0.010, 0.025, 0.015, 0.050, 100, ("b",))
REPORT = RunReport("optimal", True, 3, 0.055, True, (RUN,))


def test_counts_and_errors() -> None:
    """Of three tasks one is served, one late, one not planned; planned 50 ms of load + compute
    against 40 measured is off by 25 %."""
    assert (REPORT.served, REPORT.late, REPORT.not_planned) == (1, 1, 1)
    assert RUN.relative_error == pytest.approx(0.25)
    assert REPORT.median_relative_error == pytest.approx(0.25)
    document = json.loads(json.dumps(REPORT.to_dict(), allow_nan=False))
    assert document["batches"][0]["late"] == ["b"]
    assert document["load_s"] == pytest.approx(0.025)


def test_the_trace_has_a_thread_a_resource_and_a_process_a_kind() -> None:
    """Plan and run are two processes; link, loader and compute are threads; steps follow one
    another in microseconds."""
    events = chrome_trace(PLAN, REPORT)["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert {names[p, t] for p in (1, 2) for t in (1, 2, 3)} == {"link", "loader", "compute"}
    steps = [(e["pid"], e["tid"], e["ts"], e["dur"]) for e in events if e["ph"] == "X"]
    assert steps == [
        (1, 1, 0.0, pytest.approx(10_000)),
        (1, 2, pytest.approx(10_000), pytest.approx(20_000)),
        (1, 3, pytest.approx(30_000), pytest.approx(30_000)),
        (2, 1, 0.0, pytest.approx(10_000)),
        (2, 2, pytest.approx(10_000), pytest.approx(25_000)),
        (2, 3, pytest.approx(35_000), pytest.approx(15_000)),
    ]
