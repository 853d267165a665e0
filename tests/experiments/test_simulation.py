"""One trace in several ways: which ways there are, and what their figures mean."""

from __future__ import annotations

import json

import pytest

from trunkline.errors import UnknownMethodError
from trunkline.experiments.simulation import WAYS, rate_of, simulate, units_of_patience, ways
from trunkline.experiments.traces import Arrival
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel
from trunkline.loading.online import Costs

COSTS = Costs(
    ModelLibrary(
        {"trunk": 3.0, "a": 1.0, "b": 2.0},
        [Model("a", ("trunk", "a")), Model("b", ("trunk", "b"))],
    ),
    Link((Stage(1.0),)),
    tuple(LoadingModel(name, 1.0, 0.5, 2) for name in "ab"),
    9.0,
)


def test_ways_by_name() -> None:
    """Each once, in the order given; all for nothing or `all`; unknown names are refused."""
    assert ways(" edf, lru,edf") == ["edf", "lru"]
    assert ways(None) == ways("all") == list(WAYS)
    for text, message in (
        ("edf,best", "no policy 'best'; there are all, urgency.*lru"),
        (",", "names none"),
    ):
        with pytest.raises(UnknownMethodError, match=message):
            ways(text)


def test_lru_is_first_come_first_served_with_whole_models() -> None:
    """a at 0 moves 4 bytes both ways; b then its own 2, or all 5 of it."""
    trace = [Arrival(0.0, 0, 50.0), Arrival(1.0, 1, 50.0)]
    fcfs, lru = simulate(COSTS, trace, ["fcfs", "lru"], requests_per_s=1.0)
    assert (fcfs.partial, fcfs.replay.bytes_moved) == (True, 6.0)
    assert (lru.partial, lru.replay.bytes_moved) == (False, 9.0)
    assert lru.replay.bytes_asked == fcfs.replay.bytes_asked == 9.0


def test_figures_of_nobody_are_a_document() -> None:
    """Where nobody is answered there are no quantiles, and nothing that JSON could not say."""
    (outcome,) = simulate(COSTS, [Arrival(0.0, 0, 1.0)], ["edf"], requests_per_s=0.0)
    found = outcome.to_dict()
    assert (found["answered"], found["refused"], found["goodput"]) == (0, 1, 0.0)
    assert found["wait_p50_s"] is found["wait_p99_s"] is found["decision_s"] is None
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_patience_is_counted_in_whole_loads() -> None:
    """a: 4 s and 1.5 s; b: 5 s and 1.5 s."""
    assert units_of_patience(COSTS) == [5.5, 6.5]


def test_the_rate_of_a_trace() -> None:
    """Three requests in 4 s come every 2 s; one alone has no rate."""
    trace = [Arrival(at, 0, at) for at in (1.0, 2.0, 5.0)]
    assert rate_of(trace) == 0.5
    assert rate_of(trace[:1]) == rate_of([]) == 0.0
