"""Timelines as Chrome trace JSON: planned and measured side by side. Opens in Perfetto."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trunkline.loading import LoadingPlan
from trunkline.pictures import Row
from trunkline.runtime.report import RunReport

RESOURCES = ("link", "loader", "compute")
"""One thread of the trace each: uploads, loads, forwards."""


def chrome_trace(plan: LoadingPlan, report: RunReport) -> dict[str, Any]:
    """The trace: process 1 is the plan, process 2 the run; times in microseconds."""
    events: list[dict[str, Any]] = []
    kinds: list[tuple[int, str, Sequence[Row]]] = [
        (1, f"planned ({plan.method})", plan.batches),
        (2, f"measured ({'partial' if report.partial else 'whole models'})", report.batches),
    ]
    for process, title, rows in kinds:
        events.append(_named("process_name", process, 0, title))
        for thread, resource in enumerate(RESOURCES, start=1):
            events.append(_named("thread_name", process, thread, resource))
        for row in rows:
            events.extend(_events(process, row))
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "method": plan.method,
            "deadline_s": report.deadline_s,
            "served": report.served,
            "received": report.received,
        },
    }


def _events(process: int, row: Row) -> list[dict[str, Any]]:
    begin, events = row.start_s, []
    for thread, seconds in enumerate((row.upload_s, row.load_s, row.compute_s), start=1):
        if seconds > 0:
            events.append(
                {
                    "name": row.model,
                    "cat": RESOURCES[thread - 1],
                    "ph": "X",
                    "pid": process,
                    "tid": thread,
                    "ts": begin * 1e6,
                    "dur": seconds * 1e6,
                    "args": {"tasks": list(row.tasks)},
                }
            )
        begin += seconds
    return events


def _named(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}
