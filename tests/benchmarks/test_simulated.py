"""The comparison of runs with simulations: what is counted, and what is off by how much."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmarks.servers import own
from benchmarks.servers.laws import Law, law
from benchmarks.servers.own import Own
from benchmarks.servers.replay import Outcome
from benchmarks.servers.simulating import (
    ROWS,
    Counted,
    Figures,
    Reach,
    at_prices,
    of_run,
    reach,
    simulated,
    typical_error,
    with_overhead,
)
from trunkline.experiments.online import replay
from trunkline.experiments.traces import Arrival
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel
from trunkline.loading.online import Costs
from trunkline.loading.policies import policy

FIGURES = Figures(10, 8, 1, 1, 5, 200.0, 0.1, 0.2, 1.0, 2.0)


def costs(memory_bytes: float) -> Costs:
    """Two models of 4 MB that share 3; a gigabyte a second; a batch of n takes 1 + 2 n ms."""
    library = ModelLibrary(
        {"trunk": 3e6, "x": 1e6, "y": 1e6},
        [Model("a", ("trunk", "x")), Model("b", ("trunk", "y"))],
    )
    models = tuple(LoadingModel(name, 1e-3, 2e-3, 8) for name in "ab")
    return Costs(library, Link((Stage(1e9, 0.0),)), models, memory_bytes)


def test_a_simulation_begins_after_a_round() -> None:
    """With memory for both models, what the round loaded is not loaded again, nor counted."""
    trace = [Arrival(0.0, 0, 1.0)]
    found = simulated(costs(5e6), trace)
    assert (found.sent, found.in_time, found.batches, found.bytes_moved) == (1, 1, 1, 0)
    assert found.median_s == pytest.approx(3e-3)  # 1 + 2 ms, nothing to load
    assert replay(costs(5e6), trace, policy("urgency")).bytes_moved == 4e6


def test_what_the_round_dropped_is_loaded() -> None:
    """With memory for one model, the round ends with `b`, so `a` lacks its own megabyte."""
    found = simulated(costs(4e6), [Arrival(0.0, 0, 1.0), Arrival(0.5, 0, 0.5)])
    assert found.bytes_moved == pytest.approx(1e6)
    assert found.median_s == pytest.approx(4e-3)
    assert (found.sent, found.in_time, found.refused) == (2, 1, 1)


def test_the_overhead_is_added_to_each_request() -> None:
    """A request alone waits just so much longer; a negative measurement changes nothing."""
    trace = [Arrival(0.0, 0, 1.0)]
    laden = simulated(with_overhead(costs(5e6), 7e-3), trace)
    assert laden.median_s == pytest.approx(10e-3)
    assert with_overhead(costs(5e6), -1e-3).models == costs(5e6).models


def test_a_run_counts_from_when_its_trace_begins() -> None:
    """What the server counted before is taken off, model by model."""
    outcome = Outcome(10.0, 4, 3, 1, 0, 0, 0, 0.1, 0.2, 0.0, None)
    before = Counted({"a": 2}, {"a": 3}, 1, 4.0, 0.5, 0.25)
    after = Counted({"a": 3, "b": 2}, {"a": 5, "b": 2}, 3, 10.0, 1.5, 2.25)
    counted = after.since(before)
    assert counted == Counted({"a": 1, "b": 2}, {"a": 2, "b": 2}, 2, 6.0, 1.0, 2.0)
    found = of_run(outcome, counted)
    assert (found.batches, found.bytes_moved, found.loading_s, found.computing_s) == (3, 6, 1, 2)
    assert (found.sent, found.in_time, found.late, found.refused) == (4, 3, 1, 0)


def test_prices_are_those_of_the_run() -> None:
    """2 MB in 4 ms instead of 2, and batches of 1 and 2 in 4 ms instead of 3 + 5: what loads and
    what computes is scaled apart; a run that did neither changes nothing."""
    run = Counted({"a": 1, "b": 1}, {"a": 1, "b": 2}, 1, 2e6, 4e-3, 4e-3)
    found = at_prices(costs(5e6), run)
    assert found.loading.seconds(2e6) == pytest.approx(4e-3)
    assert found.compute_seconds(0, 1) == pytest.approx(1.5e-3)
    still = at_prices(costs(5e6), Counted({}, {}, 0, 0.0, 0.0, 0.0))
    assert (still.loading, still.models) == (costs(5e6).loading, costs(5e6).models)


def test_errors_are_signed() -> None:
    """Shares differ in points of what was sent, other figures in % of the run's."""
    other = replace(FIGURES, in_time=6, bytes_moved=250.0, late=0)
    errors = {row.name: row.error(FIGURES, other) for row in ROWS}
    assert errors["in_time"] == pytest.approx(-20)  # 60 - 80 %
    assert errors["late"] == pytest.approx(-10)
    assert errors["bytes_moved"] == pytest.approx(25)
    assert errors["batches"] == 0


def test_the_typical_error_is_the_median_of_absolutes() -> None:
    """|6 - 8| / 8, |8 - 8| / 8 and |12 - 8| / 8 have the median 0.25; something of nothing is
    infinite, nothing of nothing is right."""
    pairs = [(FIGURES, replace(FIGURES, in_time=count)) for count in (6, 8, 12)]
    assert typical_error(pairs, "in_time") == pytest.approx(0.25)
    still = replace(FIGURES, bytes_moved=0.0)
    assert typical_error([(still, FIGURES)], "bytes_moved") == math.inf
    assert typical_error([(still, still)], "bytes_moved") == 0


def test_a_counter_is_summed_over_its_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a comment nor a counter with a longer name is read; an absent one is None."""
    text = (
        "# HELP trunkline_batches_total Batches.\n"
        'trunkline_batches_total{model="a"} 2.0\ntrunkline_batches_total{model="b"} 3.0\n'
        'trunkline_batches_failed_total{model="b"} 1.0\ntrunkline_stuck_total 4.0\n'
    )
    answer = SimpleNamespace(data=text.encode())
    monkeypatch.setattr(own, "HTTP", SimpleNamespace(request=lambda *_: answer))
    server = Own.__new__(Own)
    server.url = "http://there"
    assert server.total("batches") == 5
    assert server.values("batches_total") == {"a": 2, "b": 3}
    assert server.total("stuck") == 4
    assert server.total("moved_bytes") is None
    assert server.bytes_moved() is None


@pytest.mark.parametrize("text", ["poisson", "poisson:-1", "poisson:x", "storms:0", "bursts:nan"])
def test_a_law_that_is_none(text: str) -> None:
    """A law has arrivals that are known, and an exponent of at least 0."""
    with pytest.raises(argparse.ArgumentTypeError):
        law(text)


def test_laws() -> None:
    """What an option says, and what a table calls it."""
    assert law("bursts:0.9") == Law("bursts", 0.9)
    assert [str(law(one)) for one in ("bursts:0.9", "poisson:0")] == [
        "bursts, Zipf 0.9",
        "poisson, uniform",
    ]


def test_what_could_be_reached() -> None:
    """With memory for one model, after a round that ends with `b`: `a` comes at 2 ms and is due
    after a load of 1 MB and a forward, 4 ms. Ours begins with `b`, which came first and can wait;
    who knows waits for `a`, and with memory for both nobody loads anything."""
    trace = [Arrival(0.0, 1, 1.0), Arrival(2e-3, 0, 6e-3)]
    found = reach(costs(4e6), trace)
    assert (found.ours, found.foreseen, found.everything) == (0.5, 1.0, 1.0)
    assert reach(costs(4e6), []) == Reach(0.0, 0.0, 0.0)
