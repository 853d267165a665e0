"""Replays: everybody is accounted for, by hand and at random."""

from __future__ import annotations

import random

import pytest

from trunkline.experiments.online import replay
from trunkline.experiments.traces import Arrival
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel
from trunkline.loading.online import Costs
from trunkline.loading.policies import POLICIES, policy


def costs(memory: float | None, *, partial: bool = True) -> Costs:
    """Models a, b of 4 bytes on a trunk of 3, c of 5 alone; a byte loads in a second."""
    library = ModelLibrary(
        {"trunk": 3.0, "a": 1.0, "b": 1.0, "c": 5.0},
        [Model("a", ("trunk", "a")), Model("b", ("trunk", "b")), Model("c", ("c",))],
    )
    models = tuple(LoadingModel(name, 1.0, 0.5, 2) for name in "abc")
    return Costs(library, Link((Stage(1.0),)), models, memory, partial)


def test_a_trace_by_hand() -> None:
    """a at 0: 4 s of load, 1.5 of compute, done at 5.5. Then b (came at 1, due at 9): its own byte
    and 1.5 s, done at 8. c (came at 2, due at 8) would end at 5.5 + 5 + 1.5 = 12: refused. After a
    pause, two of a at 20, one batch: 1 + 1 + 2 * 0.5, done at 23 (a's byte had to go for b)."""
    trace = [
        Arrival(0.0, 0, 6.0),
        Arrival(1.0, 1, 9.0),
        Arrival(2.0, 2, 8.0),
        Arrival(20.0, 0, 23.0),
        Arrival(20.0, 0, 24.0),
    ]
    found = replay(costs(None), trace, policy("edf"))
    assert (found.received, found.served, found.refused, found.late) == (5, 4, 1, 0)
    assert found.waits_s.tolist() == [5.5, 7.0, 3.0, 3.0]
    assert (found.bytes_moved, found.bytes_asked, found.batches) == (6.0, 12.0, 3)
    assert (found.finish_s, found.loading_s, found.computing_s) == (23.0, 6.0, 5.0)
    assert found.goodput == 4 / 5
    assert found.wait_s(1.0) == 7.0


def test_the_next_model_loads_beside_the_computing_one() -> None:
    """With memory for both, b's byte comes while a computes (4 to 5.5): b is done at 7, and not at
    8; with `ahead` False at 8."""
    trace = [Arrival(0.0, 0, 6.0), Arrival(1.0, 1, 9.0)]
    assert replay(costs(5.0), trace, policy("edf")).finish_s == 7.0
    assert replay(costs(5.0), trace, policy("edf"), ahead=False).finish_s == 8.0


def test_whole_models_move_whole() -> None:
    """The same without sharing: b loads all 4 bytes and ends at 5.5 + 4 + 1.5 = 11, too late."""
    trace = [Arrival(0.0, 0, 6.0), Arrival(1.0, 1, 9.0)]
    found = replay(costs(None, partial=False), trace, policy("edf"))
    assert (found.served, found.refused, found.bytes_moved) == (1, 1, 4.0)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("partial", [True, False])
def test_everybody_is_accounted_for(name: str, partial: bool) -> None:
    """Under any policy and budget, random traces: received = served + refused + late, none late
    (times are certain here), and with memory for everything every block moves at most once."""
    for seed in range(20):
        rng = random.Random(seed)
        trace = []
        for _ in range(30):
            at = rng.uniform(0, 60)
            trace.append(Arrival(at, rng.randrange(3), at + rng.uniform(0, 20)))
        roomy = costs(13.0 if not partial else 10.0, partial=partial)
        for one in (costs(None, partial=partial), costs(6.0, partial=partial), roomy):
            found = replay(one, trace, policy(name))
            assert found.received == 30 == found.served + found.refused + found.late
            assert found.late == 0
            assert found.served == found.waits_s.size
            assert max(found.loading_s, found.computing_s) <= found.finish_s + 1e-9
        assert found.bytes_moved <= (13.0 if not partial else 10.0)


def test_an_empty_trace() -> None:
    """Nothing received, nothing lost."""
    found = replay(costs(None), [], policy("urgency"))
    assert (found.received, found.goodput, found.finish_s) == (0, 1.0, 0.0)
