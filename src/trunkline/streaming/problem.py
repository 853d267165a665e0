"""The streaming problem: which users to serve when devices infer while their model arrives (SLIDE).

User k has one task of b_k samples and takes any of the models I_k; the downlink of bandwidth B is
divided by shares y_k >= 0 that sum to at most 1. Layers are sent in their order of execution, and a
layer computes once it is there and the layer before it has ended:

    arrival    D_l = t0 + (S_1 + ... + S_l) / (y_k B R_k)
    seconds    T_l = V1_l + b_k W_l kappa_k / (z_l f_k)
    recursion  F_l = max(D_l, F_{l-1}) + T_l,  F_0 = ready_s
    energy     E   = fixed_j + eta_k sum_l w_l (z_l f_k)^2,  w_l = b_k W_l kappa_k

Maximise the number of users with F_L + tail_s <= deadline_s and E <= energy_j. Decisions, objective
and recursion: paper. The energy is the standard one of frequency scaling (derived).

Beyond the paper: resource blocks (shares are multiples of 1/N), weights, layers that a device holds
already, copying of one layer while another computes (`copy_s`), and multicast of blocks that
several users lack.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

TOLERANCE = 1e-9
"""Times, energies and sums of shares may pass their limit by this much, relatively (rounding)."""

PerLayer = float | tuple[float, ...] | Mapping[str, tuple[float, ...]]
"""One number for all layers, one a layer, or one a layer for each model by its id."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, or any other piece of a model that executes as one.

    Attributes:
        bits: S_l, its size.
        flop: W_l, its work for one sample.
        block: id of its content, where multicast groups name it; layers with one id are equal.
    """

    bits: float
    flop: float
    block: str | None = None


@dataclass(frozen=True, slots=True)
class StreamingModel:
    """A model: its accuracy (0 to 1) and its layers in order of execution."""

    id: str
    accuracy: float
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """What a device computes with.

    Attributes:
        hz: f, its top frequency in cycles per second.
        cycles_per_flop: kappa.
        joule_per_cycle_hz2: eta; a cycle at frequency s takes eta s^2 joules.
    """

    hz: float
    cycles_per_flop: float
    joule_per_cycle_hz2: float = 0.0


@dataclass(frozen=True, slots=True)
class User:
    """A user with one task.

    Attributes:
        id: its name.
        models: ids of the models that can do its task.
        bits_per_s_per_hz: R, the spectral efficiency of its link.
        deadline_s: Tbar, from the start to the answer.
        device: what it computes with.
        samples: b, samples in the task.
        energy_j: Ebar, what the task may take; None for no limit.
        fixed_j: the part of the energy that speeds don't change.
        fixed_s: V1, the part of each layer's time that speeds don't change.
        copy_s: H, seconds to copy a layer to where it computes, one layer after the other, while
            others compute: a_l = max(a_{l-1}, D_l) + H_l stands in for D_l.
        first_byte_s: t0, before the first bit arrives.
        ready_s: F_0, when the device can start to compute.
        tail_s: P, from the last layer's end to the answer.
        min_accuracy: models below this are not accepted.
        cached: for models of which the device holds layers, which of them it holds.
        weight: what serving it is worth, or what serving it with each model is.
    """

    id: str
    models: tuple[str, ...]
    bits_per_s_per_hz: float
    deadline_s: float
    device: Device
    samples: int = 1
    energy_j: float | None = None
    fixed_j: float = 0.0
    fixed_s: PerLayer = 0.0
    copy_s: PerLayer = 0.0
    first_byte_s: float = 0.0
    ready_s: float = 0.0
    tail_s: float = 0.0
    min_accuracy: float = 0.0
    cached: Mapping[str, tuple[bool, ...]] = field(default_factory=dict)
    weight: float | Mapping[str, float] = 1.0

    @property
    def limit_s(self) -> float:
        """Tbar - P: when the last layer has to end."""
        return self.deadline_s - self.tail_s

    def weight_with(self, model: str) -> float:
        """What serving the user with a model is worth."""
        return self.weight[model] if isinstance(self.weight, Mapping) else self.weight


@dataclass(frozen=True, slots=True)
class MulticastGroup:
    """Users that ask together and can hear one stream of the blocks that they share.

    Attributes:
        id: its name.
        users: ids of the users that can hear the stream.
        blocks: ids of the blocks in it, in the order in which they are sent.
    """

    id: str
    users: tuple[str, ...]
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class StreamingProblem:
    """A streaming problem; `trunkline.load` makes one from a document, checked.

    Attributes:
        bandwidth_hz: B, the downlink bandwidth.
        models: the models.
        users: the users.
        resource_blocks: N, how many equal parts the band has; None for any shares.
        multicast: groups of users; a user is in one at most.

    Raises:
        ValueError: an id stands twice or names nothing, a list has not one value a layer, blocks
            of one id differ in size, or a number is negative or not finite.
    """

    bandwidth_hz: float
    models: tuple[StreamingModel, ...]
    users: tuple[User, ...]
    resource_blocks: int | None = None
    multicast: tuple[MulticastGroup, ...] = ()

    def __post_init__(self) -> None:
        for problem in _faults(self):
            raise ValueError(problem)

    @cached_property
    def model_index(self) -> dict[str, int]:
        """The position of each model in `models`, by id."""
        return {model.id: index for index, model in enumerate(self.models)}

    @cached_property
    def user_index(self) -> dict[str, int]:
        """The position of each user in `users`, by id."""
        return {user.id: index for index, user in enumerate(self.users)}

    @cached_property
    def block_bits(self) -> dict[str, float]:
        """The size of each block that a layer names, by id."""
        layers = (layer for model in self.models for layer in model.layers)
        return {layer.block: layer.bits for layer in layers if layer.block is not None}

    @cached_property
    def is_weighted(self) -> bool:
        """Whether users count differently, or one user's models do."""
        worths = {user.weight_with(model) for user in self.users for model in user.models}
        return len(worths) > 1

    def accepted(self, user: User) -> tuple[str, ...]:
        """I_k: the models named by a user that are accurate enough for it."""
        index = self.model_index
        return tuple(m for m in user.models if self.models[index[m]].accuracy >= user.min_accuracy)


