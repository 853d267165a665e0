"""What the server says about itself and its models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import trunkline
from trunkline.server.paths import VERSION
from trunkline.server.work import ServedModel, State, TensorInfo

NAME: Final = "trunkline"
EXTENSIONS: Final = ("binary_tensor_data", "model_repository")
PLATFORM: Final = "pytorch"


def server() -> dict[str, Any]:
    """The server's metadata."""
    return {"name": NAME, "version": trunkline.__version__, "extensions": EXTENSIONS}


def model(served: ServedModel, more: Iterable[TensorInfo] = ()) -> dict[str, Any]:
    """A model's metadata; inputs and outputs as far as they are known.

    Args:
        more: other inputs that it takes instead of its own.
    """
    return {
        "name": served.name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": _tensors([*served.inputs, *more]),
        "outputs": _tensors(served.outputs),
    }


def index(models: Iterable[ServedModel], ready_only: bool) -> list[dict[str, str]]:
    """The repository's index: each model and whether it is served."""
    return [
        {"name": one.name, "version": VERSION, "state": one.state, "reason": one.reason}
        for one in models
        if not ready_only or one.state is State.READY
    ]


def _tensors(infos: Iterable[TensorInfo]) -> list[dict[str, Any]]:
    return [{"name": one.name, "datatype": one.datatype, "shape": list(one.shape)} for one in infos]
