"""Multicast groups: the dynamic programme by hand and against brute force."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tests.streaming.problems import multicast_problem, with_shares
from trunkline.errors import UnsupportedProblemError
from trunkline.streaming import (
    Device,
    Layer,
    MulticastGroup,
    StreamingModel,
    StreamingProblem,
    User,
    check,
    solve,
)
from trunkline.streaming.multicast import divide
from trunkline.streaming.problem import per_layer


def test_dividing_by_hand():
    """c_1 = (0, .5, .6), c_2 = (0, .4, .8): three users for 1.0, where the cheapest next user each
    time (.4, then .8 - .4, then .5) would end with two."""
    assert divide([np.array([0, 0.5, 0.6]), np.array([0, 0.4, 0.8])]) == [2, 1]
    assert divide([np.array([0.0])]) == [0]
    assert divide([np.array([0, 2.0]), np.array([0, np.inf])]) == [0, 0]


def two_heads(users: int, heads: float, *, trunk: float = 3e6, **fields) -> StreamingProblem:
    """Users of a backbone of `trunk` bits and own heads, 1 s, no work, 1 bit/s/Hz over 4 MHz."""
    models = tuple(
        StreamingModel(f"m{k}", 0.5, (Layer(trunk, 0.0, "trunk"), Layer(heads, 0.0)))
        for k in range(users)
    )
    asked = tuple(
        User(f"u{k}", (f"m{k}",), 1.0, 1.0, Device(1.0, 1.0), **fields) for k in range(users)
    )
    group = MulticastGroup("g", tuple(user.id for user in asked), ("trunk",))
    return StreamingProblem(4e6, models, asked, multicast=(group,))


def test_a_backbone_for_all_by_hand():
    """A backbone of 3/4 of the band once and heads of 1/16 each: four users instead of one."""
    problem = two_heads(5, 0.25e6)
    plan = solve(problem)
    assert plan.served == 4  # 3/4 + 4/16
    assert [(s.id, s.share, s.bits_per_s_per_hz) for s in plan.multicast] == [
        ("g", pytest.approx(0.75), 1.0)
    ]
    assert [user.share for user in plan.users] == pytest.approx([1 / 16] * 4)
    assert check(problem, plan) == []
    assert solve(replace(problem, multicast=())).served == 1
    assert solve(problem, "download-first").served == 1  # baselines send no multicast


def test_one_user_gets_no_stream():
    """A stream for one user alone saves nothing, and is not sent."""
    plan = solve(two_heads(1, 0.25e6))
    assert plan.multicast == ()
    assert plan.users[0].multicast is None


def test_blocks_of_a_stream_are_rounded_up():
    """In eight resource blocks the stream takes 6 and a head 1."""
    problem = replace(two_heads(5, 0.25e6), resource_blocks=8)
    plan = solve(problem)
    assert plan.served == 2  # 6 + 1 + 1
    assert check(problem, plan) == []


FAST = 1e12
"""Bits per second with which a stream takes no time."""


def least(suffices: Callable[[float], bool]) -> float:
    """The least number up to 1e9 that suffices, by bisection."""
    if suffices(0.0):
        return 0.0
    low, high = 0.0, 1e9
    if not suffices(high):
        return math.inf
    for _ in range(120):
        middle = (low + high) / 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def in_time(problem, user, model, stream, private: float, streamed: float) -> bool:
    """Whether a user is in time with bits per second on its own stream and the group's."""
    sent, own, copied, now = {}, 0.0, 0.0, user.ready_s
    total = 0.0
    for block in stream:
        total += problem.block_bits[block]
        sent[block] = total / streamed if streamed else math.inf
    held = user.cached.get(model.id, (False,) * len(model.layers))
    values = zip(model.layers, held, per_layer(user.fixed_s, model), per_layer(user.copy_s, model),
                 strict=True)  # fmt: skip
    for layer, has, fixed_s, copy_s in values:
        arrived = 0.0
        if not has and layer.block in sent:
            arrived = user.first_byte_s + sent[layer.block]
        else:
            own += 0.0 if has else layer.bits
            if own:
                arrived = user.first_byte_s + (own / private if private else math.inf)
        copied = max(copied, arrived) + copy_s
        cycles = user.samples * layer.flop * user.device.cycles_per_flop
        now = max(now, copied) + fixed_s + cycles / user.device.hz
    return now + user.tail_s <= user.deadline_s * (1 + 1e-12)


def choices(problem: StreamingProblem, user: User) -> Iterator[tuple[str | None, float, float]]:
    """Ways to serve a user: (group heard or None, share of its own, rate of the stream)."""
    rate = problem.bandwidth_hz * user.bits_per_s_per_hz
    group = next((g for g in problem.multicast if user.id in g.users), None)
    for name in problem.accepted(user):
        model = problem.models[problem.model_index[name]]
        alone = least(lambda y, m=model: in_time(problem, user, m, (), y, 0.0))
        yield None, alone / rate, 0.0
        if group is not None:
            private = least(lambda y, m=model: in_time(problem, user, m, group.blocks, y, FAST))
            stream = least(lambda q, m=model: in_time(problem, user, m, group.blocks, FAST, q))
            yield group.id, private / rate, stream


def brute_force(problem: StreamingProblem) -> int:
    """The most users that any combination of ways to serve them fits into the band."""
    ways = [[None, *choices(problem, user)] for user in problem.users]
    best = 0
    for picks in product(*ways):
        served = [(u, pick) for u, pick in zip(problem.users, picks, strict=True) if pick]
        total = sum(pick[1] for _, pick in served)
        for group in problem.multicast:
            heard = [(u.bits_per_s_per_hz, pick[2]) for u, pick in served if pick[0] == group.id]
            if heard and (rate := max(q for _, q in heard)) > 0:
                total += rate / (problem.bandwidth_hz * min(r for r, _ in heard))
        if total <= 1 + 1e-9:
            best = max(best, len(served))
    return best


@pytest.mark.parametrize("seed", range(16))
def test_multicast_is_brute_force(seed):
    """The dynamic programme serves as many as any combination, and the checker accepts its plan."""
    problem = multicast_problem(seed, copying=seed % 4 == 3)
    plan = solve(problem)
    assert check(problem, plan) == []
    assert plan.served == brute_force(problem)
    assert plan.served >= solve(replace(problem, multicast=())).served


def test_some_random_problems_gain_by_multicast():
    """The problems above are of the kind in which streams are sent."""
    gains = [
        solve(p).served - solve(replace(p, multicast=())).served
        for p in map(multicast_problem, range(16))
    ]
    assert sum(gains) > 5


def test_what_multicast_does_not_plan_is_refused():
    """Energy budgets in a group, and weights, are refused with the reason."""
    limited = two_heads(2, 1e5, energy_j=1.0)
    with pytest.raises(UnsupportedProblemError, match="user 'u0' has an energy budget"):
        solve(limited)
    problem = two_heads(2, 1e5)
    users = (problem.users[0], replace(problem.users[1], weight=2.0))
    with pytest.raises(UnsupportedProblemError, match="no weight"):
        solve(replace(problem, users=users))
    grouped = replace(with_shares([0.5]), multicast=(MulticastGroup("g", ("u0",), ()),))
    with pytest.raises(UnsupportedProblemError, match="sends no multicast"):
        solve(grouped, "exhaustive")
    assert solve(grouped).served == 1
