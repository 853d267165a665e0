"""The local search over paths."""

from __future__ import annotations

from itertools import permutations

import pytest

from trunkline.loading.local_search import LocalSearch
from trunkline.timing import TimeLimit


def most(scattered) -> int:
    """The most tasks over all paths."""
    splits = [
        scattered.split(path)
        for length in range(len(scattered) + 1)
        for path in permutations(range(len(scattered)), length)
    ]
    return max(split.served for split in splits if split is not None)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("steps", ["ascending", "any"])
def test_finds_the_optimum_of_few_models(make_scattered, directed, steps):
    """On 40 problems of five models the best path of all is found, bar one or two, and what is
    found is a plan."""
    found = 0
    for seed in range(40):
        scattered = make_scattered(seed, 5, directed=directed, steps=steps)
        search = LocalSearch(scattered)
        search.run()
        path, split = search.best
        assert split == scattered.split(path)
        best = most(scattered)
        assert split.served <= best
        found += split.served == best
    assert found >= 38


def test_estimates_are_never_too_low(make_scattered):
    """What a change is worth at the price of the marginal task bounds what it really brings."""
    seen = 0
    for seed in range(30):
        scattered = make_scattered(seed, 7)
        search = LocalSearch(scattered)
        search.run(effort=5)
        for value, path in search.good:
            if value < 0:
                continue
            state = search._state(path)
            price = float(search._filling.price[state.level])
            for change in search._changes(state, price):
                old = state.path[change.at : change.at + change.out]
                tally, spent_s = search._after(state, change, old)
                visits = len(path) - change.out + (change.new >= 0)
                after, _ = search._filling.value(tally, visits, spent_s)
                if after >= 0:
                    assert after <= value + change.estimate_s / price + 1 + 1e-9
                    seen += 1
    assert seen > 200


def test_the_same_seed_gives_the_same_path(make_scattered):
    """A search with a fixed effort is deterministic; whatever the seed, the split is exact."""
    scattered = make_scattered(5, 12)
    results = []
    for seed in (0, 0, 1):
        search = LocalSearch(scattered, seed)
        search.run()
        results.append(search.best)
        assert results[-1][1] == scattered.split(results[-1][0])
    assert results[0] == results[1]


def test_it_stops_in_time_and_when_it_has_enough(make_scattered):
    """A limit that is up ends it after the first descent; so does having enough."""
    scattered = make_scattered(3, 12)
    for arguments in ({"limit": TimeLimit(0.0)}, {"enough": 1.0}):
        search = LocalSearch(scattered)
        search.run(**arguments)
        assert len(search.good) == 1


def test_no_models_leave_the_rest(make_scattered):
    """Without models, or where none can be visited, the rest's tasks are the plan."""
    for seed in (1, 3):
        scattered = make_scattered(seed, 4)
        search = LocalSearch(scattered)
        assert search.best == ([], scattered.without_path)
