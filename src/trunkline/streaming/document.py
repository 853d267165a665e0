"""Streaming documents: `trunkline/streaming-problem/1` and `trunkline/streaming-plan/1`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from trunkline.documents import (
    Identifier,
    NonNegative,
    Positive,
    PositiveInt,
    Raw,
    Strict,
    check_ids,
    decode,
    member,
)
from trunkline.errors import DocumentError
from trunkline.streaming.plan import MulticastStream, ServedUser, StreamingPlan
from trunkline.streaming.problem import (
    Device,
    Layer,
    MulticastGroup,
    PerLayer,
    StreamingModel,
    StreamingProblem,
    User,
)

PROBLEM_FORMAT = "trunkline/streaming-problem/1"

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=2)]
Values = NonNegative | list[NonNegative] | dict[str, list[NonNegative]]
"""One number for all layers, one a layer, or one a layer for each model by its id."""


class _Layer(Strict):
    bits: NonNegative
    flop: NonNegative
    block: Identifier | None = None


class _Model(Strict):
    id: Identifier
    accuracy: Fraction
    layers: Annotated[list[_Layer], msgspec.Meta(min_length=1)]


class _Device(Strict):
    hz: Positive
    cycles_per_flop: NonNegative
    joule_per_cycle_hz2: NonNegative = 0.0


class _User(Strict):
    id: Identifier
    models: list[str]
    bits_per_s_per_hz: NonNegative
    deadline_s: NonNegative
    samples: PositiveInt
    device: _Device
    energy_j: NonNegative | None = None
    fixed_j: NonNegative = 0.0
    fixed_s: Values = 0.0
    copy_s: Values = 0.0
    first_byte_s: NonNegative = 0.0
    ready_s: NonNegative = 0.0
    tail_s: NonNegative = 0.0
    min_accuracy: Fraction = 0.0
    cached: dict[str, list[bool]] = msgspec.field(default_factory=dict)
    weight: NonNegative | dict[str, NonNegative] = 1.0


class _Group(Strict):
    id: Identifier
    users: list[str]
    blocks: list[str]


class _Problem(Strict):
    format: Literal["trunkline/streaming-problem/1"]
    bandwidth_hz: NonNegative
    models: list[_Model]
    users: list[_User]
    resource_blocks: PositiveInt | None = None
    multicast: list[_Group] = msgspec.field(default_factory=list)


class _Served(Strict):
    id: str
    model: str
    share: Share
    speeds: list[Share]
    layer_finish_s: list[NonNegative]
    finish_s: NonNegative
    energy_j: NonNegative
    transfers: list[PositiveInt] | None = None
    multicast: str | None = None


class _Stream(Strict):
    id: str
    share: Share
    bits_per_s_per_hz: NonNegative


class _Plan(Strict):
    format: Literal["trunkline/streaming-plan/1"]
    method: str
    served: Annotated[int, msgspec.Meta(ge=0)]
    proven: bool
    solve_s: NonNegative
    users: list[_Served]
    multicast: list[_Stream] = msgspec.field(default_factory=list)


def problem_from_document(raw: Raw) -> StreamingProblem:
    """The problem that a document states (DocumentError, with the path, where it states none)."""
    document = decode(raw, _Problem)
    check_ids((model.id for model in document.models), "$.models", raw)
    check_ids((user.id for user in document.users), "$.users", raw)
    check_ids((group.id for group in document.multicast), "$.multicast", raw)
    models = {model.id: model for model in document.models}
    sizes = _block_sizes(document.models, raw)
    for u, user in enumerate(document.users):
        _check_user(user, f"$.users[{u}]", models, raw)
    _check_groups(document, sizes, raw)
    return StreamingProblem(
        bandwidth_hz=document.bandwidth_hz,
        models=tuple(
            StreamingModel(
                m.id, m.accuracy, tuple(Layer(x.bits, x.flop, x.block) for x in m.layers)
            )
            for m in document.models
        ),
        users=tuple(_user(user) for user in document.users),
        resource_blocks=document.resource_blocks,
        multicast=tuple(
            MulticastGroup(g.id, tuple(g.users), tuple(g.blocks)) for g in document.multicast
        ),
    )


def _user(user: _User) -> User:
    return User(
        id=user.id,
        models=tuple(user.models),
        bits_per_s_per_hz=user.bits_per_s_per_hz,
        deadline_s=user.deadline_s,
        device=Device(user.device.hz, user.device.cycles_per_flop, user.device.joule_per_cycle_hz2),
        samples=user.samples,
        energy_j=user.energy_j,
        fixed_j=user.fixed_j,
        fixed_s=_values(user.fixed_s),
        copy_s=_values(user.copy_s),
        first_byte_s=user.first_byte_s,
        ready_s=user.ready_s,
        tail_s=user.tail_s,
        min_accuracy=user.min_accuracy,
        cached={model: tuple(layers) for model, layers in user.cached.items()},
        weight=user.weight,
    )


def _values(values: float | list[float] | dict[str, list[float]]) -> PerLayer:
    if isinstance(values, dict):
        return {model: tuple(layers) for model, layers in values.items()}
    return tuple(values) if isinstance(values, list) else values


def problem_to_document(problem: StreamingProblem) -> dict[str, Any]:
    """A problem as a document; optional fields stand only where they differ from their default."""
    document: dict[str, Any] = {
        "format": PROBLEM_FORMAT,
        "bandwidth_hz": problem.bandwidth_hz,
        "resource_blocks": problem.resource_blocks,
        "models": [
            {
                "id": model.id,
                "accuracy": model.accuracy,
                "layers": [_layer_to_document(layer) for layer in model.layers],
            }
            for model in problem.models
        ],
        "users": [_user_to_document(user) for user in problem.users],
    }
    if problem.multicast:
        document["multicast"] = [
            {"id": g.id, "users": list(g.users), "blocks": list(g.blocks)}
            for g in problem.multicast
        ]
    return document


def _layer_to_document(layer: Layer) -> dict[str, Any]:
    document: dict[str, Any] = {"bits": layer.bits, "flop": layer.flop}
    return document if layer.block is None else {**document, "block": layer.block}


_OPTIONAL = {
    name: User.__dataclass_fields__[name].default
    for name in (
        *("energy_j", "fixed_j", "fixed_s", "copy_s", "first_byte_s", "ready_s", "tail_s"),
        *("min_accuracy", "weight"),
    )
}


def _user_to_document(user: User) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": user.id,
        "models": list(user.models),
        "bits_per_s_per_hz": user.bits_per_s_per_hz,
        "deadline_s": user.deadline_s,
        "samples": user.samples,
        "device": {
            "hz": user.device.hz,
            "cycles_per_flop": user.device.cycles_per_flop,
            "joule_per_cycle_hz2": user.device.joule_per_cycle_hz2,
        },
    }
    for name, default in _OPTIONAL.items():
        if (value := getattr(user, name)) != default:
            document[name] = _plain(value)
    if user.cached:
        document["cached"] = _plain(user.cached)
    return document


def _plain(value: object) -> object:
    """Tuples as lists, mappings as dicts."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def plan_from_document(raw: Raw) -> StreamingPlan:
    """The plan that a document states; whether it holds is for `check` to say."""
    document = decode(raw, _Plan)
    return StreamingPlan(
        method=document.method,
        served=document.served,
        proven=document.proven,
        solve_s=document.solve_s,
        users=tuple(
            ServedUser(
                id=user.id,
                model=user.model,
                share=user.share,
                speeds=tuple(user.speeds),
                layer_finish_s=tuple(user.layer_finish_s),
                finish_s=user.finish_s,
                energy_j=user.energy_j,
                transfers=None if user.transfers is None else tuple(user.transfers),
                multicast=user.multicast,
            )
            for user in document.users
        ),
        multicast=tuple(
            MulticastStream(one.id, one.share, one.bits_per_s_per_hz) for one in document.multicast
        ),
    )


