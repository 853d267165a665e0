"""A little more than the least share, and a little less."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.measure import Verdict, verdict
from benchmarks.streamed.reckoning import Report, least_rate, median_computing
from benchmarks.streamed.running import Worker, serving
from trunkline.store import Store

CALIBRATION = 5
"""Runs near the least rate that say what computing takes there."""


def meet_deadlines(
    store: Store, worker: Worker, name: str, before: Sequence[Report], count: int
) -> list[Verdict]:
    """How often a deadline is met with 1.05 of the least rate for it, and missed with 0.95.

    The deadline is twice what the runs `before` took.
    """
    deadline_s = 2 * statistics.median(one["end_to_end_s"] for one in before)
    least = _least(before, deadline_s)
    least = _least(_runs(store, worker, name, least, CALIBRATION), deadline_s)
    print(f"{name}: {8e-6 * least:.1f} Mbit/s are the least for a deadline of {deadline_s:.2f} s")
    verdicts = []
    for factor, what in ((1.05, "in time"), (0.95, "late")):
        runs = _runs(store, worker, name, least * factor, count)
        early = [deadline_s - one["end_to_end_s"] for one in runs]
        good = sum((one >= 0) == (factor > 1) for one in early)
        ms = f"{1e3 * min(early):.0f} to {1e3 * max(early):.0f} ms"
        print(f"  {factor:g} of it: {good} of {count} {what}; {ms} before it", flush=True)
        verdicts.append(
            verdict(f"{what} with {factor:g} of the least share", good / count, 0.95, at_least=True)
        )
    print()
    return verdicts


def _least(runs: Sequence[Report], deadline_s: float) -> float:
    compute = median_computing(runs)
    return statistics.median(least_rate(one, compute, deadline_s) for one in runs)


def _runs(store: Store, worker: Worker, name: str, pace: float, count: int) -> list[Report]:
    """So many runs over a link of so many bytes a second."""
    with serving(store, 8e-6 * pace) as url:
        worker.run(url, name)  # builds its module
        return [worker.run(url, name) for _ in range(count)]
