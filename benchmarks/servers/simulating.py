"""The simulation's part of `benchmarks.simulated`: a trace under a virtual clock, its error, and
what other choices could reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.servers.replay import Outcome
from trunkline.experiments.foresight import foreseen
from trunkline.experiments.online import Replay, replay
from trunkline.experiments.simulation import units_of_patience
from trunkline.experiments.traces import Arrival
from trunkline.links import Link, Stage
from trunkline.loading.online import Costs
from trunkline.loading.policies import policy

POLICY = "urgency"
"""The server's own."""


@dataclass(frozen=True)
class Figures:
    """What became of a trace, in a run or in a simulation of it.

    Attributes:
        sent, in_time, late, refused: requests.
        batches, bytes_moved: of the whole trace.
        median_s, p99_s: from arrival to answer, of all answers.
        loading_s, computing_s: how long blocks were loaded, and forwards ran.
    """

    sent: float
    in_time: float
    late: float
    refused: float
    batches: float
    bytes_moved: float
    median_s: float
    p99_s: float
    loading_s: float
    computing_s: float


@dataclass(frozen=True)
class Counted:
    """What a server counted: batches and their requests by model, loads, their bytes, seconds."""

    batches: dict[str, float]
    requests: dict[str, float]
    loads: float
    moved_bytes: float
    load_s: float
    compute_s: float

    def since(self, before: Counted) -> Counted:
        """What came after something that was counted before."""
        return Counted(
            {name: many - before.batches.get(name, 0) for name, many in self.batches.items()},
            {name: many - before.requests.get(name, 0) for name, many in self.requests.items()},
            self.loads - before.loads,
            self.moved_bytes - before.moved_bytes,
            self.load_s - before.load_s,
            self.compute_s - before.compute_s,
        )


@dataclass(frozen=True)
class Row:
    """A figure as it is shown.

    Attributes:
        points: whether it is shown, and differs, in % of what was sent; else relatively.
    """

    title: str
    name: str
    points: bool = False
    scale: float = 1.0

    def value(self, figures: Figures) -> float:
        value: float = getattr(figures, self.name)
        return 100 * value / figures.sent if self.points else self.scale * value

    def error(self, run: Figures, simulated: Figures) -> float:
        """By how much the simulation says more: in points, or in % of the run's."""
        difference = self.value(simulated) - self.value(run)
        return difference if self.points else 100 * relative(difference, self.value(run))


ROWS = (
    Row("answered in time [%]", "in_time", points=True),
    Row("refused [%]", "refused", points=True),
    Row("late [%]", "late", points=True),
    Row("batches", "batches"),
    Row("MB moved", "bytes_moved", scale=1e-6),
    Row("wait p50 [ms]", "median_s", scale=1e3),
    Row("wait p99 [ms]", "p99_s", scale=1e3),
    Row("loading [s]", "loading_s"),
    Row("computing [s]", "computing_s"),
)


def of_run(outcome: Outcome, counted: Counted) -> Figures:
    """The figures of a run: what its client saw, and what its server counted meanwhile."""
    return Figures(
        sent=outcome.sent,
        in_time=outcome.in_time,
        late=outcome.late,
        refused=outcome.refused,
        batches=sum(counted.batches.values()),
        bytes_moved=counted.moved_bytes,
        median_s=outcome.median_s,
        p99_s=outcome.p99_s,
        loading_s=counted.load_s,
        computing_s=counted.compute_s,
    )


def simulated(costs: Costs, trace: Sequence[Arrival]) -> Figures:
    """The figures of a simulation that begins as the server does: every model was asked once, one
    after another. (That round is left out of them.) Nothing loads beside a forward."""
    first, later = _after_a_round(costs, trace)
    before, both = (
        replay(costs, some, policy(POLICY), ahead=False) for some in (first, (*first, *later))
    )
    return of_simulation(both, before)


