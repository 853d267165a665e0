"""Serving as requests come: batches that can be met, evictions that are needed, rules by hand."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loading.views import costs, view
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import online
from trunkline.loading.online import Costs, Waiting, evictions
from trunkline.loading.problem import LoadingModel


def test_only_what_is_lacking_is_charged() -> None:
    """With a's blocks there: a loads nothing, b its own 2 bytes, c all 4; whole models: 8 for b."""
    assert view(costs(), [], "a").load_s == [0.0, 2.0, 4.0]
    assert view(costs(partial=False), [], "a").load_s == [0.0, 8.0, 4.0]


@given(
    deadlines=st.lists(st.integers(0, 40).map(lambda i: i / 4), max_size=7),
    tasks=st.lists(st.integers(1, 3), min_size=7, max_size=7),
    resident=st.sampled_from(["", "a", "b", "c"]),
)
def test_batches_are_met_whole(deadlines: list[float], tasks: list[int], resident: str) -> None:
    """Every request of a batch ends in time, the batch is not too large, and it is empty only where
    no request could be met even alone."""
    waiting = [Waiting(d, 0.0, i, 0, tasks[i]) for i, d in enumerate(deadlines)]
    seen = view(costs(), waiting, resident)
    batch = seen.batch(0)
    finish = seen.finish_s(0, batch)
    assert all(one.deadline_s >= finish for one in batch)
    assert sum(one.tasks for one in batch) <= 3
    assert len(set(batch)) == len(batch)
    alone = [one for one in waiting if one.deadline_s >= seen.finish_s(0, (one,))]
    assert bool(batch) == bool(alone)
    assert set(seen.hopeless()) == set(waiting) - set(alone)


@given(deadlines=st.lists(st.integers(0, 40).map(lambda i: i / 4), max_size=7))
def test_a_batch_of_single_tasks_is_as_large_as_can_be(deadlines: list[float]) -> None:
    """No set of more requests could end in time together (all subsets tried)."""
    waiting = [Waiting(d, 0.0, i, 2) for i, d in enumerate(deadlines)]
    seen = view(costs(mu=0.5), waiting)
    most = max(
        (
            size
            for size in range(1, 4)
            for some in combinations(waiting, size)
            if all(one.deadline_s >= seen.finish_s(2, some) for one in some)
        ),
        default=0,
    )
    assert len(seen.batch(2)) == most


@given(
    deadlines=st.lists(st.integers(0, 16).map(lambda i: i / 4), max_size=9),
    tasks=st.lists(st.integers(1, 6), min_size=9, max_size=9),
    times=st.integers(1, 3),
    largest=st.integers(1, 14),
)
def test_no_request_is_skipped_to_save_time(
    deadlines: list[float], tasks: list[int], times: int, largest: int
) -> None:
    """The batch is the one found where each deadline looks at all that follow."""
    waiting = sorted(Waiting(d, 0.0, i, 0, times * tasks[i]) for i, d in enumerate(deadlines))
    seen = view(costs(max_batch=largest), waiting, "a")
    best: list[Waiting] = []
    for place, first in enumerate(waiting):
        some: list[Waiting] = []
        for one in waiting[place:]:
            samples = sum(other.tasks for other in (*some, one))
            if samples <= largest and seen.finish_s(0, (*some, one)) <= first.deadline_s:
                some.append(one)
        best = max(best, some, key=lambda chosen: sum(one.tasks for one in chosen))
    assert seen.batch(0) == tuple(best)


def test_requests_that_fill_no_batch_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 of two samples, at most three in a batch: of two there is nothing better to be found by
    looking at all that follow each."""
    looked, fill = [], online._fill

    def watched(*args: Any) -> Any:
        looked.append(args)
        return fill(*args)

    monkeypatch.setattr(online, "_fill", watched)
    waiting = [Waiting(100.0 + key, 0.0, key, 0, 2) for key in range(100)]
    assert view(costs(), waiting, "a").batch(0) == (waiting[0],)
    assert len(looked) == 1


@given(
    memory=st.integers(8, 13),
    resident=st.sampled_from(["", "a", "ab", "ac", "abc", "c"]),
    waiting=st.lists(st.integers(0, 2), max_size=6),
    model=st.integers(0, 2),
    partial=st.booleans(),
)
def test_evictions_make_room_and_no_more(
    memory: int, resident: str, waiting: list[int], model: int, partial: bool
) -> None:
    """What stays fits, the model's own blocks never leave, and the last piece to go was needed."""
    of = costs(memory, partial=partial)
    seen = view(of, [Waiting(9.0, 0.0, i, m) for i, m in enumerate(waiting)], resident)
    gone = evictions(seen, model)
    needs = of.holds[model]
    assert not (gone & needs).any()
    assert not (gone & ~seen.resident).any()
    after = (seen.resident & ~gone) | needs
    assert of.sizes @ after <= memory
    if gone.any():
        least = min(of.sizes[gone])
        assert of.sizes @ after + least > memory or len(of.sizes[gone]) > 1


def test_what_nobody_waits_for_leaves_first() -> None:
    """With requests for b waiting, room for c is made of a's own block and not of the trunk."""
    of = costs(12.0)
    seen = view(of, [Waiting(9.0, 0.0, 1, 1)], "ab")  # 9 bytes; c needs 4
    gone = {of.blocks[place] for place in np.flatnonzero(evictions(seen, 2))}
    assert gone == {("a",)}


def cut(parts: int, memory: float = 16.0) -> Costs:
    """Models a and b of four blocks of four bytes each, and s of a byte; nothing is shared."""
    blocks = {f"{name}{n}": 4.0 for name in "ab" for n in range(4)} | {"s0": 1.0}
    models = [Model(name, tuple(one for one in blocks if one[0] == name)) for name in "abs"]
    computing = tuple(LoadingModel(name, 0.5, 0.1, 3) for name in "abs")
    library = ModelLibrary(blocks, models)
    return Costs(library, Link((Stage(1.0),)), computing, memory, parts=parts)


def test_little_leaves_beyond_what_a_load_needs() -> None:
    """a fills the memory; a byte of s drives out all of a, or a quarter where pieces are cut."""
    for parts, gone in ((1, 16.0), (4, 4.0), (2, 8.0)):
        of = cut(parts)
        leaves = evictions(view(of, [], "a"), 2)
        assert leaves is not None
        assert of.sizes @ leaves == gone


@given(st.integers(1, 40), st.integers(0, 2**20 - 1))
def test_cut_pieces_are_the_same_blocks(parts: int, resident: int) -> None:
    """Each block is in one piece, with the models that hold it; no piece of several blocks is
    larger than its part of the memory; what loads take does not depend on the cut."""
    of, whole = cut(parts), cut(1)
    assert sorted(one for piece in of.blocks for one in piece) == sorted(of.library.blocks)
    for piece, size, held in zip(of.blocks, of.sizes, of.holds.T, strict=True):
        assert size == of.library.bytes_of(piece)
        assert len(piece) == 1 or size <= 16.0 / parts or parts == 1
        wanted = [set(piece) <= set(model.blocks) for model in of.library]
        assert held.tolist() == wanted
    there = [one for n, one in enumerate(of.library.blocks) if resident >> n & 1]
    pieces = {one for piece in whole.blocks if set(piece) <= set(there) for one in piece}
    assert whole.load_seconds(whole.where(pieces)) == of.load_seconds(of.where(pieces))