def _block_sizes(models: Iterable[_Model], raw: Raw) -> dict[str, float]:
    """The size of each block that a layer names; one id is one content, so one size."""
    sizes: dict[str, float] = {}
    for m, model in enumerate(models):
        seen: set[str] = set()
        for n, layer in enumerate(model.layers):
            if layer.block is None:
                continue
            here = f"$.models[{m}].layers[{n}]"
            if layer.block in seen:
                problem = f"the model has {layer.block!r} already; give its bits once"
                raise DocumentError(f"{here}.block", problem, raw.source)
            if sizes.setdefault(layer.block, layer.bits) != layer.bits:
                problem = f"{layer.bits:g}, but block {layer.block!r} has {sizes[layer.block]:g}"
                raise DocumentError(f"{here}.bits", problem, raw.source)
            seen.add(layer.block)
    return sizes


def _check_user(user: _User, here: str, models: Mapping[str, _Model], raw: Raw) -> None:
    seen: set[str] = set()
    for n, model in enumerate(user.models):
        if model not in models:
            raise DocumentError(f"{here}.models[{n}]", f"no model {model!r}", raw.source)
        if model in seen:
            raise DocumentError(f"{here}.models[{n}]", f"{model!r} stands twice", raw.source)
        seen.add(model)
    lists: list[tuple[str, str, int]] = []  # path, model, length
    for name, values in (("fixed_s", user.fixed_s), ("copy_s", user.copy_s)):
        if isinstance(values, list):
            lists += [(f"{here}.{name}", model, len(values)) for model in user.models]
        elif isinstance(values, dict):
            lists += [(member(f"{here}.{name}", m), m, len(v)) for m, v in values.items()]
    lists += [(member(f"{here}.cached", m), m, len(held)) for m, held in user.cached.items()]
    for path, model, count in lists:
        if model not in models:
            raise DocumentError(path, f"no model {model!r}", raw.source)
        if count != (layers := len(models[model].layers)):
            problem = f"{count} values, but model {model!r} has {layers} layers"
            raise DocumentError(path, problem, raw.source)
    if isinstance(user.weight, dict):
        for model in (*user.weight, *user.models):
            if model not in models or model not in user.weight:
                what = "no model" if model not in models else "no weight with model"
                raise DocumentError(f"{here}.weight", f"{what} {model!r}", raw.source)


def _check_groups(document: _Problem, sizes: Mapping[str, float], raw: Raw) -> None:
    users = {user.id for user in document.users}
    grouped: set[str] = set()
    for g, group in enumerate(document.multicast):
        here = f"$.multicast[{g}]"
        for n, user in enumerate(group.users):
            if user not in users:
                raise DocumentError(f"{here}.users[{n}]", f"no user {user!r}", raw.source)
            if user in grouped:
                problem = f"user {user!r} is in a group already"
                raise DocumentError(f"{here}.users[{n}]", problem, raw.source)
            grouped.add(user)
        for n, block in enumerate(group.blocks):
            if block not in sizes:
                raise DocumentError(f"{here}.blocks[{n}]", f"no block {block!r}", raw.source)
            if block in group.blocks[:n]:
                raise DocumentError(f"{here}.blocks[{n}]", f"{block!r} stands twice", raw.source)
