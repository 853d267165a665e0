"""Which model, bandwidth share and speeds each user gets when devices infer while their model
arrives (SLIDE)."""

from trunkline.streaming.check import check
from trunkline.streaming.plan import MulticastStream, ServedUser, StreamingPlan
from trunkline.streaming.problem import (
    Device,
    Layer,
    MulticastGroup,
    StreamingModel,
    StreamingProblem,
    User,
)
from trunkline.streaming.solve import DEFAULT_METHOD, METHODS, solve

__all__ = [
    "DEFAULT_METHOD",
    "METHODS",
    "Device",
    "Layer",
    "MulticastGroup",
    "MulticastStream",
    "ServedUser",
    "StreamingModel",
    "StreamingPlan",
    "StreamingProblem",
    "User",
    "check",
    "solve",
]
