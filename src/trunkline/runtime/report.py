"""What a run did, batch by batch, beside what was planned. Light: no torch."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from trunkline.loading import Batch


@dataclass(frozen=True, slots=True)
class BatchRun:
    """One batch as it was carried out; times in seconds from the start of the run.

    Attributes:
        planned: the batch of the plan.
        start_s: when its upload began (or its load, where nothing was uploaded).
        upload_s: the wait that stands for the upload.
        load_s, compute_s: measured.
        finish_s: when its answers were there.
        bytes_moved: what was loaded.
        late: ids of its tasks whose deadline was over by then.
    """

    planned: Batch
    start_s: float
    upload_s: float
    load_s: float
    compute_s: float
    finish_s: float
    bytes_moved: int
    late: tuple[str, ...]

    @property
    def model(self) -> str:
        """The model that computed it."""
        return self.planned.model

    @property
    def tasks(self) -> tuple[str, ...]:
        """Ids of its tasks."""
        return self.planned.tasks

    @property
    def relative_error(self) -> float:
        """|planned - measured| / measured of load + compute."""
        measured = self.load_s + self.compute_s
        planned = self.planned.load_s + self.planned.compute_s
        return abs(planned - measured) / measured if measured > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a report document."""
        return {
            "model": self.model,
            "tasks": list(self.tasks),
            "late": list(self.late),
            "planned_bytes": self.planned.load_bytes,
            "bytes_moved": self.bytes_moved,
            "start_s": self.start_s,
            "upload_s": self.upload_s,
            "planned_load_s": self.planned.load_s,
            "load_s": self.load_s,
            "planned_compute_s": self.planned.compute_s,
            "compute_s": self.compute_s,
            "planned_finish_s": self.planned.finish_s,
            "finish_s": self.finish_s,
            "relative_error": self.relative_error,
        }


@dataclass(frozen=True, slots=True)
class RunReport:
    """A plan carried out.

    Attributes:
        method: the plan's.
        partial: whether only missing blocks were loaded, or whole models.
        received: tasks of the problem; each was served, late, or not planned.
        deadline_s: the problem's.
        uploads: whether uploads were waited for.
        batches: in the order in which they ran.
    """

    method: str
    partial: bool
    received: int
    deadline_s: float
    uploads: bool
    batches: tuple[BatchRun, ...]

    @property
    def late(self) -> int:
        """Tasks whose batch ended after their deadline."""
        return sum(len(batch.late) for batch in self.batches)

    @property
    def served(self) -> int:
        """Tasks whose batch ended by their deadline."""
        return sum(len(batch.tasks) for batch in self.batches) - self.late

    @property
    def not_planned(self) -> int:
        """Tasks that the plan left out."""
        return self.received - self.served - self.late

    @property
    def bytes_moved(self) -> int:
        """Bytes loaded over all batches."""
        return sum(batch.bytes_moved for batch in self.batches)

    @property
    def load_s(self) -> float:
        """Seconds spent loading."""
        return sum(batch.load_s for batch in self.batches)

    @property
    def compute_s(self) -> float:
        """Seconds spent computing."""
        return sum(batch.compute_s for batch in self.batches)

    @property
    def upload_s(self) -> float:
        """Seconds spent waiting for uploads."""
        return sum(batch.upload_s for batch in self.batches)

    @property
    def finish_s(self) -> float:
        """When the last batch ended."""
        return max((batch.finish_s for batch in self.batches), default=0.0)

    @property
    def median_relative_error(self) -> float | None:
        """Of load + compute over the batches; None without batches."""
        errors = [batch.relative_error for batch in self.batches]
        return statistics.median(errors) if errors else None

    def to_dict(self) -> dict[str, Any]:
        """The report as a `trunkline/run-report/1` document."""
        return {
            "format": "trunkline/run-report/1",
            "method": self.method,
            "partial": self.partial,
            "received": self.received,
            "served": self.served,
            "late": self.late,
            "not_planned": self.not_planned,
            "deadline_s": self.deadline_s,
            "uploads": self.uploads,
            "bytes_moved": self.bytes_moved,
            "upload_s": self.upload_s,
            "load_s": self.load_s,
            "compute_s": self.compute_s,
            "finish_s": self.finish_s,
            "median_relative_error": self.median_relative_error,
            "batches": [batch.to_dict() for batch in self.batches],
        }
