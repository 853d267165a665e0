"""Metrics: what Prometheus reads, by its own conventions."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.server.still_engine import StillEngine, load, record, served
from trunkline.errors import Reason
from trunkline.server.metrics import Metrics
from trunkline.server.tally import Tally

BASE_UNITS = ("seconds", "bytes", "ratio", "info")
PREFIXES = re.compile(r"_(milli|micro|kilo|mega|giga|ms|us|kb|mb|percent)")


def made(engine: StillEngine | None = None) -> tuple[Tally, Metrics]:
    """Metrics with their tally, of an engine with two models that share a block."""
    tally = Tally()
    metrics = Metrics(tally)
    models = [
        served("a", {"bottom": 100, "a": 50}, ["bottom", "a"], waiting=3),
        served("b", {"bottom": 100, "b": 60}, reason="forward hangs"),
    ]
    metrics.watch(engine or StillEngine(models, stuck=2))
    return tally, metrics


def read(metrics: Metrics) -> dict[str, Metric]:
    """The families that Prometheus' parser finds."""
    text = metrics.exposition().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    """The one sample of that name and these labels."""
    (found,) = [
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == f"trunkline_{name}" and sample.labels == labels
    ]
    return found


@settings(max_examples=60, deadline=None)
@given(
    ends=st.lists(st.sampled_from(["on time", "too late", "open", *Reason]), max_size=40),
)
def test_received_is_answered_refused_and_in_flight(ends: list[str]) -> None:
    """Whatever becomes of requests, one scrape's counters add up to what was received."""
    tally, metrics = made()
    for end in ends:
        tally.received("a")
        if isinstance(end, Reason):
            tally.refused("a", end)
        elif end != "open":
            tally.answered("a", 0.1, end == "on time")
    families = read(metrics)
    answered = [value(families, "requests_answered_total", outcome=o) for o in ("in_time", "late")]
    refused = [value(families, "requests_refused_total", reason=reason) for reason in Reason]
    assert answered == [ends.count("on time"), ends.count("too late")]
    assert refused == [ends.count(reason) for reason in Reason]
    assert value(families, "requests_in_flight") == ends.count("open")
    assert value(families, "requests_received_total") == len(ends)


def test_names_follow_the_conventions() -> None:
    """Counters end in `_total` and nothing else does, units are base units, all have a help."""
    _, metrics = made()
    metrics.batch(record())
    for family in read(metrics).values():
        if family.name.startswith("process_") or family.name.endswith("_created"):
            continue
        assert re.fullmatch(r"trunkline_[a-z]+(_[a-z]+)*", family.name)
        assert family.documentation.endswith(".")
        assert not PREFIXES.search(family.name)
        kind = "_total" if family.type == "counter" else ""
        if family.type != "histogram":
            assert {sample.name for sample in family.samples} <= {family.name + kind}
        elif family.name not in ("trunkline_batch_samples",):
            assert family.name.endswith(BASE_UNITS)


def test_batches_are_counted_by_model() -> None:
    """Bytes, seconds and failures add up by model, and the errors of plans are those of batches
    that did not fail."""
    _, metrics = made()
    metrics.batch(record("a"))
    metrics.batch(record("a"))
    metrics.batch(record("b", error="out of memory"))
    metrics.loaded(load("a"))
    metrics.loaded(load("a"))
    families = read(metrics)
    assert value(families, "moved_bytes_total", model="a") == 100
    assert value(families, "asked_bytes_total", model="a") == 400
    assert value(families, "compute_seconds_total", model="a") == pytest.approx(0.06)
    assert value(families, "planned_compute_seconds_total", model="a") == pytest.approx(0.04)
    assert value(families, "batches_failed_total", model="a") == 0
    assert value(families, "batches_failed_total", model="b") == 1
    assert value(families, "batch_samples_sum") == 9
    # Planned 10 + 20 ms, measured 10 + 30 ms: wrong by a quarter of what was measured, twice.
    assert value(families, "plan_error_ratio_count") == 2
    assert value(families, "plan_error_ratio_sum") == pytest.approx(0.5)


def test_gauges_are_the_engines() -> None:
    """Gauges show the engine's snapshot of the moment of the scrape."""
    _, metrics = made()
    families = read(metrics)
    assert value(families, "requests_waiting", model="a") == 3
    assert value(families, "models", state="ready") == 1
    assert value(families, "models", state="unavailable") == 1
    assert value(families, "resident_bytes") == 150
    assert value(families, "memory_budget_bytes") == 1000
    assert value(families, "stuck_forwards") == 2
    assert value(families, "ready") == 1


def test_unknown_names_become_no_labels() -> None:
    """A name that a client made up appears nowhere, and a model that left the store goes."""
    engine = StillEngine([served("a", {"x": 1})])
    tally, metrics = made(engine)
    for i in range(50):
        tally.received(f"made-up-{i}")
        metrics.received(f"made-up-{i}")
        metrics.refused(f"made-up-{i}", Reason.UNAVAILABLE)
    metrics.batch(record("a"))
    assert b"made-up" not in metrics.exposition()
    assert b'model="a"' in metrics.exposition()
    engine.shown = StillEngine().shown
    assert b'model="a"' not in metrics.exposition()


def test_no_engine_and_no_budget() -> None:
    """Before there is an engine, and where memory has no limit, the rest is still there."""
    metrics = Metrics(Tally())
    assert value(read(metrics), "requests_received_total") == 0
    metrics.watch(StillEngine(memory_bytes=None))
    families = read(metrics)
    assert "trunkline_memory_budget_bytes" not in families
    assert value(families, "resident_bytes") == 0


def test_servers_share_nothing() -> None:
    """Two servers in one process count apart."""
    first, second = made()[1], made()[1]
    first.batch(record())
    assert value(read(second), "batch_samples_count") == 0
