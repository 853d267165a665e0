"""Requests over time: drawn, or read from a file.

A trace is the same for every policy that is compared on it. Drawn ones have three sources of
randomness, one generator each: when requests come, whom they ask, how long they can wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trunkline.errors import InputError

Arrivals = Literal["poisson", "bursts"]

BURST_RATIO = 4.0
"""In bursts, requests come this many times as often as on average ..."""

BURST_SHARE = 0.15
"""... in this share of the time ..."""

BURST_LENGTH = 20.0
"""... for the time in which so many requests come on average."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request.

    Attributes:
        arrival_s: when it comes.
        model: position of its model.
        deadline_s: by when it must be answered; a time, not a span.
        tasks: how many samples it brings.
    """

    arrival_s: float
    model: int
    deadline_s: float
    tasks: int = 1


def draw_trace(
    reference_s: Sequence[float],
    requests_per_s: float,
    seconds: float,
    *,
    arrivals: Arrivals = "poisson",
    zipf: float = 0.0,
    waits: tuple[float, float] = (3.0, 10.0),
    seed: int = 0,
) -> tuple[Arrival, ...]:
    """Draw a trace.

    Args:
        reference_s: each model's own unit of patience (what it takes to load it whole, say).
        requests_per_s: how many come on average.
        seconds: for how long.
        arrivals: a Poisson process, or one whose rate changes between quiet times and bursts.
        zipf: the model of rank r is asked r^-zipf times as often as the first; 0 for uniform. Which
            model has which rank is drawn.
        waits: a request waits for this many units, uniform between the two.

    Raises:
        InputError: a rate, a length or a span that makes no trace.
    """
    if not (0 <= requests_per_s < np.inf and 0 <= seconds < np.inf):
        raise InputError("a trace needs a finite rate and length, at least 0")
    if not (0 <= waits[0] <= waits[1] < np.inf and 0 <= zipf < np.inf):
        raise InputError("a trace needs 0 <= least wait <= longest wait, and zipf at least 0")
    times, asked, patience = (
        np.random.default_rng(one) for one in np.random.SeedSequence(seed).spawn(3)
    )
    if arrivals == "bursts":
        at = _bursts(times, requests_per_s, seconds)
    else:
        at = np.sort(times.uniform(0.0, seconds, times.poisson(requests_per_s * seconds)))
    models = draw_models(asked, len(at), len(reference_s), zipf)
    spans = patience.uniform(*waits, len(at)) * np.asarray(reference_s)[models]
    return tuple(
        Arrival(float(t), int(m), float(t + s)) for t, m, s in zip(at, models, spans, strict=True)
    )


def draw_models(
    rng: np.random.Generator, requests: int, models: int, zipf: float
) -> NDArray[np.int64]:
    """Whom requests ask: the model of rank r (drawn) r^-zipf times as often as the first."""
    popularity = np.arange(1.0, models + 1.0) ** -zipf
    order = rng.permutation(models)
    return order[rng.choice(models, requests, p=popularity / popularity.sum())]


def at_rate(trace: Sequence[Arrival], requests_per_s: float) -> tuple[Arrival, ...]:
    """A trace with so many requests a second on average, from the first to the last; the time that
    each can wait stays as it is. (One moment has no rate, and stays.)"""
    times = [one.arrival_s for one in trace]
    span_s = max(times, default=0.0) - min(times, default=0.0)
    if span_s <= 0 or requests_per_s <= 0:
        return tuple(trace)
    begin_s, factor = min(times), (len(trace) - 1) / span_s / requests_per_s
    return tuple(
        replace(one, arrival_s=at_s, deadline_s=at_s + (one.deadline_s - one.arrival_s))
        for one in trace
        for at_s in [(one.arrival_s - begin_s) * factor]
    )


def _bursts(rng: np.random.Generator, rate: float, seconds: float) -> NDArray[np.float64]:
    """A Markov-modulated Poisson process: the quiet rate makes up for the bursts."""
    if rate <= 0:
        return np.zeros(0)
    quiet = rate * (1 - BURST_SHARE * BURST_RATIO) / (1 - BURST_SHARE)
    lengths = {
        True: BURST_LENGTH / rate,
        False: BURST_LENGTH / rate / BURST_SHARE * (1 - BURST_SHARE),
    }
    found: list[NDArray[np.float64]] = []
    at, burst = 0.0, bool(rng.random() < BURST_SHARE)
    while at < seconds:
        end = min(at + rng.exponential(lengths[burst]), seconds)
        now = rate * BURST_RATIO if burst else quiet
        found.append(np.sort(rng.uniform(at, end, rng.poisson(now * (end - at)))))
        at, burst = end, not burst
    return np.concatenate(found) if found else np.zeros(0)
