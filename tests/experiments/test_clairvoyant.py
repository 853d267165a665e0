"""The bound on what any policy answers: never passed, and tight where a person can see it."""

from __future__ import annotations

import random

import pytest

from trunkline.experiments.clairvoyant import clairvoyant_bound
from trunkline.experiments.online import replay
from trunkline.experiments.traces import Arrival
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel
from trunkline.loading.online import Costs
from trunkline.loading.policies import POLICIES, policy


def costs(memory: float | None, *, partial: bool = True, overhead_s: float = 0.0) -> Costs:
    """Models a, b of 4 bytes on a trunk of 3, c of 5 alone; a byte loads in a second."""
    library = ModelLibrary(
        {"trunk": 3.0, "a": 1.0, "b": 1.0, "c": 5.0},
        [Model("a", ("trunk", "a")), Model("b", ("trunk", "b")), Model("c", ("c",))],
    )
    models = tuple(LoadingModel(name, 1.0, 0.5, 2) for name in "abc")
    return Costs(library, Link((Stage(1.0, overhead_s),)), models, memory, partial)


def random_trace(seed: int, requests: int, seconds: float) -> list[Arrival]:
    """Requests for three models that wait for 2 to 20 s."""
    rng = random.Random(seed)
    arrivals = sorted(rng.uniform(0, seconds) for _ in range(requests))
    return [
        Arrival(at, rng.randrange(3), at + rng.uniform(2, 20), rng.choice((1, 1, 2)))
        for at in arrivals
    ]


@pytest.mark.parametrize("slots", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("partial", [True, False])
def test_no_policy_passes_it(slots: float, partial: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under any budget, overhead and load, cut into parts or not, no policy answers more."""
    monkeypatch.setattr("trunkline.experiments.clairvoyant.SLOTS_A_PART", 6)
    for seed in range(12):
        trace = random_trace(seed, 60, random.Random(seed).choice((30.0, 90.0, 300.0)))
        for memory in (None, 5.0, 9.0):
            of = costs(memory, partial=partial, overhead_s=0.5 * (seed % 2))
            bound = clairvoyant_bound(of, trace, slots)
            for name in POLICIES:
                for ahead in (True, False):
                    assert replay(of, trace, policy(name), ahead).served <= bound


def test_a_link_that_is_too_slow() -> None:
    """Requests wait for 6.5 s, one slot, and the link brings 6.5 bytes in it: c's 5 for three of
    them, and 1.5 bytes, three eighths of what a's one request needs: 3.375, so 3. With memory for
    less than c, a's alone."""
    trace = [Arrival(0.0, model, 6.5) for model in (0, 2, 2, 2)]
    assert clairvoyant_bound(costs(9.0), trace, 1.0) == 3
    assert clairvoyant_bound(costs(4.5), trace, 1.0) == 1


def test_an_overhead_counts_once_a_load() -> None:
    """The own bytes of a and b come in two loads. With the trunk they are 5 bytes, and in time;
    with an overhead of 4 s a load they take 13 s, and there is time for half of each: 1."""
    trace = [Arrival(0.0, model, 6.5) for model in (0, 1)]
    assert clairvoyant_bound(costs(9.0), trace, 1.0) == 2
    assert clairvoyant_bound(costs(9.0, overhead_s=4.0), trace, 1.0) == 1


def test_a_device_that_is_too_slow() -> None:
    """Of 30 requests for c due by 10 s, each half of a batch of 2 s, at most 10 are computed,
    however fast the link is."""
    of = costs(9.0)
    fast = Costs(of.library, Link((Stage(1e9),)), of.models, 9.0)
    trace = [Arrival(0.0, 2, 10.0) for _ in range(30)]
    assert clairvoyant_bound(fast, trace) == 10


def test_what_never_can_be_answered_does_not_count() -> None:
    """Nobody, those due too soon, those of a model larger than the memory and those of more samples
    than a batch takes."""
    assert clairvoyant_bound(costs(9.0), []) == 0
    assert clairvoyant_bound(costs(9.0), [Arrival(5.0, 0, 6.4)]) == 0
    assert clairvoyant_bound(costs(4.0), [Arrival(5.0, 2, 600.0)]) == 0
    assert clairvoyant_bound(costs(9.0), [Arrival(5.0, 0, 600.0, 3)]) == 0


def test_without_time_every_request_counts() -> None:
    """A part that is not solved in time is bounded by its requests."""
    trace = random_trace(0, 40, 30.0)
    assert clairvoyant_bound(costs(9.0), trace, time_limit_s=0.0) == 40
    assert clairvoyant_bound(costs(9.0), trace) < 40


def test_who_can_wait_for_years_counts() -> None:
    """Requests without hurry make no programme of a billion slots; the others are bounded beside
    them, wherever they are in time."""
    hurried = [Arrival(1e6, model, 1e6 + 6.5) for model in (0, 2, 2, 2)]
    first = [Arrival(0.0, model, 6.5) for model in (0, 2, 2, 2)]
    assert (
        clairvoyant_bound(costs(9.0), [*first, *hurried, Arrival(0.0, 0, 1e15)], 1.0) == 3 + 4 + 1
    )
