"""Seconds to move bytes over a link of one or more stages.

A stage (disk to memory, memory to accelerator) takes a fixed overhead per move and then a time
proportional to the bytes; a link is its stages one after the other:

    V(bytes) = sum over stages of overhead_s + bytes / bytes_per_s     for bytes > 0,   V(0) = 0

This is V1 + V2 of PartialLoading, equation (8), with the affine form of its Remark 1 made explicit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a link: `overhead_s` seconds per move, then `bytes_per_s` bytes each second."""

    bytes_per_s: float
    overhead_s: float = 0.0

    def seconds(self, size_bytes: float) -> float:
        """Seconds to move `size_bytes`; 0 when there is nothing to move."""
        if size_bytes <= 0:
            return 0.0
        if self.bytes_per_s <= 0:
            return float("inf")
        return self.overhead_s + size_bytes / self.bytes_per_s


@dataclass(frozen=True, slots=True)
class Link:
    """Stages that the bytes pass one after the other (no overlap between stages)."""

    stages: tuple[Stage, ...] = ()

    def seconds(self, size_bytes: float) -> float:
        """V(size_bytes), in seconds."""
        if size_bytes <= 0:
            return 0.0
        return self.overhead_s + size_bytes * self.seconds_per_byte

    def seconds_each(self, sizes_bytes: NDArray[np.float64]) -> NDArray[np.float64]:
        """V of each of an array of sizes, in seconds, same shape."""
        moved = sizes_bytes > 0
        seconds = np.zeros(sizes_bytes.shape)
        seconds[moved] = self.overhead_s + sizes_bytes[moved] * self.seconds_per_byte
        return seconds

    @property
    def overhead_s(self) -> float:
        """Seconds that any move of at least one byte takes, whatever its size."""
        return sum(stage.overhead_s for stage in self.stages)

    @property
    def seconds_per_byte(self) -> float:
        """Seconds that each further byte takes; infinite if a stage moves nothing."""
        return sum(
            1.0 / stage.bytes_per_s if stage.bytes_per_s > 0 else float("inf")
            for stage in self.stages
        )


@dataclass(frozen=True, slots=True)
class LineFit:
    """A straight line through measurements: `seconds = intercept_s + slope_s * x`.

    Attributes:
        intercept_s: seconds at x = 0, never negative.
        slope_s: seconds per unit of x, never negative.
        median_relative_error: median over the points of `abs(fitted - measured) / measured`.
        points: how many measurements the line was fitted to.
    """

    intercept_s: float
    slope_s: float
    median_relative_error: float
    points: int

    def seconds(self, x: float) -> float:
        """The fitted seconds at `x`."""
        return self.intercept_s + self.slope_s * x


def fit_line(x: ArrayLike, seconds: ArrayLike) -> LineFit:
    """Fit `seconds = a + b x` with a, b >= 0, least relative squares.

    Relative, so that a slow large move does not drown the small ones: each point is weighted by
    1/seconds. Where the unconstrained line has a negative part, that part is set to 0 and the other
    fitted alone (the exact solution of the constrained problem in two unknowns).

    Args:
        x: sizes (bytes, batch sizes), shape (n,), n >= 1.
        seconds: measured times, shape (n,), all > 0.

    Raises:
        ValueError: if the shapes differ, there is no point, or a time is not positive.
    """
    xs = np.asarray(x, dtype=float)
    ys = np.asarray(seconds, dtype=float)
    if xs.shape != ys.shape or xs.ndim != 1 or xs.size == 0:
        raise ValueError(f"need equally many sizes and times, got {xs.shape} and {ys.shape}")
    if not (ys > 0).all():
        raise ValueError("measured times must be positive")
    intercept, slope = _nonnegative_line(xs / ys, 1.0 / ys)
    error = np.abs(intercept + slope * xs - ys) / ys
    return LineFit(intercept, slope, float(np.median(error)), xs.size)


def _nonnegative_line(u: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Least squares of 1 = a w + b u under a, b >= 0."""
    candidates: list[Sequence[float]] = []
    both, _, rank, _ = np.linalg.lstsq(np.stack([w, u], axis=1), np.ones_like(u), rcond=None)
    if rank == 2 and (both >= 0).all():
        return float(both[0]), float(both[1])
    candidates.append((float(w.sum() / (w @ w)), 0.0))
    if (u @ u) > 0:
        candidates.append((0.0, max(0.0, float(u.sum() / (u @ u)))))
    best = min(candidates, key=lambda ab: float(((ab[0] * w + ab[1] * u - 1.0) ** 2).sum()))
    return float(best[0]), float(best[1])
