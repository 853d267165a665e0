"""Timing that can be trusted on a noisy machine: medians, spread, and turns taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


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
        return f"{self.median / unit_s:.3g} ({low / unit_s:.3g}-{high / unit_s:.3g})"


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


def verdict(name: str, value: float, limit: float, *, at_least: bool = False) -> str:
    """`name: value (target: at most limit): reached / MISSED`."""
    reached = value >= limit if at_least else value <= limit
    side = "at least" if at_least else "at most"
    return f"{name}: {value:.3g} (target: {side} {limit:g}): {'reached' if reached else 'MISSED'}"
