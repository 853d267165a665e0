"""Requests for other adapters of the same base that compute with the batch that is next.

The policy chooses one model's batch. Requests for other models join it if their blocks are in
memory already, their inputs have the same shape, all of the larger batch is answered in time, and
it takes no longer than one model's batch after the other; the most urgent first.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.runtime.adapters import SEATS
from trunkline.server.mixing import Group
from trunkline.server.state import Request, State


def joining(
    state: State, chosen: Sequence[Request], now: float
) -> tuple[list[Request], Group | None, float]:
    """Requests to take along with a batch's, model by model.

    Args:
        chosen: requests for one model, of one shape.

    Returns:
        The requests, whose batch it is then, and how long all of it should take; nothing, None and
        0.0 where none joins.
    """
    nothing: tuple[list[Request], None, float] = ([], None, 0.0)
    first = chosen[0]
    group = state.mixing.group(first.model.name)
    if group is None or not _mixable(first) or not state.estimates.is_known(first.model.stored):
        return nothing
    mixed = _Mixed(state, group, chosen, now)
    for one in sorted(_candidates(state, group, first), key=lambda one: one.waiting):
        mixed.add(one)
    if not mixed.others:
        return nothing
    if mixed.together_s > mixed.apart_s:
        state.estimates.not_mixed(first.model.stored)
        return nothing
    return sorted(mixed.others, key=lambda one: one.model.name), group, mixed.seconds


def _mixable(request: Request) -> bool:
    # PEFT takes this name for itself.
    return (
        request.shape is not None
        and request.model.batches(request.inputs)
        and "adapter_names" not in request.inputs
    )


def _candidates(state: State, group: Group, first: Request) -> list[Request]:
    """Requests for resident models of the group, but for the first one's, of its shape."""
    found = []
    for place, line in enumerate(state.scheduler.queue.by_model):
        name = state.scheduler.costs.models[place].id
        if not line or name == first.model.name or state.mixing.group(name) is not group:
            continue
        if state.scheduler.is_there(place):
            found += [state.requests[one.key] for one in line if one.key in state.requests]
    return [one for one in found if _mixable(one) and one.shape == first.shape]


class _Mixed:
    """A batch that grows while it is answered in time.

    Attributes:
        others: those that joined.
        together_s, apart_s: the batch as one, and one model after the other.
        seconds: how long it should take: on trial, both, and once more with a sample less.
    """

    def __init__(self, state: State, group: Group, chosen: Sequence[Request], now: float) -> None:
        self._estimates, self._costs = state.estimates, state.scheduler.costs
        self._now, self._proven = now, group.proven
        self._first = chosen[0]
        self._ends_s = min(one.waiting.deadline_s for one in chosen)
        self._most = self._costs.models[self._first.waiting.model].max_batch
        self._tasks = {self._first.waiting.model: sum(one.waiting.tasks for one in chosen)}
        self.others: list[Request] = []
        self.together_s = self.apart_s = self.seconds = 0.0

    def add(self, one: Request) -> None:
        """Let a request join if all are answered in time with it."""
        waiting, costs = one.waiting, self._costs
        tasks = self._tasks | {waiting.model: self._tasks.get(waiting.model, 0) + waiting.tasks}
        total, most = sum(tasks.values()), min(self._most, costs.models[waiting.model].max_batch)
        if len(tasks) > SEATS or total > most:
            return
        together = self._estimates.mixed_s(self._first.model.stored, total, len(tasks))
        apart = sum(costs.compute_seconds(model, count) for model, count in tasks.items())
        seconds = together if self._proven else apart + 2 * together
        ends = min(self._ends_s, waiting.deadline_s)
        if self._now + seconds > ends:
            return
        self.others.append(one)
        self._tasks, self._ends_s, self._most = tasks, ends, most
        self.together_s, self.apart_s, self.seconds = together, apart, seconds
