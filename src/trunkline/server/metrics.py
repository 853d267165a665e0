"""Prometheus metrics of one server: a registry of its own, nothing global.

Only batches carry the label `model`: they name models of the store, where a request may name
anything. Series of models that have left the store go at the next scrape.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trunkline.errors import Reason
from trunkline.server.tally import Tally
from trunkline.server.work import BatchRecord, Engine, LoadRecord, Snapshot, State

STEP_BUCKETS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
DECISION_BUCKETS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 1)
SAMPLE_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
ERROR_BUCKETS: Final = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5)

_BATCH_COUNTERS: Final[tuple[tuple[str, str, Callable[[BatchRecord], float]], ...]] = (
    ("batches", "Batches that ended, failed ones included.", lambda r: 1),
    ("batches_failed", "Batches that ended with an error.", lambda r: bool(r.error)),
    ("batch_requests", "Requests in batches.", lambda r: r.requests),
    (
        "asked_bytes",
        "Bytes of the models of all batches, each counted whole. The hit ratio by bytes is "
        "1 - rate(trunkline_moved_bytes_total) / rate(trunkline_asked_bytes_total).",
        lambda r: r.bytes_asked,
    ),
    ("compute_seconds", "Time in which forwards ran.", lambda r: _compute_s(r)),
    (
        "planned_compute_seconds",
        "What the planner expected of trunkline_compute_seconds_total.",
        lambda r: r.planned_compute_s,
    ),
)
"""Counters by model: name without prefix and `_total`, help, what a batch adds."""

_LOAD_COUNTERS: Final[tuple[tuple[str, str, Callable[[LoadRecord], float]], ...]] = (
    ("moved_bytes", "Bytes of parameter blocks loaded.", lambda r: r.bytes),
    ("load_seconds", "Time in which blocks were loaded.", lambda r: r.end_s - r.begin_s),
    (
        "planned_load_seconds",
        "What the planner expected of trunkline_load_seconds_total.",
        lambda r: r.planned_s,
    ),
)
"""The same, what a load adds."""


@dataclass(frozen=True, slots=True)
class _Histograms:
    wait: Histogram
    samples: Histogram
    load: Histogram
    compute: Histogram
    decision: Histogram
    error: Histogram

    @classmethod
    def registered(cls, registry: CollectorRegistry) -> _Histograms:
        def made(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"trunkline_{name}", text, registry=registry, buckets=buckets)

        return cls(
            made("answer_seconds", "From a request's arrival to its answer.", STEP_BUCKETS_S),
            made("batch_samples", "Samples of each batch.", SAMPLE_BUCKETS),
            made("batch_load_seconds", "Time to load a batch's missing blocks.", STEP_BUCKETS_S),
            made("batch_compute_seconds", "Time of a batch's forward.", STEP_BUCKETS_S),
            made("decision_seconds", "Time the scheduler takes to decide.", DECISION_BUCKETS_S),
            made(
                "plan_error_ratio",
                "|planned - measured| / measured of a batch's load and compute time together; "
                "batches that failed are left out.",
                ERROR_BUCKETS,
            ),
        )


class Metrics:
    """An observer that keeps Prometheus metrics; safe to call from any thread.

    Args:
        tally: the counts of requests, kept by another observer, shown here.
    """

    def __init__(self, tally: Tally) -> None:
        self._lock = threading.Lock()
        self._by_model: dict[str, dict[str, float]] = {}
        self._registry = CollectorRegistry()
        self._histograms = _Histograms.registered(self._registry)
        self._live = _Live(tally, self._totals)
        self._registry.register(self._live)
        ProcessCollector(registry=self._registry)

    def watch(self, engine: Engine) -> None:
        """Read what is resident, waits and is served from this engine at every scrape."""
        self._live.engine = engine

    def include(self, collector: Collector) -> None:
        """Show more metrics."""
        self._registry.register(collector)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, version 0.0.4."""
        return generate_latest(self._registry)

    def received(self, model: str) -> None:
        """The tally counts it."""

    def answered(self, model: str, wait_s: float, in_time: bool) -> None:
        """A request was answered, `wait_s` after it came."""
        self._histograms.wait.observe(wait_s)

    def refused(self, model: str, reason: Reason) -> None:
        """The tally counts it."""

    def loaded(self, record: LoadRecord) -> None:
        """A load ended."""
        with self._lock:
            totals = self._of(record.model)
            for name, _, of in _LOAD_COUNTERS:
                totals[name] += of(record)
        self._histograms.load.observe(record.end_s - record.begin_s)

    def _of(self, model: str) -> dict[str, float]:
        totals = self._by_model.get(model)
        if totals is None:
            counters = (*_BATCH_COUNTERS, *_LOAD_COUNTERS)
            totals = self._by_model[model] = {name: 0.0 for name, *_ in counters}
        return totals

    def batch(self, record: BatchRecord) -> None:
        """A batch ended."""
        with self._lock:
            totals = self._of(record.model)
            for name, _, of in _BATCH_COUNTERS:
                totals[name] += of(record)
        self._histograms.samples.observe(record.samples)
        if record.error:
            return
        self._histograms.compute.observe(_compute_s(record))
        measured = _load_s(record) + _compute_s(record)
        planned = record.planned_load_s + record.planned_compute_s
        if measured > 0:
            self._histograms.error.observe(abs(planned - measured) / measured)

    def decided(self, seconds: float, waiting: int) -> None:
        """The scheduler took a decision."""
        self._histograms.decision.observe(seconds)

    def _totals(self, snapshot: Snapshot | None) -> dict[str, dict[str, float]]:
        """The counters by model, of the models that the snapshot still has."""
        with self._lock:
            if snapshot is not None:
                there = {model.name for model in snapshot.models}
                for name in self._by_model.keys() - there:
                    del self._by_model[name]
            return {name: totals.copy() for name, totals in sorted(self._by_model.items())}