def per_layer(values: PerLayer, model: StreamingModel) -> tuple[float, ...]:
    """One value for each layer of a model; a mapping that lacks the model says 0."""
    if isinstance(values, Mapping):
        return values.get(model.id, (0.0,) * len(model.layers))
    return values if isinstance(values, tuple) else (values,) * len(model.layers)


def _faults(problem: StreamingProblem) -> Iterator[str]:
    if len(problem.model_index) != len(problem.models):
        yield "two models have one id"
    if len(problem.user_index) != len(problem.users):
        yield "two users have one id"
    if problem.resource_blocks is not None and problem.resource_blocks < 1:
        yield f"resource_blocks: at least 1, got {problem.resource_blocks}"
    if not 0 <= problem.bandwidth_hz < math.inf:
        yield f"bandwidth_hz: at least 0 and finite, got {problem.bandwidth_hz}"
    sizes: dict[str, float] = {}
    for model in problem.models:
        yield from _model_faults(model, sizes)
    for user in problem.users:
        yield from _user_faults(problem, user)
    yield from _group_faults(problem)


def _model_faults(model: StreamingModel, sizes: dict[str, float]) -> Iterator[str]:
    if not model.layers:
        yield f"model {model.id!r} has no layer"
    if not 0 <= model.accuracy <= 1:
        yield f"model {model.id!r}: accuracy is between 0 and 1, got {model.accuracy}"
    blocks = [layer.block for layer in model.layers if layer.block is not None]
    if len(set(blocks)) != len(blocks):
        yield f"model {model.id!r} has a block twice"
    for layer in model.layers:
        if not (0 <= layer.bits < math.inf and 0 <= layer.flop < math.inf):
            yield f"model {model.id!r}: bits and flop are at least 0 and finite"
        if layer.block is not None and sizes.setdefault(layer.block, layer.bits) != layer.bits:
            yield f"block {layer.block!r} has two sizes"


def _user_faults(problem: StreamingProblem, user: User) -> Iterator[str]:
    here = f"user {user.id!r}"
    if len(set(user.models)) != len(user.models):
        yield f"{here} names a model twice"
    device = user.device
    numbers = [user.bits_per_s_per_hz, user.deadline_s, user.fixed_j, user.first_byte_s]
    numbers += [user.ready_s, user.tail_s, user.min_accuracy, user.energy_j or 0.0]
    numbers += [device.cycles_per_flop, device.joule_per_cycle_hz2]
    if device.hz <= 0 or user.samples < 1:
        yield f"{here}: hz is over 0 and samples at least 1"
    for name in (*user.models, *user.cached, *_named(user.weight)):
        if name not in problem.model_index:
            yield f"{here}: no model {name!r}"
            return
    for name in user.models:
        model = problem.models[problem.model_index[name]]
        held = user.cached.get(name, (False,) * len(model.layers))
        values = [per_layer(user.fixed_s, model), per_layer(user.copy_s, model), held]
        if any(len(one) != len(model.layers) for one in values):
            yield f"{here}: model {name!r} has {len(model.layers)} layers; give one value a layer"
        if isinstance(user.weight, Mapping) and name not in user.weight:
            yield f"{here}: no weight with model {name!r}"
            return
        numbers += [*_extremes(user.fixed_s, values[0]), *_extremes(user.copy_s, values[1])]
        numbers.append(user.weight_with(name))
    if not all(0 <= number < math.inf for number in numbers) or device.hz == math.inf:
        yield f"{here}: numbers are at least 0 and finite"


def _named(values: object) -> tuple[str, ...]:
    return tuple(values) if isinstance(values, Mapping) else ()


def _extremes(values: PerLayer, layers: tuple[float, ...]) -> tuple[float, ...]:
    """The numbers to look at: one where one stands for all layers."""
    return (float(values),) if isinstance(values, (int, float)) else layers


def _group_faults(problem: StreamingProblem) -> Iterator[str]:
    if len({group.id for group in problem.multicast}) != len(problem.multicast):
        yield "two multicast groups have one id"
    grouped: set[str] = set()
    for group in problem.multicast:
        here = f"multicast group {group.id!r}"
        if len(set(group.blocks)) != len(group.blocks):
            yield f"{here} has a block twice"
        for block in group.blocks:
            if block not in problem.block_bits:
                yield f"{here}: no block {block!r}"
        for user in group.users:
            if user not in problem.user_index:
                yield f"{here}: no user {user!r}"
            if user in grouped:
                yield f"{here}: user {user!r} is in a group already"
            grouped.add(user)
