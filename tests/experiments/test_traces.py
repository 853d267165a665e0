"""Traces: as many requests as asked for, the same for the same seed, whoever is popular."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trunkline.errors import InputError
from trunkline.experiments.traces import BURST_RATIO, Arrival, draw_trace

UNITS = [0.02, 0.04, 0.05]


@pytest.mark.parametrize("arrivals", ["poisson", "bursts"])
def test_a_trace_is_what_was_asked_for(arrivals: str) -> None:
    """In order, within its length, at its rate (6 standard deviations of a Poisson count; bursts
    vary more), each waiting for 3 to 10 units of its model."""
    trace = draw_trace(UNITS, 500.0, 20.0, arrivals=arrivals, seed=3)  # type: ignore[arg-type]
    times = [one.arrival_s for one in trace]
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= 20.0
    spread = 6 * math.sqrt(10_000) * (1 if arrivals == "poisson" else BURST_RATIO)
    assert abs(len(trace) - 10_000) < spread
    for one in trace:
        assert (one.deadline_s - one.arrival_s) / UNITS[one.model] * (1 + 1e-9) >= 3
        assert (one.deadline_s - one.arrival_s) / UNITS[one.model] <= 10 * (1 + 1e-9)


def test_bursts_are_uneven() -> None:
    """The counts of tenths of a second vary more than those of a Poisson process (variance = mean),
    whose own vary as much as they should."""
    for arrivals, uneven in (("poisson", False), ("bursts", True)):
        trace = draw_trace(UNITS, 500.0, 40.0, arrivals=arrivals, seed=1)  # type: ignore[arg-type]
        counts = np.histogram([one.arrival_s for one in trace], bins=400, range=(0, 40))[0]
        assert bool(counts.var() / counts.mean() > 2.0) is uneven


def test_popularity_follows_zipf() -> None:
    """With exponent 1, ranks 1, 2, 3 are asked 6 : 3 : 2; with 0, alike."""
    for zipf, wanted in ((1.0, [2 / 11, 3 / 11, 6 / 11]), (0.0, [1 / 3] * 3)):
        trace = draw_trace(UNITS, 1000.0, 20.0, zipf=zipf, seed=5)
        shares = sorted(np.bincount([one.model for one in trace], minlength=3) / len(trace))
        assert shares == pytest.approx(wanted, abs=0.02)


def test_the_seed_names_the_trace() -> None:
    """The same seed, the same trace; another one, another; times do not depend on the models."""
    one, again = (draw_trace(UNITS, 50.0, 2.0, seed=1) for _ in range(2))
    assert one == again != draw_trace(UNITS, 50.0, 2.0, seed=2)
    other = draw_trace([1.0], 50.0, 2.0, seed=1)
    assert [a.arrival_s for a in one] == [a.arrival_s for a in other]
    assert draw_trace(UNITS, 0.0, 2.0) == draw_trace(UNITS, 0.0, 2.0, arrivals="bursts") == ()
    assert all(isinstance(arrival, Arrival) for arrival in one)


@pytest.mark.parametrize(
    ("rate", "seconds", "more"),
    [
        (-1.0, 1.0, {}),
        (math.nan, 1.0, {}),
        (1.0, math.inf, {}),
        (1.0, 1.0, {"waits": (3.0, 2.0)}),
        (1.0, 1.0, {"zipf": -1.0}),
    ],
)
def test_what_makes_no_trace(rate: float, seconds: float, more: dict) -> None:
    """Rates, lengths and spans that make none are refused."""
    with pytest.raises(InputError, match="a trace needs"):
        draw_trace(UNITS, rate, seconds, **more)
