"""What a perfect forecast could reach: plans that can be carried out, no better than optimal."""

from __future__ import annotations

import random

import pytest

from trunkline.experiments.clairvoyant import clairvoyant_bound
from trunkline.experiments.foresight import foreseen
from trunkline.experiments.online import replay
from trunkline.experiments.traces import Arrival
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel, LoadingProblem, Task
from trunkline.loading.online import Costs
from trunkline.loading.policies import policy
from trunkline.loading.solve import solve


def costs(memory: float | None, *, partial: bool = True) -> Costs:
    """Models a, b of 4 bytes on a trunk of 3, c of 5 alone; a byte loads in a second, n samples
    compute in 1 + n / 2 s, two at most."""
    library = ModelLibrary(
        {"trunk": 3.0, "a": 1.0, "b": 1.0, "c": 5.0},
        [Model("a", ("trunk", "a")), Model("b", ("trunk", "b")), Model("c", ("c",))],
    )
    models = tuple(LoadingModel(name, 1.0, 0.5, 2) for name in "abc")
    return Costs(library, Link((Stage(1.0),)), models, memory, partial)


def test_it_waits_for_who_will_come() -> None:
    """a comes at 1 and is due at 6.6, 5.5 s after the latest begin. Who serves c at 0, as every
    policy does, is busy until 6.5; who waits answers both."""
    trace = [Arrival(0.0, 2, 100.0), Arrival(1.0, 0, 6.6)]
    assert replay(costs(9.0), trace, policy("urgency"), ahead=False).served == 1
    assert foreseen(costs(9.0), trace) == 2


def test_it_keeps_what_is_needed_soonest() -> None:
    """With room for a and b, but not for c beside either's trunk: a (until 5.5), c (12), and b, due
    at 13.5 or at 14.5, has to load 4 bytes after c, but 1 before it: a, b (8), c (14.5), due at 15.
    """
    first = [Arrival(0.0, 0, 5.5), Arrival(0.0, 2, 15.0)]
    assert foreseen(costs(6.0), [*first, Arrival(0.0, 1, 14.5)]) == 3
    assert foreseen(costs(6.0), [*first, Arrival(5.6, 1, 7.0)]) == 2


@pytest.mark.parametrize("memory", [None, 5.0, 9.0])
def test_no_plan_of_it_passes_the_optimum(memory: float | None) -> None:
    """Of six requests it answers no more than an optimal plan with the same deadlines, arrivals and
    memory, and as many nearly always."""
    of, same = costs(memory), 0
    for seed in range(25):
        rng = random.Random(seed)
        trace = [
            Arrival(at, rng.randrange(3), at + rng.uniform(4, 16))
            for at in sorted(rng.uniform(0, 20) for _ in range(6))
        ]
        tasks = tuple(
            Task(str(key), of.models[one.model].id, 0.0, 1.0, one.arrival_s, one.deadline_s)
            for key, one in enumerate(trace)
        )
        problem = LoadingProblem(
            40.0, 1.0, of.loading, of.library, of.models, tasks, memory_bytes=memory
        )
        plan = solve(problem, "optimal")
        assert plan.proven
        best = sum(len(batch.tasks) for batch in plan.batches)
        found = foreseen(of, trace)
        assert found <= best
        assert found <= clairvoyant_bound(of, trace)
        same += found == best
    assert same >= 23, same


def test_samples_and_whole_models() -> None:
    """Two samples fill a batch of c (5 + 2 s), a third request has to follow; who has more than a
    batch takes, and who is larger than the memory, is never answered. Whole models share nothing:
    b loads its trunk again."""
    assert foreseen(costs(9.0), [Arrival(0.0, 2, 7.0, 2), Arrival(0.0, 2, 7.0)]) == 1
    assert foreseen(costs(9.0), [Arrival(0.0, 2, 7.0, 2), Arrival(0.0, 2, 8.5)]) == 2
    assert foreseen(costs(9.0), [Arrival(0.0, 2, 90.0, 3)]) == 0
    assert foreseen(costs(4.0), [Arrival(0.0, 2, 90.0)]) == 0
    both = [Arrival(0.0, 0, 8.0), Arrival(0.0, 1, 8.0)]
    assert foreseen(costs(9.0), both) == 2
    assert foreseen(costs(9.0, partial=False), both) == 1
    assert foreseen(costs(9.0), []) == 0
