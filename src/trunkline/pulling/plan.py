"""The answer to a pulling problem: who serves each request, and what each site pulls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FORMAT = "trunkline/pulling-plan/1"


@dataclass(frozen=True, slots=True)
class Choice:
    """Who serves one request.

    Attributes:
        request: id of the request.
        site, model: of the chosen option; both None at the data centre.
    """

    request: str
    site: str | None
    model: str | None


@dataclass(frozen=True, slots=True)
class Pull:
    """A block pulled to a site."""

    site: str
    block: str


@dataclass(frozen=True, slots=True)
class PullingPlan:
    """A plan.

    Attributes:
        method: the name of the method that made it.
        cost: the sum of the chosen options' costs and of the pulls'.
        bound: no plan for this problem costs less (a proved lower bound).
        proven: whether `cost` is proved to be the least.
        solve_s: seconds that planning took.
        choices: one for every request, in the problem's order.
        pulls: what is pulled, by site in the problem's order, then by block id.
    """

    method: str
    cost: float
    bound: float
    proven: bool
    solve_s: float
    choices: tuple[Choice, ...]
    pulls: tuple[Pull, ...]

    @property
    def certificate(self) -> float:
        """cost/bound, at least 1: the plan costs at most this many times the least cost."""
        if self.cost <= self.bound:
            return 1.0
        return self.cost / self.bound if self.bound > 0 else float("inf")

    def to_dict(self) -> dict[str, Any]:
        """The plan as a `trunkline/pulling-plan/1` document."""
        return {
            "format": FORMAT,
            "method": self.method,
            "cost": self.cost,
            "bound": self.bound,
            "proven": self.proven,
            "solve_s": self.solve_s,
            "choices": [
                {"request": c.request, "site": c.site, "model": c.model} for c in self.choices
            ],
            "pulls": [{"site": p.site, "block": p.block} for p in self.pulls],
        }
