"""What a switch from one model to another did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Switch:
    """What a switch did.

    Attributes:
        model: the model switched to.
        bytes_moved, blocks_moved: what was loaded: exactly the blocks that were missing (all of
            the model's where loading is not partial).
        bytes_evicted: what left memory before that.
        bytes_resident: payload in memory afterwards.
        tensors_assigned: places of the module that were pointed at another tensor.
        seconds: how long it took; on CUDA, until the last copy was on its way.
    """

    model: str
    bytes_moved: int
    blocks_moved: int
    bytes_evicted: int
    bytes_resident: int
    tensors_assigned: int
    seconds: float
