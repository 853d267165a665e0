"""An engine that answers nothing and shows what it is told to, and records to tell observers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from hashlib import sha256

import torch

from trunkline.errors import UnknownModelError
from trunkline.server.work import Answer, BatchRecord, LoadRecord, ServedModel, Snapshot, State
from trunkline.store.model import StoredBlock, StoredModel


def digest(name: str) -> str:
    """A block's digest, made of a name."""
    return f"sha256:{sha256(name.encode()).hexdigest()}"


def served(
    name: str,
    blocks: Mapping[str, int],
    resident: Sequence[str] = (),
    waiting: int = 0,
    reason: str = "",
) -> ServedModel:
    """A model of blocks of these names and bytes, unavailable if there is a reason."""
    stored = tuple(
        StoredBlock(block, digest(block), size, size, 0, ()) for block, size in blocks.items()
    )
    return ServedModel(
        StoredModel(name, stored, None, None, sum(blocks.values()), digest(name)),
        State.UNAVAILABLE if reason else State.READY,
        reason,
        resident_bytes=sum(size for block, size in blocks.items() if block in resident),
        waiting=waiting,
    )


def record(model: str = "a", error: str = "", **changes: float) -> BatchRecord:
    """A batch of two requests that loaded for 10 ms and then computed for 30 ms."""
    usual = BatchRecord(model, 2, 3, 50, 200, 1.0, 1.01, 1.01, 1.04, 0.01, 0.02, 0.001, error)
    return replace(usual, **changes)  # type: ignore[arg-type]


def load(model: str = "a") -> LoadRecord:
    """A load of 50 bytes in 10 ms, as planned."""
    return LoadRecord(model, 50, 1.0, 1.01, 0.01)


class StillEngine:
    """Shows a snapshot; `shown` may be replaced."""

    def __init__(self, models: Sequence[ServedModel] = (), **shown: object) -> None:
        resident = frozenset(
            block.digest
            for model in models
            if model.resident_bytes
            for block in model.stored.blocks
        )
        sizes = {block.digest: block.bytes for model in models for block in model.stored.blocks}
        self.shown = Snapshot(
            1.05, models, resident, sum(sizes[one] for one in resident), 1000, "cpu"
        )
        self.shown = replace(self.shown, **shown)  # type: ignore[arg-type]
        self.ready = True
        self.live = True

    def submit(
        self,
        model: str,
        inputs: Mapping[str, torch.Tensor],
        deadline_s: float,
        more: bool = False,
    ) -> Future[Answer]:
        """Takes nothing."""
        raise UnknownModelError(f"no model {model!r}")

    def begin(self) -> None:
        """Nothing waits."""

    def models(self) -> list[ServedModel]:
        """The snapshot's."""
        return list(self.shown.models)

    def stored(self, name: str) -> StoredModel:
        """Its part that the store has."""
        return self.model(name).stored

    def model(self, name: str) -> ServedModel:
        """One of the snapshot's."""
        for one in self.shown.models:
            if one.name == name:
                return one
        raise UnknownModelError(f"no model {name!r}")

    def load(self, name: str) -> None:
        """Does nothing."""

    def unload(self, name: str) -> None:
        """Does nothing."""

    def snapshot(self) -> Snapshot:
        """What it was told to show."""
        return self.shown

    def drain(self, seconds: float) -> bool:
        """Has nothing to finish."""
        return True

    def close(self) -> None:
        """Has nothing to let go."""
