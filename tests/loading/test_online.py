"""Serving as requests come: batches that can be met, evictions that are needed, rules by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import UnknownMethodError
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel
from trunkline.loading.online import (
    POLICIES,
    Choice,
    Costs,
    Queue,
    View,
    Waiting,
    evictions,
    policy,
)

BLOCKS = {"trunk": 6.0, "a": 1.0, "b": 2.0, "c": 3.0, "c2": 1.0}


def costs(
    memory: float | None = None, *, partial: bool = True, max_batch: int = 3, mu: float = 0.1
) -> Costs:
    """Three models: a and b on one trunk, c alone; a byte loads in a second."""
    library = ModelLibrary(
        BLOCKS,
        [Model("a", ("trunk", "a")), Model("b", ("trunk", "b")), Model("c", ("c", "c2"))],
    )
    models = tuple(LoadingModel(name, 0.5, mu, max_batch) for name in "abc")
    return Costs(library, Link((Stage(1.0),)), models, memory, partial)


def view(of: Costs, waiting: list[Waiting], resident: str = "", now_s: float = 0.0) -> View:
    """A view with the blocks of these models resident."""
    queue = Queue(len(of.models))
    for one in waiting:
        queue.add(one)
    there = np.zeros(len(of.sizes), dtype=bool)
    for name in resident:
        there |= of.holds[of.library.index(name)]
    return View(of, now_s, queue, there, np.zeros(3), np.zeros(len(of.sizes)))


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


def test_the_rules_choose_as_they_say() -> None:
    """c came first; a has the earliest deadline; b has three requests for nothing but its compute
    (0.8 s); with b's deadline far off and a's near (loading 1 s), `urgency` prefers a."""
    waiting = [
        Waiting(90.0, 0.0, 1, 2),
        Waiting(5.0, 1.0, 2, 0),
        *(Waiting(80.0, 2.0, key, 1) for key in (3, 4, 5)),
    ]
    seen = view(costs(), waiting, "b")
    chosen = {name: rule(seen) for name, rule in POLICIES.items()}
    assert {name: one.model for name, one in chosen.items() if one} == {
        "fcfs": 2,
        "edf": 0,
        "greatest-rate": 1,
        "urgency": 0,
    }
    assert chosen["greatest-rate"] == Choice(1, tuple(waiting[2:]))


@pytest.mark.parametrize("name", POLICIES)
def test_nothing_to_serve(name: str) -> None:
    """An empty queue, or one that cannot be met, gives no choice; zero costs divide nothing."""
    rule = policy(name)
    assert rule(view(costs(), [])) is None
    assert rule(view(costs(), [Waiting(1.0, 0.0, 1, 0)])) is None
    free = Costs(costs().library, Link(), tuple(LoadingModel(n, 0.0, 0.0, 1) for n in "abc"), None)
    found = rule(view(free, [Waiting(0.0, 0.0, 1, 0)]))
    assert found is not None
    assert found.model == 0


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


def test_an_unknown_policy() -> None:
    """The message names those there are."""
    with pytest.raises(UnknownMethodError, match="no policy 'best'; there are urgency"):
        policy("best")