@dataclass(frozen=True)
class Reach:
    """Shares of a trace's requests that are answered in time, in simulations.

    Attributes:
        ours: by the server's policy.
        foreseen: by a plan that knows all requests beforehand.
        everything: by the server's policy, with memory for everything.
    """

    ours: float
    foreseen: float
    everything: float


def reach(costs: Costs, trace: Sequence[Arrival]) -> Reach:
    """What better choices could reach with the same memory, after a round as in `simulated`."""
    first, later = _after_a_round(costs, trace)
    roomy = replace(costs, memory_bytes=float(costs.sizes.sum()))
    ours, everything = (simulated(one, trace).in_time for one in (costs, roomy))
    known = foreseen(costs, (*first, *later)) - len(first)
    ours, known, everything = (one / max(len(trace), 1) for one in (ours, known, everything))
    return Reach(ours, known, everything)


def of_simulation(both: Replay, before: Replay) -> Figures:
    """The figures of a replay without those of what came before, of which nothing was late."""
    waits = replace(both, waits_s=both.waits_s[before.served :])
    return Figures(
        sent=both.received - before.received,
        in_time=both.served - before.served,
        late=both.late - before.late,
        refused=both.refused - before.refused,
        batches=both.batches - before.batches,
        bytes_moved=both.bytes_moved - before.bytes_moved,
        median_s=waits.wait_s(0.5),
        p99_s=waits.wait_s(0.99),
        loading_s=both.loading_s - before.loading_s,
        computing_s=both.computing_s - before.computing_s,
    )


def _after_a_round(
    costs: Costs, trace: Sequence[Arrival]
) -> tuple[tuple[Arrival, ...], tuple[Arrival, ...]]:
    """`a_round`, and the trace as it begins after it."""
    first = a_round(costs)
    begin_s = first[-1].deadline_s
    return first, tuple(
        replace(one, arrival_s=one.arrival_s + begin_s, deadline_s=one.deadline_s + begin_s)
        for one in trace
    )


def a_round(costs: Costs) -> tuple[Arrival, ...]:
    """Every model asked once, each when the one before was answered."""
    gap_s = 2 * max(units_of_patience(costs))
    return tuple(
        Arrival(place * gap_s, place, (place + 1) * gap_s) for place in range(len(costs.models))
    )


def with_overhead(costs: Costs, seconds: float) -> Costs:
    """Every request takes so much longer on the device (negative: as without)."""
    added = max(0.0, seconds)
    models = tuple(
        replace(one, seconds_per_task=one.seconds_per_task + added) for one in costs.models
    )
    return costs.priced(costs.loading, models)


def at_prices(costs: Costs, counted: Counted) -> Costs:
    """Costs by which the loads and forwards of a run would have taken what they took: all loads
    scaled alike, and all forwards."""
    link = costs.loading
    expected_s = link.overhead_s * counted.loads + link.seconds_per_byte * counted.moved_bytes
    slower = counted.load_s / expected_s if expected_s > 0 else 1.0
    expected_s = sum(
        one.seconds_per_batch * counted.batches.get(one.id, 0)
        + one.seconds_per_task * counted.requests.get(one.id, 0)
        for one in costs.models
    )
    factor = counted.compute_s / expected_s if expected_s > 0 else 1.0
    models = tuple(
        replace(
            one,
            seconds_per_batch=factor * one.seconds_per_batch,
            seconds_per_task=factor * one.seconds_per_task,
        )
        for one in costs.models
    )
    stages = tuple(Stage(s.bytes_per_s / slower, s.overhead_s * slower) for s in link.stages)
    return costs.priced(Link(stages), models)


def typical_error(pairs: Sequence[tuple[Figures, Figures]], name: str) -> float:
    """The median over (run, simulation) of |simulation - run| / run, of one of the figures."""
    errors = []
    for run, found in pairs:
        value: float = getattr(run, name)
        errors.append(abs(relative(getattr(found, name) - value, value)))
    return median(errors)


def relative(difference: float, whole: float) -> float:
    """Nothing of nothing is 0, something of it infinite."""
    if whole:
        return difference / whole
    return math.copysign(math.inf, difference) if difference else 0.0
