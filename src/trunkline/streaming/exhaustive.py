"""`exhaustive`: every choice of users, models and ways to send, for tests and tiny problems.

No closed form is used: the least share of each choice is found by bisection on the recursion, and
under an energy budget on the speeds of the hull, which is walked here point by point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from trunkline.errors import UnsupportedProblemError
from trunkline.streaming.pairs import PairTable
from trunkline.streaming.plan import StreamingPlan
from trunkline.streaming.problem import TOLERANCE, StreamingModel, StreamingProblem, User, per_layer
from trunkline.streaming.schedule import plan_of

MAX_CHOICES = 1_000_000
"""More combinations of choices than this are refused."""

HALVINGS = 200
"""Steps of a bisection: until the interval is of neighbouring floats."""


def exhaustive(problem: StreamingProblem) -> StreamingPlan:
    """A plan that provably serves the most users (or is worth the most, with weights).

    Raises:
        UnsupportedProblemError: too many combinations, or multicast groups.
    """
    if problem.multicast:
        raise UnsupportedProblemError("'exhaustive' sends no multicast; use 'optimal'")
    table = PairTable(problem)
    choices: list[list[tuple[int, float, float]]] = [[] for _ in problem.users]
    for row, (k, i) in enumerate(zip(table.users.tolist(), table.models.tolist(), strict=True)):
        user, model = problem.users[k], problem.models[i]
        share = least_share_by_bisection(problem, user, model)
        if share <= 1 + TOLERANCE:
            choices[k].append((row, share, user.weight_with(model.id)))
    count = math.prod(len(one) + 1 for one in choices)
    if count > MAX_CHOICES:
        raise UnsupportedProblemError(
            f"'exhaustive' weighs at most {MAX_CHOICES:,} combinations, the problem has {count:,}"
        )
    chosen = _best(choices)
    rows = np.array([row for row, _, _ in chosen], dtype=np.intp)
    shares = np.array([share for _, share, _ in chosen])
    return plan_of(table, "exhaustive", rows, shares, proven=True)


def _best(choices: Sequence[Sequence[tuple[int, float, float]]]) -> list[tuple[int, float, float]]:
    """The combination that fits into the band and is worth the most, then uses the least of it."""
    best: tuple[float, float, list[tuple[int, float, float]]] = (0.0, 0.0, [])

    def go(k: int, used: float, worth: float, taken: list[tuple[int, float, float]]) -> None:
        nonlocal best
        if (worth, -used) > (best[0], -best[1]):
            best = (worth, used, list(taken))
        for user in range(k, len(choices)):
            for choice in choices[user]:
                if used + choice[1] <= 1 + TOLERANCE:
                    taken.append(choice)
                    go(user + 1, used + choice[1], worth + choice[2], taken)
                    taken.pop()

    go(0, 0.0, 0.0, [])
    return best[2]


@dataclass(frozen=True, slots=True)
class _Task:
    """A user's task with one model: layers as (bits, cycles, fixed seconds, copying seconds)."""

    layers: tuple[tuple[float, float, float, float], ...]
    user: User
    rate: float

    def ready(self, share: float) -> Iterator[float]:
        """When each layer can compute at the earliest, by the recursion."""
        received = copied = 0.0
        for bits, _, _, copy_s in self.layers:
            received += bits
            if received > 0:
                speed = share * self.rate
                here = self.user.first_byte_s + received / speed if speed > 0 else math.inf
                copied = max(copied, here)
            copied += copy_s
            yield copied

    def in_time(self, share: float) -> bool:
        """Whether top speed meets the deadline."""
        now = self.user.ready_s
        for ready, (_, cycles, fixed_s, _) in zip(self.ready(share), self.layers, strict=True):
            now = max(now, ready) + fixed_s + cycles / self.user.device.hz
        return now <= self.user.limit_s * (1 + TOLERANCE / 1000)

    def affordable(self, share: float) -> bool:
        """Whether it is in time within the energy budget."""
        if not self.in_time(share):
            return False
        user = self.user
        if user.energy_j is None:
            return True
        eta = user.device.joule_per_cycle_hz2
        work = [cycles for _, cycles, _, _ in self.layers]
        speeds = hull_speeds(*self.points(share))
        spent = user.fixed_j + eta * sum(w * s * s for w, s in zip(work, speeds, strict=True) if w)
        return spent <= user.energy_j * (1 + TOLERANCE / 1000)

    def points(self, share: float) -> tuple[list[float], list[float], float]:
        """r_l, w_l and Theta of `hull`."""
        release, fixed, latest = [], 0.0, self.user.ready_s
        for ready, (_, _, fixed_s, _) in zip(self.ready(share), self.layers, strict=True):
            latest = max(latest, ready - fixed)
            release.append(latest)
            fixed += fixed_s
        return release, [cycles for _, cycles, _, _ in self.layers], self.user.limit_s - fixed


def hull_speeds(release: Sequence[float], work: Sequence[float], end: float) -> list[float]:
    """The speeds of `hull` for one pair, by a walk over the points from left to right."""
    done = [math.fsum(work[:layer]) for layer in range(len(work) + 1)]
    points = list(zip([*release, end], done, strict=True))
    hull: list[int] = []
    for n, (time, height) in enumerate(points):
        while hull and _is_above(points, hull, time, height):
            hull.pop()
        hull.append(n)
    speeds = [0.0] * len(work)
    for first, last in pairwise(hull):
        run, rise = points[last][0] - points[first][0], points[last][1] - points[first][1]
        for layer in range(first, last):
            speeds[layer] = (rise / run if run > 0 else math.inf) if rise else 0.0
    return speeds


def _is_above(
    points: Sequence[tuple[float, float]], hull: Sequence[int], time: float, height: float
) -> bool:
    """Whether the hull's last point is not below the line from the one before to a new one."""
    last_time, last_height = points[hull[-1]]
    if len(hull) == 1:  # of several points at the bottom only the rightmost binds
        return height <= last_height
    base_time, base_height = points[hull[-2]]
    new = (height - base_height) * (last_time - base_time)
    return new <= (last_height - base_height) * (time - base_time)


def least_share_by_bisection(problem: StreamingProblem, user: User, model: StreamingModel) -> float:
    """The least share that is in time and affordable, up to 1; infinite if there is none."""
    held = user.cached.get(model.id, (False,) * len(model.layers))
    per_flop = user.samples * user.device.cycles_per_flop
    fixed, copy = per_layer(user.fixed_s, model), per_layer(user.copy_s, model)
    layers = tuple(
        (0.0 if has else layer.bits, per_flop * layer.flop, fixed_s, copy_s)
        for layer, has, fixed_s, copy_s in zip(model.layers, held, fixed, copy, strict=True)
    )
    task = _Task(layers, user, problem.bandwidth_hz * user.bits_per_s_per_hz)
    blocks = problem.resource_blocks
    if blocks is None:
        return _least(task.affordable)
    share = _least(task.affordable)
    return share if math.isinf(share) else math.ceil(share * blocks * (1 - TOLERANCE)) / blocks


def _least(suffices: Callable[[float], bool]) -> float:
    """The least number from 0 to 1 that suffices, where all larger ones do."""
    if suffices(0.0):
        return 0.0
    if not suffices(1.0):
        return 1.0 if suffices(1.0 + TOLERANCE) else math.inf
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
