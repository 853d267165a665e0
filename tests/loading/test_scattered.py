"""Paths through scattered models: their loads and the exact split of tasks."""

from __future__ import annotations

from itertools import permutations, product

import pytest

import trunkline
from trunkline.loading.scattered import Scattered
from trunkline.loading.schedule import batches_of
from trunkline.loading.service import Reading, service_of


def brute_split(scattered: Scattered, path: tuple[int, ...]) -> tuple[int, float] | None:
    """The most tasks along a path, and the least seconds for them, over every choice of counts."""
    best: tuple[int, float] | None = None
    choices = [range(1, scattered.tables[i].size) for i in path]
    for *counts, rest in product(*choices, range(scattered.rest.size)):
        seconds = scattered.load_s(path) + scattered.rest[rest]
        seconds += sum(scattered.tables[i][k] for i, k in zip(path, counts, strict=True))
        tasks = sum(counts) + rest
        if seconds <= scattered.limit_s and (
            best is None or (tasks, -seconds) > (best[0], -best[1])
        ):
            best = tasks, seconds
    return best


@pytest.mark.parametrize("steps", ["ascending", "any"])
def test_splits_equal_brute_force(make_scattered, steps):
    """The most tasks in time along a path, in the least time, for every path of up to 3 models."""
    for seed in range(12):
        scattered = make_scattered(seed, 4, steps=steps)
        for length in range(4):
            for path in permutations(range(4), length):
                split, expected = scattered.split(path), brute_split(scattered, path)
                if expected is None:
                    assert split is None
                    continue
                assert (split.served, split.seconds) == (expected[0], pytest.approx(expected[1]))
                assert split.served == sum(split.counts) + split.rest
                assert all(split.counts)


def test_without_path_serves_the_rest_alone(make_scattered):
    """Visiting none of the models is the split of the empty path."""
    for seed in range(10):
        scattered = make_scattered(seed)
        assert scattered.without_path == scattered.split([])


def test_paths_take_as_long_as_their_batches(make_problem):
    """A path's seconds are those of the batches that are made of it."""
    seen = 0
    for seed in range(40):
        problem = make_problem(seed, "scattered", seed % 2 == 0)
        service = service_of(problem, Reading())
        scattered = Scattered.of(
            problem.library.components, service, problem.library, problem.loading
        )
        path = range(len(scattered))
        split = scattered.split(path)
        if split is None or not path:
            continue
        visits = [(scattered.models[i], k) for i, k in zip(path, split.counts, strict=True)]
        batches = batches_of(problem, service, visits)
        assert batches[-1].finish_s == pytest.approx(split.seconds)
        seen += 1
    assert seen > 10


def test_tables_are_cut_where_no_load_leaves_time():
    """A model whose quickest load and first task pass the deadline is left out."""
    costs = {"seconds_per_batch": 1.0, "seconds_per_task": 1.0, "max_batch": 9}
    document = {
        "format": "trunkline/loading-problem/1",
        "deadline_s": 10.0,
        "bandwidth_hz": 1.0,
        "loading": [{"overhead_s": 0.0, "bytes_per_s": 1.0}],
        "blocks": {"a": 4, "b": 6, "big": 9},
        "models": [
            {"id": "A", "blocks": ["a", "b"], **costs},
            {"id": "B", "blocks": ["b"], **costs},
            {"id": "C", "blocks": ["a", "big"], **costs},
        ],
        "tasks": [
            {"id": f"{m}{k}", "model": m, "upload_bits": 0, "bits_per_s_per_hz": 0}
            for m in "ABC"
            for k in range(8)
        ],
    }
    problem = trunkline.load(document)
    service = service_of(problem, Reading())
    scattered = Scattered.of(problem.library.components, service, problem.library, problem.loading)
    # A after B loads 4 s: 6 left, 1 for the batch, so 5 tasks; B after A loads nothing: 8 tasks
    # (1 + 8 = 9 s); C after A still loads 9 s, and a batch takes 2: out
    most = [table.size - 1 for table in scattered.tables]
    assert dict(zip((problem.models[i].id for i in scattered.models), most, strict=True)) == {
        "A": 5,
        "B": 8,
    }