class _Live(Collector):
    """What is read anew at every scrape."""

    def __init__(
        self, tally: Tally, totals: Callable[[Snapshot | None], dict[str, dict[str, float]]]
    ) -> None:
        self.engine: Engine | None = None
        self._tally = tally
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        """All metrics that are no histograms."""
        yield from self._requests()
        snapshot = self.engine.snapshot() if self.engine is not None else None
        totals = self._totals(snapshot)
        for name, text, _ in (*_BATCH_COUNTERS, *_LOAD_COUNTERS):
            family = CounterMetricFamily(f"trunkline_{name}", text, labels=["model"])
            for model, counted in totals.items():
                family.add_metric([model], counted[name])
            yield family
        if self.engine is not None and snapshot is not None:
            yield from _gauges(self.engine, snapshot)

    def _requests(self) -> Iterator[Metric]:
        counts = self._tally.counts()
        yield CounterMetricFamily(
            "trunkline_requests_received", "Requests that came in.", counts.received
        )
        answered = CounterMetricFamily(
            "trunkline_requests_answered",
            "Requests answered, by their deadline (in_time, the goodput) or after it (late).",
            labels=["outcome"],
        )
        answered.add_metric(["in_time"], counts.in_time)
        answered.add_metric(["late"], counts.late)
        yield answered
        refused = CounterMetricFamily(
            "trunkline_requests_refused", "Requests not answered, by reason.", labels=["reason"]
        )
        for reason, count in counts.refused.items():
            refused.add_metric([reason.value], count)
        yield refused
        yield _gauge(
            "requests_in_flight",
            "Requests without an answer or a refusal yet: received - answered - refused.",
            counts.in_flight,
        )


def _gauges(engine: Engine, snapshot: Snapshot) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "trunkline_requests_waiting", "Requests that wait for their batch.", labels=["model"]
    )
    for model in snapshot.models:
        waiting.add_metric([model.name], model.waiting)
    yield waiting
    models = GaugeMetricFamily("trunkline_models", "Models of the store.", labels=["state"])
    states = Counter(model.state for model in snapshot.models)
    for state in State:
        models.add_metric([state.value.lower()], states[state])
    yield models
    yield _gauge("resident_bytes", "Parameter blocks in memory.", snapshot.resident_bytes)
    if snapshot.memory_bytes is not None:
        yield _gauge(
            "memory_budget_bytes", "What resident bytes never pass.", snapshot.memory_bytes
        )
    yield _gauge("resident_blocks", "Parameter blocks in memory.", len(snapshot.resident))
    yield _gauge("stuck_forwards", "Forwards given up on that still run.", snapshot.stuck)
    yield _gauge("computing", "1 while a batch computes.", snapshot.computing is not None)
    yield _gauge("loading", "1 while blocks are loaded.", snapshot.loading is not None)
    yield _gauge("draining", "1 once the server is stopping.", snapshot.draining)
    yield _gauge("ready", "1 while requests are taken.", engine.ready)
    yield _gauge("live", "1 while batches can be computed.", engine.live)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"trunkline_{name}", text, value)


def _load_s(record: BatchRecord) -> float:
    return max(0.0, record.load_end_s - record.load_begin_s)


def _compute_s(record: BatchRecord) -> float:
    return max(0.0, record.compute_end_s - record.compute_begin_s)
