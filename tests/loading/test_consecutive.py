"""Orders in which every set stands together."""

from __future__ import annotations

import random
from itertools import permutations

from trunkline.loading.consecutive import consecutive_order


def together(order: list[int], members: set[int]) -> bool:
    """Whether the members stand together."""
    places = [order.index(one) for one in members]
    return not places or max(places) - min(places) < len(members)


def test_equals_brute_force():
    """An order is found exactly where some permutation has every set together, and it has them."""
    found = missing = 0
    for seed in range(1500):
        rng = random.Random(seed)
        n = rng.randint(3, 6)
        sets = [set(rng.sample(range(n), rng.randint(1, 3))) for _ in range(rng.randint(2, 6))]
        order = consecutive_order(range(n), sets)
        if order is None:
            missing += 1
            assert not any(
                all(together(list(p), s) for s in sets) for p in permutations(range(n))
            ), seed
        else:
            found += 1
            assert sorted(order) == list(range(n))
            assert all(together(order, s) for s in sets), seed
    assert min(found, missing) > 200


def test_intervals_of_a_hidden_order_are_found():
    """Sets that are intervals of some order of 60 items, shuffled, stand together in the result."""
    for seed in range(40):
        rng = random.Random(seed)
        hidden = rng.sample(range(60), 60)
        sets = []
        for _ in range(80):
            first = rng.randrange(60)
            sets.append(set(hidden[first : first + rng.randint(1, 20)]))
        order = consecutive_order(range(60), sets)
        assert order is not None
        assert all(together(order, s) for s in sets)


def test_three_ways_to_be_impossible():
    """A cycle of pairs, a star of three overlapping pairs, and a pair across a fixed order."""
    assert consecutive_order(range(3), [{0, 1}, {1, 2}, {0, 2}]) is None
    assert consecutive_order(range(4), [{0, 1}, {0, 2}, {0, 3}]) is None
    assert consecutive_order(range(4), [{0, 1}, {1, 2}, {2, 3}, {0, 3}]) is None
    assert consecutive_order(range(4), [{0, 1}, {1, 2}, {2, 3}]) in ([0, 1, 2, 3], [3, 2, 1, 0])
