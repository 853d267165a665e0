"""The sweeps of the streaming experiments: what is varied, which schemes are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from trunkline.errors import PlanningError
from trunkline.experiments.streaming.scenario import MOST_USERS, Realisation, Setting
from trunkline.streaming import ServedUser, StreamingPlan, StreamingProblem, check, solve
from trunkline.streaming.problem import per_layer

Scheme = Callable[[StreamingProblem], StreamingPlan]


def largest_model(problem: StreamingProblem) -> StreamingPlan:
    """Overlap, with the most accurate model for everybody."""
    accuracy = {model.id: model.accuracy for model in problem.models}
    users = tuple(
        replace(user, models=(max(user.models, key=accuracy.__getitem__),))
        for user in problem.users
    )
    return solve(replace(problem, users=users))


def without_stores(problem: StreamingProblem) -> StreamingPlan:
    """Overlap, with whole models sent whatever devices hold."""
    users = tuple(replace(user, cached={}) for user in problem.users)
    return solve(replace(problem, users=users))


SCHEMES: dict[str, Scheme] = {
    "optimal": solve,
    "download-first": partial(solve, method="download-first"),
    "2 transfers": partial(solve, method="transfers", transfers=2),
    "4 transfers": partial(solve, method="transfers", transfers=4),
    "uniform-speed": partial(solve, method="uniform-speed"),
    "equal": partial(solve, method="equal"),
    "fcfs": partial(solve, method="fcfs"),
    "largest model": largest_model,
    "whole models": without_stores,
    "unicast": lambda problem: solve(replace(problem, multicast=())),
}
OVERLAP = ("optimal", "download-first", "4 transfers", "equal", "fcfs", "largest model")


@dataclass(frozen=True, slots=True)
class Point:
    """A setting with what it is called on the sweep's axis."""

    x: float
    setting: Setting


@dataclass(frozen=True, slots=True)
class Sweep:
    """One figure: points, and the schemes that are compared at each of them.

    Attributes:
        name, title, x_label: what it shows.
        schemes: of `SCHEMES`; the first is the one whose gain over `download-first` is stated.
        picture: the picture that it is drawn in, with those of a like range.
        predicts: whether overlap alone makes that gain, so that 1/(1 - rho) is worth a look.
    """

    name: str
    title: str
    x_label: str
    points: tuple[Point, ...]
    schemes: tuple[str, ...] = OVERLAP
    picture: str = "load"
    predicts: bool = True


BATCHES = ((1, 2), (4, 12), (8, 32), (32, 64), (64, 96))
G = (1, 2, 4, 8, 16)

SWEEPS: tuple[Sweep, ...] = (
    Sweep(
        "bandwidth",
        "bandwidth",
        "bandwidth [MHz]",
        tuple(Point(x, Setting(bandwidth_hz=1e6 * x)) for x in (50.0, 75.0, 100.0, 150.0, 200.0)),
    ),
    Sweep(
        "deadline",
        "deadline",
        "mean deadline [s]",
        tuple(Point(x, Setting(deadline_s=x)) for x in (1.5, 2.0, 3.0, 4.0, 6.0)),
    ),
    Sweep(
        "users",
        "users",
        "users",
        tuple(Point(x, Setting(users=x)) for x in (10, 20, 40, 60, MOST_USERS)),
    ),
    Sweep(
        "batch",
        "batch",
        "mean samples in a task",
        tuple(Point(sum(pair) / 2, Setting(samples=pair)) for pair in BATCHES),
        picture="computing",
    ),
    Sweep(
        "energy",
        "energy",
        "mean energy budget [J]",
        tuple(Point(x, Setting(energy_j=x)) for x in (0.1, 0.25, 0.5, 1.0, 2.0)),
        ("optimal", "download-first", "uniform-speed", "4 transfers"),
        picture="computing",
    ),
    Sweep(
        "device",
        "device speed",
        "times the devices' speed",
        tuple(Point(x, Setting(speed=x)) for x in (0.35, 0.5, 1.0, 2.0, 4.0)),
        picture="computing",
    ),
    Sweep(
        "holding",
        "devices that hold a trunk",
        "share of devices that hold the ViTs' trunks [%]",
        tuple(Point(100 * x, Setting(holding=x)) for x in (0.0, 0.1, 0.25, 0.5)),
        ("optimal", "download-first", "whole models"),
        picture="sharing",
        predicts=False,
    ),
    Sweep(
        "multicast",
        "multicast of a trunk",
        "users that ask together for heads on one trunk",
        tuple(Point(x, Setting(group=x)) for x in (1, 2, 5, 10, 20, 40)),
        ("optimal", "download-first", "unicast"),
        picture="sharing",
        predicts=False,
    ),
)
"""All but the number of transfers, which varies the scheme."""

TRANSFERS = Sweep(
    "transfers",
    "number of transfers",
    "transfers a model",
    tuple(Point(x, Setting()) for x in G),
    ("transfers", "optimal", "download-first"),
    picture="computing",
)


def served(problem: StreamingProblem, scheme: str, x: float) -> tuple[float, float]:
    """What a scheme serves, and rho: the mean compute share of those served (NaN where nobody
    is).

    Raises:
        PlanningError: the checker refuses the plan.
    """
    if scheme == "transfers":
        plan = solve(problem, "transfers", transfers=int(x))
    else:
        plan = SCHEMES[scheme](problem)
    sent = replace(
        problem, users=tuple(replace(u, cached={}) for u in problem.users)
    ) if scheme == "whole models" else problem  # fmt: skip
    if faults := check(sent, plan):
        raise PlanningError(f"{scheme}: {faults[0]}")
    shares = [compute_share(sent, user) for user in plan.users]
    return float(plan.served), sum(shares) / len(shares) if shares else float("nan")


def compute_share(problem: StreamingProblem, served: ServedUser) -> float:
    """rho = A_1 / Tbar of a user's model, at the fastest single speed that its energy allows."""
    user = problem.users[problem.user_index[served.id]]
    model = problem.models[problem.model_index[served.model]]
    device = user.device
    cycles = user.samples * device.cycles_per_flop * sum(layer.flop for layer in model.layers)
    hz = device.hz
    if user.energy_j is not None and device.joule_per_cycle_hz2 * cycles * hz**2 > user.energy_j:
        hz = (user.energy_j / (device.joule_per_cycle_hz2 * cycles)) ** 0.5
    return (sum(per_layer(user.fixed_s, model)) + cycles / hz) / user.deadline_s


def values(run: int, seed: int, sweeps: Sequence[Sweep]) -> list[tuple[float, float]]:
    """Served and rho of every scheme at every point of the sweeps, in one realisation."""
    drawn = Realisation(run, seed)
    found = []
    for sweep in sweeps:
        for point in sweep.points:
            problem = drawn.problem(point.setting)
            found += [served(problem, scheme, point.x) for scheme in sweep.schemes]
    return found
