"""What the recursion says of a measured run, besides what its own report says.

With layers l in the order of use, D_l their last bytes, T_l their computing, F_0 when the first was
asked for (all as the report has them):

    F_l = max(D_l, F_{l-1}) + T_l                 the end, overlapped
    F'  = max(D_L, F_0) + T_1 + ... + T_L         downloading first
    D_l = D_1 + (C_l - C_1) / r                   at one rate r, C_l the bytes up to layer l's last

Source: the latency recursion of SLIDE, fed with what was measured; the rest is derived.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Report = dict[str, Any]
"""`StreamReport.to_dict()`."""

Times = Mapping[str, float]
"""Seconds by layer."""


def end(first_s: float, arrived: Sequence[float], compute: Sequence[float]) -> float:
    """F_L."""
    at = first_s
    for there, seconds in zip(arrived, compute, strict=True):
        at = max(there, at) + seconds
    return at


def computing(report: Report) -> dict[str, float]:
    """T_l by layer."""
    return {one["name"]: one["ended_s"] - one["started_s"] for one in report["layers"]}


def median_computing(reports: Sequence[Report]) -> dict[str, float]:
    """T_l by layer, the median of several runs."""
    found = [computing(report) for report in reports]
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def sent(report: Report) -> dict[str, float]:
    """C_l by layer, in the order in which they came; the stream's header counts to the first."""
    layers = sorted(report["layers"], key=lambda one: float(one["arrived_s"]))
    at = report["received_bytes"] - sum(one["sent_bytes"] for one in layers)
    found = {}
    for one in layers:
        at += one["sent_bytes"]
        found[one["name"]] = float(at)
    return found


def rate(report: Report) -> float:
    """r: bytes a second between the first layer's last byte and the last one's."""
    arrived = [one["arrived_s"] for one in report["layers"]]
    counts = list(sent(report).values())
    return float((counts[-1] - counts[0]) / (max(arrived) - min(arrived)))


def start_s(report: Report) -> float:
    """t0: when the stream's first byte came, by the rate."""
    first = next(iter(sent(report).values()))
    return float(min(one["arrived_s"] for one in report["layers"]) - first / rate(report))


def end_by_rate(report: Report) -> float:
    """F_L at one rate: the measured one."""
    counts, t0, pace = sent(report), start_s(report), rate(report)
    names = [one["name"] for one in report["layers"]]
    compute = computing(report)
    return end(
        report["first_s"],
        [t0 + counts[name] / pace for name in names],
        [compute[name] for name in names],
    )


def saving(report: Report, compute: Times) -> float:
    """1 - F_L / F' with a run's arrivals and such layer times."""
    layers, first = report["layers"], report["first_s"]
    arrived = [one["arrived_s"] for one in layers]
    seconds = [compute[one["name"]] for one in layers]
    return 1 - end(first, arrived, seconds) / (max(first, *arrived) + sum(seconds))


def least_rate(report: Report, compute: Times, deadline_s: float) -> float:
    """r_min = max_l C_l / (deadline - t0 - A_l), A_l = T_l + ... + T_L, in bytes a second.

    With blocks that come in another order than they are used, C_l is that of the latest byte that
    is needed up to layer l.

    Raises:
        ValueError: computing alone takes longer.
    """
    counts, t0 = sent(report), start_s(report)
    left, needed, least = sum(compute[one["name"]] for one in report["layers"]), 0.0, 0.0
    if t0 + left >= deadline_s:
        raise ValueError(f"a deadline of {deadline_s:.2f} s, and {left:.2f} s of computing")
    for one in report["layers"]:
        needed = max(needed, counts[one["name"]])
        least = max(least, needed / (deadline_s - t0 - left))
        left -= compute[one["name"]]
    return least
