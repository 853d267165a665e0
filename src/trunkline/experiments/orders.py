"""Exhaustive search over the orders of models, the peer of Fig. 9.

Every order of every set of models is tried, and in it every number of tasks for each of them; a
model serves its quickest tasks (Theorem 2), which is the only theorem used. In slots this is what
Algorithm 2 claims to find; in continuous time it is another way to what `optimal` finds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trunkline.errors import UnsupportedProblemError
from trunkline.loading import LoadingPlan, LoadingProblem
from trunkline.loading.schedule import batches_of, plan_of
from trunkline.loading.service import Reading, Service, Table, Upload, service_of
from trunkline.loading.slots import slots_in, slots_of
from trunkline.loading.subsets import load_seconds
from trunkline.loading.trie import Visit

MAX_MODELS = 6
"""With tasks for more models there are too many orders."""


@dataclass(frozen=True, slots=True)
class ExhaustiveOrders:
    """The planner of this module, named by its class."""

    def __call__(
        self, problem: LoadingProblem, *, upload: Upload = "sum", slot_s: float | None = None
    ) -> LoadingPlan:
        """`exhaustive_orders`."""
        return exhaustive_orders(problem, upload=upload, slot_s=slot_s)


def exhaustive_orders(
    problem: LoadingProblem, *, upload: Upload = "sum", slot_s: float | None = None
) -> LoadingPlan:
    """The plan that serves the most tasks among all orders and numbers of tasks.

    Args:
        slot_s: each visit takes whole slots of this length; None is continuous time.

    Raises:
        UnsupportedProblemError: tasks ask for more than `MAX_MODELS` models.
    """
    plain = problem.plain
    asked = len({task.model for task in problem.tasks})
    if plain is None or asked > MAX_MODELS:
        raise UnsupportedProblemError(
            f"an exhaustive search over orders takes one deadline and at most {MAX_MODELS} models "
            f"with tasks, here are {asked}"
        )
    service = service_of(plain, Reading(upload))
    search = _Search(plain, service, slot_s)
    search.extend((), np.zeros(()), np.zeros((), dtype=np.int64))
    batches = batches_of(plain, service, search.visits)
    return plan_of(problem, "orders", batches, bound=len(problem.tasks))


class _Search:
    """Orders, longer by one model at a time.

    Attributes:
        visits: those of the best plan so far.
    """

    def __init__(self, problem: LoadingProblem, service: Service, slot_s: float | None) -> None:
        self.visits: list[Visit] = []
        self._most = 0
        self._models = [i for i, table in enumerate(service.tables) if table.size > 1]
        self._slot_s = slot_s
        self._limit = service.limit_s if slot_s is None else slots_in(problem.deadline_s, slot_s)
        first, after = load_seconds(problem.library, problem.loading, self._models)
        loads = np.vstack([after, first])  # the last row, -1, follows no model
        self._needs = [
            [
                self._in_slots(service.tables[i][1:] + load)
                for i, load in zip(self._models, row, strict=True)
            ]
            for row in loads
        ]

    def _in_slots(self, seconds: Table) -> Table:
        """What a visit takes on the clock in use."""
        return seconds if self._slot_s is None else np.maximum(slots_of(seconds, self._slot_s), 1)

    def extend(self, order: tuple[int, ...], total: Table, served: NDArray[np.int64]) -> None:
        """Try every model after an order.

        Args:
            order: models, numbered as in `self._models`.
            total, served: time taken and tasks served for every choice of numbers of tasks; one
                axis a model, entry c - 1 for c tasks.
        """
        previous = order[-1] if order else -1
        for model, needs in enumerate(self._needs[previous]):
            if model in order:
                continue
            longer = total[..., None] + needs
            more = served[..., None] + np.arange(1, needs.size + 1)
            counted = np.where(longer <= self._limit, more, 0)
            best = int(counted.argmax())
            if not counted.flat[best]:
                continue  # nothing in time, whatever follows
            here = (*order, model)
            if counted.flat[best] > self._most:
                self._most = int(counted.flat[best])
                counts = np.unravel_index(best, counted.shape)
                self.visits = [
                    (self._models[m], int(c) + 1) for m, c in zip(here, counts, strict=True)
                ]
            self.extend(here, longer, more)
