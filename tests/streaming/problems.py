"""Streaming problems as tests make them: by hand, and random from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trunkline.streaming import (
    Device,
    Layer,
    MulticastGroup,
    StreamingModel,
    StreamingPlan,
    StreamingProblem,
    User,
)


def one_user(
    megabits: Sequence[float], seconds: Sequence[float], *, rate: float = 40e6, **user: Any
) -> StreamingProblem:
    """One user with one model: layers of so many megabits that take so long at top speed (a device
    of 1 cycle per second and flop: work in cycles is time in seconds)."""
    layers = tuple(Layer(1e6 * m, s) for m, s in zip(megabits, seconds, strict=True))
    model = StreamingModel("m", 0.8, layers)
    asked = User("u", ("m",), rate / 1e6, **{"device": Device(1.0, 1.0), "deadline_s": 10.0} | user)
    return StreamingProblem(1e6, (model,), (asked,))


def with_shares(shares: Sequence[float], **problem: Any) -> StreamingProblem:
    """Users whose least shares are given: 1 Mbit at once in 1 s over 1 Mbit/s / share."""
    model = StreamingModel("m", 0.8, (Layer(1e6, 0.0),))
    users = tuple(
        User(f"u{n}", ("m",), 1.0 / share, 1.0, Device(1.0, 1.0)) for n, share in enumerate(shares)
    )
    return StreamingProblem(1e6, (model,), users, **problem)


def random_problem(
    seed: int,
    *,
    users: int = 4,
    energy: bool = False,
    copying: bool = False,
    least_layers: int = 1,
) -> StreamingProblem:
    """A random problem: up to 3 models of up to 6 layers, optional fields at random."""
    rng = random.Random(seed)
    models = tuple(
        StreamingModel(f"m{i}", rng.random(), _layers(rng, rng.randint(least_layers, 6)))
        for i in range(3)
    )
    asked = tuple(_user(rng, f"u{k}", models, energy, copying) for k in range(users))
    return StreamingProblem(rng.choice([3e6, 1e7]), models, asked)


def _layers(rng: random.Random, count: int) -> tuple[Layer, ...]:
    return tuple(
        Layer(rng.choice([0.0, 1.0, 1.0, 1.0]) * rng.uniform(0, 2e6), rng.uniform(0, 2e8))
        for _ in range(count)
    )


def _user(
    rng: random.Random, name: str, models: Sequence[StreamingModel], energy: bool, copying: bool
) -> User:
    hz, eta = rng.uniform(5e8, 2e9), 1e-27
    most = eta * hz**2 * max(sum(layer.flop for layer in model.layers) for model in models)
    per_layer = {m.id: tuple(rng.uniform(0, 0.02) for _ in m.layers) for m in models}
    return User(
        name,
        tuple(m.id for m in rng.sample(models, rng.randint(1, len(models)))),
        rng.uniform(0.5, 7.0),
        rng.uniform(0.2, 3.0),
        Device(hz, rng.uniform(0.3, 1.5), eta),
        samples=rng.randint(1, 3),
        energy_j=rng.uniform(0.01, 1.0) * most if energy and rng.random() < 0.8 else None,
        fixed_j=rng.choice([0.0, 1e-3]) * most,
        fixed_s=per_layer if rng.random() < 0.5 else rng.uniform(0, 0.01),
        copy_s=rng.uniform(0, 0.05) if copying else 0.0,
        first_byte_s=rng.choice([0.0, 0.02]),
        ready_s=rng.choice([0.0, 0.1]),
        tail_s=rng.choice([0.0, 0.1]),
        min_accuracy=rng.choice([0.0, 0.2]),
        cached={m.id: tuple(rng.random() < 0.5 for _ in m.layers) for m in models}
        if rng.random() < 0.3
        else {},
    )


def multicast_problem(seed: int, *, users: int = 5, copying: bool = False) -> StreamingProblem:
    """Two backbones of two blocks, a model on each with a head of its own; two groups of users."""
    rng = random.Random(seed)
    models, streams = [], []
    for b in range(2):
        trunk = tuple(
            Layer(rng.uniform(1e6, 4e6), rng.uniform(0, 1e8), f"trunk{b}/{n}") for n in range(2)
        )
        for h in range(2):
            head = Layer(rng.uniform(0, 5e5), rng.uniform(0, 1e8))
            layers = (*trunk, head) if rng.random() < 0.7 else (trunk[0], head, trunk[1])
            models.append(StreamingModel(f"m{b}{h}", 0.5, layers))
        streams.append(tuple(layer.block or "" for layer in trunk))
    asked = [
        replace(
            _user(rng, f"u{k}", models, False, copying),
            deadline_s=rng.uniform(0.8, 3),
            bits_per_s_per_hz=rng.uniform(1.0, 3.0),
            models=tuple(m.id for m in models[:2] if k <= users // 2 or rng.random() < 0.5)
            + tuple(m.id for m in models[2:] if k > users // 2 or rng.random() < 0.5),
        )
        for k in range(users)
    ]
    names = [user.id for user in asked]
    groups = (
        MulticastGroup("g0", tuple(names[: users // 2 + 1]), streams[0]),
        MulticastGroup("g1", tuple(names[users // 2 + 1 : users]), streams[1]),
    )
    return StreamingProblem(rng.choice([2e6, 3e6]), tuple(models), tuple(asked), multicast=groups)


def worth(problem: StreamingProblem, plan: StreamingPlan) -> float:
    """What the users served are worth together."""
    users = {user.id: user for user in problem.users}
    return sum(users[served.id].weight_with(served.model) for served in plan.users)
