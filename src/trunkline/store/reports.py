"""What the store's operations tell when they are done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        name: the model's name.
        bytes_in: payload of all its blocks.
        bytes_new: payload of the blocks that the store did not hold.
        blocks: how many blocks the model has.
        blocks_new: how many the store did not hold.
        shared: other models of the store -> payload bytes they have in common with this one;
            only those that share something.
        seconds: how long it took.
        unchanged: the very same model was there under this name, and nothing was done.
        replaced: another model of this name gave way.
        notes: what the user should know.
    """

    name: str
    bytes_in: int
    bytes_new: int
    blocks: int
    blocks_new: int
    shared: Mapping[str, int] = field(default_factory=dict, hash=False)
    seconds: float = 0.0
    unchanged: bool = False
    replaced: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GcReport:
    """What a garbage collection removed: blobs, their bytes, and left-over temporary files."""

    blobs: int
    bytes: int
    temporaries: int


@dataclass(frozen=True, slots=True)
class BlobProblem:
    """A blob that is not what it should be, and the models that it breaks (none: unreferenced)."""

    digest: str
    problem: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification read and found; `ok` when it found nothing wrong."""

    blobs: int
    bytes: int
    problems: tuple[BlobProblem, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every blob is what its digest says."""
        return not self.problems
