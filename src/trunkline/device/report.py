"""What streaming a model took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trunkline.runtime.overlap import Overlap


@dataclass(frozen=True)
class StreamReport:
    """A model that was streamed and run. Times are seconds from when the transfer was asked for.

    Attributes:
        model, name: what it is called at the server, and in the store.
        manifest: digest of its manifest.
        bytes: of its tensors.
        received_bytes: of the stream, its header included, however often they were sent.
        held_bytes: of its tensors, what the store held before.
        rate_bytes_per_s: the pace that the server granted, None where it does not pace.
        deadline_s: None if there was none.
        cuts: how often the connection broke or the server told to come again.
        reopened: how often another transfer was opened, since the server knew the first no more.
        complete_s: every block was there and the store had the model.
        not_kept: why the store does not have the model, empty if it does.
        learnt: whether the store did not know before in which order such a model uses its blocks.
        overlap: the forward, layer by layer.
    """

    model: str
    name: str
    manifest: str
    bytes: int
    received_bytes: int
    held_bytes: int
    rate_bytes_per_s: float | None
    deadline_s: float | None
    cuts: int
    reopened: int
    complete_s: float
    not_kept: str
    learnt: bool
    overlap: Overlap

    @property
    def late(self) -> bool:
        """Whether the output came after the deadline."""
        return self.deadline_s is not None and self.overlap.ended_s > self.deadline_s

    @property
    def compute_s(self) -> float:
        """What the forward computed: what a server can be told next time."""
        return self.overlap.compute_s

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "model": self.model,
            "name": self.name,
            "manifest": self.manifest,
            "bytes": self.bytes,
            "received_bytes": self.received_bytes,
            "held_bytes": self.held_bytes,
            "rate_bytes_per_s": self.rate_bytes_per_s,
            "deadline_s": self.deadline_s,
            "late": self.late,
            "cuts": self.cuts,
            "reopened": self.reopened,
            "complete_s": self.complete_s,
            "not_kept": self.not_kept,
            "learnt": self.learnt,
            **self.overlap.to_dict(),
        }
