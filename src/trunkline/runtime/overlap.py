"""What a forward that overlapped with the arrival of its blocks took, beside the recursion.

Layer l here is what the forward computes from the first use of some blocks to the first use of
others. With D_l its last byte, T_l its computing, F_0 when the first layer was asked for:

    F_l = max(D_l, F_{l-1}) + T_l           (overlapped)
    F_L = max(D_L, F_0) + T_1 + ... + T_L   (download first)

Source: the latency recursion of SLIDE (streaming), fed with what was measured. What it leaves out
is the time from the last byte to the use: hashing, copying, waking up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trunkline.streaming.recursion import layer_finishes


@dataclass(frozen=True, slots=True)
class LayerRun:
    """One layer. Times are seconds on one clock, from when the transfer was asked for.

    Attributes:
        name: the ids of its blocks.
        digests: theirs.
        bytes, sent_bytes: of its tensors; of these, what came over the link.
        arrived_s: its last byte was there (D).
        ready_s: its tensors could be used.
        asked_s: the forward came to it.
        started_s, ended_s: it computed; it waited from `asked_s` to `started_s`.
    """

    name: str
    digests: tuple[str, ...]
    bytes: int
    sent_bytes: int
    arrived_s: float
    ready_s: float
    asked_s: float
    started_s: float
    ended_s: float

    @property
    def waited_s(self) -> float:
        """How long the forward stood still for it."""
        return self.started_s - self.asked_s

    @property
    def compute_s(self) -> float:
        """T: until the next layer was asked for, or the forward ended."""
        return self.ended_s - self.started_s


@dataclass(frozen=True)
class Overlap:
    """A forward and its layers, in the order of use.

    Attributes:
        begun_s: the forward was called.
        ended_s: its output was there.
        unused: ids of blocks that it did not use.
        download_first: whether it was made to wait for all blocks before it began.
    """

    layers: tuple[LayerRun, ...]
    begun_s: float
    ended_s: float
    unused: tuple[str, ...] = ()
    download_first: bool = False

    @property
    def first_s(self) -> float:
        """F_0: when the first layer was asked for."""
        return self.layers[0].asked_s if self.layers else self.begun_s

    @property
    def waited_s(self) -> float:
        """How long the forward stood still for blocks."""
        return sum(layer.waited_s for layer in self.layers)

    @property
    def compute_s(self) -> float:
        """How long the layers computed."""
        return sum(layer.compute_s for layer in self.layers)

    @property
    def last_byte_s(self) -> float:
        """When the last byte that a layer needs was there."""
        return max((layer.arrived_s for layer in self.layers), default=0.0)

    @property
    def predicted_s(self) -> float:
        """When the forward ends by the recursion, from the measured D and T."""
        arrived = np.array([[layer.arrived_s for layer in self.layers]])
        seconds = np.array([[layer.compute_s for layer in self.layers]])
        if not self.layers:
            return self.ended_s
        return float(layer_finishes(arrived, seconds, np.array([self.first_s]))[0, -1])

    @property
    def predicted_wait_s(self) -> float:
        """How long the forward stands still by the recursion."""
        return max(0.0, self.predicted_s - self.first_s - self.compute_s)

    @property
    def download_first_s(self) -> float:
        """When it would have ended, had it begun to compute after the last byte."""
        return max(self.last_byte_s, self.first_s) + self.compute_s

    @property
    def used(self) -> tuple[str, ...]:
        """Digests of the blocks, in the order of their first use."""
        return tuple(digest for layer in self.layers for digest in layer.digests)

    @property
    def out_of_order(self) -> int:
        """How many of the layers that were sent came earlier than one that was used before them: 0
        where the blocks came in the order of use."""
        latest, count = 0.0, 0
        for layer in self.layers:
            if layer.sent_bytes:
                count += layer.arrived_s < latest
                latest = max(latest, layer.arrived_s)
        return count

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "end_to_end_s": self.ended_s,
            "predicted_s": self.predicted_s,
            "begun_s": self.begun_s,
            "first_s": self.first_s,
            "last_byte_s": self.last_byte_s,
            "compute_s": self.compute_s,
            "waited_s": self.waited_s,
            "predicted_wait_s": self.predicted_wait_s,
            "download_first": self.download_first,
            "download_first_s": self.download_first_s,
            "out_of_order": self.out_of_order,
            "unused": list(self.unused),
            "layers": [_layer(layer) for layer in self.layers],
        }


def _layer(layer: LayerRun) -> dict[str, Any]:
    document = asdict(layer)
    document["digests"] = list(layer.digests)
    return document
