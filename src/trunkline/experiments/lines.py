"""The lines of the figures: who plans, under which reading of the upload, on which clock.

Every line is a planner of `trunkline.loading`, called as any user calls it; a figure's value is the
share of tasks that its plan serves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from trunkline.loading import LoadingPlan, LoadingProblem, solve
from trunkline.loading.service import Upload

Clock = Literal["slots", "continuous"]

Planner = Callable[..., LoadingPlan]
"""`(problem, *, upload, ...) -> plan`."""

Reading = tuple[Upload, Clock]
"""What a batch's upload costs, and how time is counted."""

READINGS: tuple[Reading, ...] = (
    ("max", "slots"),
    ("sum", "slots"),
    ("max", "continuous"),
    ("sum", "continuous"),
)
"""All of them; the first is the paper as printed."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a figure.

    Attributes:
        name: what it is called in tables, one name an algorithm.
        upload: "max" charges a batch its longest upload, as (16), (23) are printed, "sum" what (11)
            says.
        clock: "slots" rounds every visit up to whole slots, "continuous" rounds nothing.
        planner: the method; its repr names it with all its options (`sweep` keeps results by it).
        prepare: what is done to the problem first, or None.
    """

    name: str
    upload: Upload
    clock: Clock
    planner: Planner = field(repr=False)
    prepare: Callable[[LoadingProblem], LoadingProblem] | None = field(default=None, repr=False)

    def plan(self, problem: LoadingProblem, slot_s: float) -> LoadingPlan:
        """The line's plan for a problem; `slot_s` counts only where time is in slots."""
        options: dict[str, Any] = {"upload": self.upload}
        if self.clock == "slots":
            options["slot_s"] = slot_s
        return self.planner(self.prepare(problem) if self.prepare else problem, **options)


@dataclass(frozen=True, slots=True)
class Method:
    """A method of `trunkline.loading` with some of its options, as a planner."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self, problem: LoadingProblem, **options: Any) -> LoadingPlan:
        """The method's plan."""
        return solve(problem, self.name, **dict(self.options), **options)


@dataclass(frozen=True, slots=True)
class EqualChannels:
    """The band in r equal parts, one for each user of a batch (Section VII-D).

    A task then uploads in D r/(B R), a batch has at most r tasks, and lasts as long as its longest
    upload: the problem with a band of B/r, under the reading "max", which is exact here.
    """

    channels: int

    def __call__(self, problem: LoadingProblem) -> LoadingProblem:
        """The problem whose plans under "max" are those of equal sub-channels."""
        return replace(
            problem,
            bandwidth_hz=problem.bandwidth_hz / self.channels,
            models=tuple(
                replace(model, max_batch=min(model.max_batch, self.channels))
                for model in problem.models
            ),
        )


OPTIMAL = "optimal"
SPEC = "Spec (Alg. 2)"
CORRECTED = "Spec corrected"
GEN = "Gen (Alg. 3)"
INDEPENDENT = "Independent"


def optimal(upload: Upload) -> Line:
    """The exact result: the most tasks in continuous time."""
    return Line(OPTIMAL, upload, "continuous", Method("optimal"))


def spec(upload: Upload) -> Line:
    """PartialLoading Spec: Algorithm 2 as printed, in slots."""
    return Line(SPEC, upload, "slots", Method("paper", (("variant", "printed"),)))


def corrected(upload: Upload) -> Line:
    """Algorithm 2 with every model a possible predecessor, in slots."""
    return Line(CORRECTED, upload, "slots", Method("paper", (("variant", "corrected"),)))


def gen(reading: Reading) -> Line:
    """PartialLoading Gen: Algorithm 3."""
    return Line(GEN, *reading, Method("greedy"))


def independent(reading: Reading) -> Line:
    """Independent Loading: the best plan that loads whole models (Remark 4)."""
    return Line(INDEPENDENT, *reading, Method("independent"))


def equal(line: Line, channels: int) -> Line:
    """A line under equal sub-channels."""
    name = f"{line.name}, r = {channels}"
    return Line(name, "max", line.clock, line.planner, EqualChannels(channels))


def best(reading: Reading) -> Line:
    """PartialLoading Spec in slots, in continuous time what Spec stands for: the optimum."""
    upload, clock = reading
    return spec(upload) if clock == "slots" else optimal(upload)


def sharing_lines(upload: Upload, *, bottom: bool) -> tuple[Line, ...]:
    """The lines of Fig. 6 (bottom-layer sharing) or Fig. 7 (general): slots, then continuous."""
    slotted = (spec(upload), corrected(upload)) if bottom else ()
    return (
        *slotted,
        gen((upload, "slots")),
        independent((upload, "slots")),
        optimal(upload),
        gen((upload, "continuous")),
        independent((upload, "continuous")),
    )
