"""One trace, served in several ways under a virtual clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trunkline.errors import UnknownMethodError
from trunkline.experiments.online import Replay, replay
from trunkline.experiments.traces import Arrival
from trunkline.loading import LoadingProblem
from trunkline.loading.online import PARTS, Costs
from trunkline.loading.policies import POLICIES, policy

LRU = "lru"
"""The usual server: models are loaded whole, leave whole by last use, first come first served."""

WAYS = (*POLICIES, LRU)

QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a trace in one way.

    Attributes:
        way: a policy's name, or `lru`.
        partial: whether only missing blocks were loaded.
        requests_per_s: of the trace.
        bound: no policy answers more (`clairvoyant`); None where it was not asked for.
    """

    way: str
    partial: bool
    requests_per_s: float
    replay: Replay
    bound: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """All figures, by names with units; None for a quantile of nothing."""
        found = self.replay
        waits = {
            f"wait_p{100 * q:g}_s": found.wait_s(q) if found.served else None for q in QUANTILES
        }
        return {
            "policy": self.way,
            "partial": self.partial,
            "requests_per_s": self.requests_per_s,
            "received": found.received,
            "answered": found.served,
            "refused": found.refused,
            "late": found.late,
            "goodput": found.goodput,
            "bound": self.bound,
            **waits,
            "bytes_moved": found.bytes_moved,
            "bytes_asked": found.bytes_asked,
            "batches": found.batches,
            "loading_s": found.loading_s,
            "computing_s": found.computing_s,
            "decision_s": float(np.median(found.decisions_s)) if found.batches else None,
        }


def costs_of(problem: LoadingProblem, memory_bytes: float | None = None) -> Costs:
    """The models, prices and memory of a problem (its tasks play no part)."""
    memory = problem.memory_bytes if memory_bytes is None else memory_bytes
    return Costs(problem.library, problem.loading, problem.models, memory, parts=PARTS)


def units_of_patience(costs: Costs) -> list[float]:
    """What loading each model whole takes, and a batch of one: what draws deadlines are told in."""
    return [
        costs.loading.seconds(size) + costs.compute_seconds(place, 1)
        for place, size in enumerate(costs.library.model_bytes)
    ]


def ways(text: str | None) -> list[str]:
    """The ways named in a list separated by commas; all for None (UnknownMethodError)."""
    if text is None or text.strip() == "all":
        return list(WAYS)
    found = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in found:
        if name not in WAYS:
            known = ", ".join(("all", *WAYS))
            raise UnknownMethodError(f"--policy: no policy {name!r}; there are {known}")
    if not found:
        raise UnknownMethodError(f"--policy {text!r}: names none; there are {', '.join(WAYS)}")
    return found


def simulate(
    costs: Costs,
    trace: Sequence[Arrival],
    names: Iterable[str],
    *,
    requests_per_s: float,
    partial: bool = True,
    ahead: bool = True,
    bound: int | None = None,
) -> list[Outcome]:
    """Serve a trace in each of these ways.

    Args:
        partial: False loads models whole whatever the policy.
        ahead: whether the next batch's blocks load beside the computing one.
    """
    found = []
    for name in names:
        piecewise = partial and name != LRU
        rule = policy("fcfs" if name == LRU else name)
        done = replay(replace(costs, partial=piecewise), trace, rule, ahead)
        found.append(Outcome(name, piecewise, requests_per_s, done, bound))
    return found


def rate_of(trace: Sequence[Arrival]) -> float:
    """Requests a second, from the first to the last; 0 where there is no time between them."""
    times = [one.arrival_s for one in trace]
    span_s = max(times, default=0.0) - min(times, default=0.0)
    return (len(times) - 1) / span_s if span_s > 0 else 0.0
