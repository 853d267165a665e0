"""The answer to a loading problem: batches in order, with what each moves and takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FORMAT = "trunkline/loading-plan/1"


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch.

    Attributes:
        model: id of the model that computes it.
        tasks: ids of its tasks.
        shares: share of the bandwidth of each task while the batch uploads, same order.
        load_bytes: bytes loaded before it computes.
        upload_s, load_s, compute_s: how long its three steps take.
        start_s, finish_s: when it starts uploading and when its answers are there.
        evicted: ids of the blocks dropped from memory before it loads (only where the problem has
            a memory budget; without one the blocks of any other model go).
        load_start_s, compute_start_s: when it starts loading and computing, where batches overlap;
            None where its three steps follow each other without a pause.
    """

    model: str
    tasks: tuple[str, ...]
    shares: tuple[float, ...]
    load_bytes: float
    upload_s: float
    load_s: float
    compute_s: float
    start_s: float
    finish_s: float
    evicted: tuple[str, ...] | None = None
    load_start_s: float | None = None
    compute_start_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The batch as it stands in a plan document."""
        document: dict[str, Any] = {
            "model": self.model,
            "tasks": list(self.tasks),
            "shares": list(self.shares),
            "load_bytes": self.load_bytes,
            "upload_s": self.upload_s,
            "load_s": self.load_s,
            "compute_s": self.compute_s,
            "start_s": self.start_s,
            "finish_s": self.finish_s,
        }
        if self.evicted is not None:
            document["evicted"] = list(self.evicted)
        if self.load_start_s is not None:
            document["load_start_s"] = self.load_start_s
        if self.compute_start_s is not None:
            document["compute_start_s"] = self.compute_start_s
        return document


@dataclass(frozen=True, slots=True)
class LoadingPlan:
    """A plan.

    Attributes:
        method: the name of the method that made it.
        served: tasks served in time, the sum of the batches' sizes.
        tasks: tasks in the problem.
        bound: no plan for this problem serves more tasks than this (a proved upper bound).
        proven: whether `served` is proved to be the most that can be served.
        solve_s: seconds that planning took.
        finish_s: when the last batch ends; 0 without batches.
        batches: in the order in which they run.
    """

    method: str
    served: int
    tasks: int
    bound: int
    proven: bool
    solve_s: float
    finish_s: float
    batches: tuple[Batch, ...]

    @property
    def load_bytes(self) -> float:
        """Bytes loaded over all batches."""
        return sum(batch.load_bytes for batch in self.batches)

    @property
    def overlaps(self) -> bool:
        """Whether any batch has moments of its own for its load and its computation."""
        return any(
            batch.load_start_s is not None or batch.compute_start_s is not None
            for batch in self.batches
        )

    def to_dict(self) -> dict[str, Any]:
        """The plan as a `trunkline/loading-plan/1` document."""
        return {
            "format": FORMAT,
            "method": self.method,
            "served": self.served,
            "tasks": self.tasks,
            "bound": self.bound,
            "proven": self.proven,
            "solve_s": self.solve_s,
            "finish_s": self.finish_s,
            "batches": [batch.to_dict() for batch in self.batches],
        }
