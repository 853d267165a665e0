"""Which batch is next: the policies, by name. [derived]

Default policy `urgency`. A batch's merit is its weight per second,

    sum over its requests of exp(-(d - f) / K)  /  (f - now + 2 V),
    K = 4 x mean length of the batches

with f the batch's finish, d a request's deadline and V the time to load what its model lacks: the
rate of answers, where an answer that can wait counts less, and so does one that needs the link,
also while that would load beside computing: what it brings drives out what others need. With
K -> infinity and without V it is the greatest rate of Algorithm 3. The form is the apparent
tardiness cost rule of scheduling with set-up times (Lee, Bhaskaran, Pinedo 1997).

The factors 4 and 2 were chosen by simulation. To follow the two best batches in thought, to the end
of the queue, answered more in simulation, and less on a real server under load: what comes
meanwhile, and what loads really take, are not foreseen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from trunkline.errors import UnknownMethodError
from trunkline.loading.online import Choice, Policy, View, Waiting

SPAN: Final = 4.0
"""K of `urgency` in mean lengths of the batches at hand."""

CHARGE: Final = 2.0
"""How often `urgency` counts the time to load a batch's blocks beside the batch's length."""


class _Batch(NamedTuple):
    """What could be next, and when it would end."""

    model: int
    requests: tuple[Waiting, ...]
    finish_s: float


def urgency(view: View) -> Choice | None:
    """The batch of most merit; see the module's docstring."""
    batches = _batches(view)
    if len(batches) < 2:  # nothing to compare: most decisions of a server that keeps up
        return Choice(batches[0].model, batches[0].requests) if batches else None
    now_s, missing_s = view.now_s, view.missing_s
    scale = SPAN * sum(one.finish_s - now_s for one in batches) / len(batches)

    def merit(one: _Batch) -> tuple[float, float, int]:
        model, requests, finish_s = one
        weight = sum(
            each.tasks * math.exp((finish_s - each.deadline_s) / scale) if scale else each.tasks
            for each in requests
        )
        spent_s = finish_s - now_s + CHARGE * missing_s[model]
        return weight / max(spent_s, 1e-12), -requests[0].deadline_s, -model

    best = max(batches, key=merit)
    return Choice(best.model, best.requests)


def greatest_rate(view: View) -> Choice | None:
    """The batch with the most tasks per second (Algorithm 3, continuous)."""
    batches = _batches(view)
    if not batches:
        return None

    def rate(one: _Batch) -> tuple[float, float, int]:
        seconds = max(one.finish_s - view.now_s, 1e-12)
        return (
            sum(each.tasks for each in one.requests) / seconds,
            -one.requests[0].deadline_s,
            -one.model,
        )

    best = max(batches, key=rate)
    return Choice(best.model, best.requests)


def edf(view: View) -> Choice | None:
    """The model of the earliest deadline that can be met."""
    batches = _batches(view)
    if not batches:
        return None
    best = min(batches, key=lambda one: one.requests[0])
    return Choice(best.model, best.requests)


def fcfs(view: View) -> Choice | None:
    """The model of the request that came first, of those that can be answered in time."""
    batches = _batches(view)
    if not batches:
        return None
    best = min(batches, key=lambda one: min((each.arrived_s, each.key) for each in one.requests))
    return Choice(best.model, best.requests)


POLICIES: Final[Mapping[str, Policy]] = {
    "urgency": urgency,
    "greatest-rate": greatest_rate,
    "edf": edf,
    "fcfs": fcfs,
}
"""Every policy by name."""


def policy(name: str) -> Policy:
    """The policy of a name (UnknownMethodError if there is none)."""
    try:
        return POLICIES[name]
    except KeyError:
        known = ", ".join(POLICIES)
        raise UnknownMethodError(f"no policy {name!r}; there are {known}") from None


def _batches(view: View) -> list[_Batch]:
    """Every batch that can be served in time."""
    found = []
    for model, line in enumerate(view.queue.by_model):
        if line and (batch := view.batch(model)):
            found.append(_Batch(model, batch, view.finish_s(model, batch)))
    return found
