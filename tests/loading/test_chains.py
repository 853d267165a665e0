"""Greedy chains as starts of the search."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from trunkline.loading import chains
from trunkline.loading.chains import greedy_chains
from trunkline.loading.filling import Filling
from trunkline.timing import TimeLimit

FOREVER = TimeLimit(None)


def test_chains_are_paths_in_time_the_best_first(make_scattered):
    """Every chain visits models once and can be in time; none serves more than the first, and each
    begins with another model."""
    for seed in range(30):
        scattered = make_scattered(seed, 8)
        found = greedy_chains(scattered, Filling(scattered), FOREVER)
        splits = [scattered.split(path) for path in found]
        assert all(len(set(path)) == len(path) for path in found)
        assert None not in splits
        assert len({path[0] for path in found}) == len(found)
        assert [s.served for s in splits] == sorted((s.served for s in splits), reverse=True)
        alone = [i for i in range(8) if scattered.split([i]) is not None]
        assert sorted(path[0] for path in found) == alone


def test_a_chain_by_hand(make_scattered):
    """The next model is the one with the most tasks per second, given the last."""
    scattered = make_scattered(2, 8)
    [path, *_] = greedy_chains(scattered, Filling(scattered), FOREVER)
    for last, following in pairwise(path):
        rates = [
            (table.size - 1)
            / (scattered.whole_s[i] - scattered.saved_s[last, i] + float(table[-1]))
            for i, table in enumerate(scattered.tables)
        ]
        left = [i for i in range(8) if i not in path[: path.index(following)]]
        assert following == max(left, key=lambda i: rates[i])


def test_of_many_models_some_begin(make_scattered, monkeypatch):
    """With more models than chains the starts are spread over the models."""
    monkeypatch.setattr(chains, "MAX_CHAINS", 3)
    scattered = make_scattered(1, 8)
    found = greedy_chains(scattered, Filling(scattered), FOREVER)
    assert {path[0] for path in found} <= set(np.arange(0, 8, 3).tolist())
