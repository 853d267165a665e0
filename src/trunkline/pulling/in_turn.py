"""`nearest` and `accuracy-first`: each request in turn takes what it likes best and still fits.

What common practice does without a joint plan. Both know what is shared: a block that is resident
or that an earlier request pulled is neither paid nor stored again. Neither asks whether the data
centre were cheaper; it serves the requests for which no option fits any more.
"""

from __future__ import annotations

from collections.abc import Callable

from trunkline.errors import UnsupportedProblemError
from trunkline.pulling.costs import plan_of
from trunkline.pulling.ledger import Ledger
from trunkline.pulling.plan import PullingPlan
from trunkline.pulling.problem import Option, PullingProblem


def nearest(problem: PullingProblem) -> PullingPlan:
    """The plan in which each request, in the problem's order, takes the option of the least
    `transmission_cost` that fits beside those before it; of equal ones the one that adds least
    cost (its own, and the pulls not yet made), then the first.

    Raises:
        UnsupportedProblemError: an option does not say its `transmission_cost`.
    """
    _demand(problem, "nearest", "transmission_cost")
    return _in_turn(problem, "nearest", lambda option: option.transmission_cost or 0.0)


def accuracy_first(problem: PullingProblem) -> PullingPlan:
    """The plan in which each request, in the problem's order, takes the option of the highest
    `accuracy` that fits beside those before it; of equal ones the one that adds least cost (its
    own, and the pulls not yet made), then the first.

    Raises:
        UnsupportedProblemError: an option does not say its `accuracy`.
    """
    _demand(problem, "accuracy-first", "accuracy")
    return _in_turn(problem, "accuracy-first", lambda option: -(option.accuracy or 0.0))


def _in_turn(problem: PullingProblem, method: str, rank: Callable[[Option], float]) -> PullingPlan:
    """Each request takes what fits and ranks lowest."""
    ledger = Ledger(problem)
    chosen: list[Option | None] = []
    for request in problem.requests:
        fitting = [option for option in request.options if ledger.fits(option)]
        best = min(fitting, key=lambda o: (rank(o), ledger.added_cost(o)), default=None)
        if best is not None:
            ledger.take(best)
        chosen.append(best)
    return plan_of(problem, method, chosen)


def _demand(problem: PullingProblem, method: str, field: str) -> None:
    for request in problem.requests:
        for option in request.options:
            if getattr(option, field) is None:
                raise UnsupportedProblemError(
                    f"{method!r} takes problems whose options all say their {field}; request "
                    f"{request.id!r} has one at {option.site!r} that does not"
                )
