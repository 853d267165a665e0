"""Timing that can be trusted on a noisy machine: medians, spread, and turns taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

MISSED = "MISSED"


@dataclass(frozen=True)
class Times:
    """Seconds of repeated runs of one thing."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def spread(self, unit_s: float = 1e-3) -> str:
        """`median (first quartile - third quartile)`, in units of `unit_s`."""
        low, _, high = (
            statistics.quantiles(self.seconds, n=4) if len(self.seconds) > 1 else self.seconds * 3
        )
        middle, low, high = (figure(one / unit_s) for one in (self.median, low, high))
        return f"{middle} ({low}-{high})"


def figure(value: float) -> str:
    """Three digits, or all of those before the point; never an exponent of a large number."""
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def take_turns(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Times]:
    """Time several things in turn, A B C A B C ..., so that a drift of the machine meets all.

    One round before is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: Times(tuple(measured)) for name, measured in seconds.items()}


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        padded = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


@dataclass(frozen=True)
class Verdict:
    """A figure beside its target."""

    name: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def reached(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        side = "at least" if self.at_least else "at most"
        told = "reached" if self.reached else MISSED
        return f"{self.name}: {self.value:.3g} (target: {side} {self.limit:g}): {told}"


def verdict(name: str, value: float, limit: float, *, at_least: bool = False) -> Verdict:
    """`name: value (target: at most limit): reached / MISSED`."""
    return Verdict(name, value, limit, at_least)
