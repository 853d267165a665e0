"""What the store's operations tell when they are done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trunkline.errors import StoreError
from trunkline.store.model import StoredModel


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
class PullReport:
    """What a pull did. Bytes are those of whole blobs: blocks, small files, the manifest.

    Attributes:
        name: the model's name in the store.
        reference: where it came from.
        digest: its manifest's.
        bytes_in: of all its blobs.
        bytes_fetched: that came over the network.
        bytes_resumed: that an earlier, interrupted pull had left.
        bytes_saved: of blobs that the store held already.
        blobs, blobs_fetched: how many it has, and how many the store did not hold.
        shared: other models of the store -> payload bytes they have in common with this one; only
            those that share something.
        seconds: how long it took.
        unchanged: the very same model was there under this name.
        replaced: another model of this name gave way.
    """

    name: str
    reference: str
    digest: str
    bytes_in: int
    bytes_fetched: int
    bytes_resumed: int
    bytes_saved: int
    blobs: int
    blobs_fetched: int
    shared: Mapping[str, int] = field(default_factory=dict, hash=False)
    seconds: float = 0.0
    unchanged: bool = False
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class PushReport:
    """What a push did. Bytes are those of whole blobs: blocks, small files, the manifest.

    Attributes:
        name: the model's name in the store.
        reference: where it is now.
        digest: its manifest's.
        bytes_in, blobs: of all its blobs.
        bytes_sent, blobs_sent: that went over the network.
        bytes_mounted, blobs_mounted: that the registry took from another of its repositories.
        seconds: how long it took.
        unchanged: the very same model was there under this tag.
    """

    name: str
    reference: str
    digest: str
    bytes_in: int
    blobs: int
    bytes_sent: int
    blobs_sent: int
    bytes_mounted: int
    blobs_mounted: int
    seconds: float = 0.0
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class GcReport:
    """What a garbage collection removed: blobs, their bytes, and left-over temporary files."""

    blobs: int
    bytes: int
    temporaries: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a store that is not what it should be.

    Attributes:
        place: a blob's digest, or `index.json`.
        problem: what is wrong there.
        models: the models that it breaks (none: no model needs the blob).
        wrong: a blob is there, and its content is not that of its digest.
    """

    place: str
    problem: str
    models: tuple[str, ...]
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a store holds: models that can be read, and names of others with the reason."""

    models: tuple[StoredModel, ...]
    damaged: Mapping[str, StoreError] = field(hash=False)


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification did; `ok` when it found nothing wrong.

    Attributes:
        blobs, bytes: what was read.
        problems: what is wrong; blobs that are in quarantine now are still among them.
        seconds: how long it took.
        quarantined: the digests of the blobs that were moved away.
    """

    blobs: int
    bytes: int
    problems: tuple[Problem, ...]
    seconds: float
    quarantined: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every blob is what its digest says."""
        return not self.problems
