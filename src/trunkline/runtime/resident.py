"""Resident blocks: each block once in memory, under a budget, whoever uses it.

The budget counts payload, as the planner does. What lies beyond it is the padding of each tensor to
64 bytes, and address space that is reserved but not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Final

import torch

from trunkline.errors import MemoryBudgetError
from trunkline.runtime.arena import Buffer
from trunkline.runtime.device import Job, Memory
from trunkline.runtime.dtypes import torch_dtype
from trunkline.runtime.placement import Placement
from trunkline.runtime.reading import Read, read_block
from trunkline.store import Store, StoredBlock

_OWNER: Final = " of "


def own(block: StoredBlock, model: str) -> StoredBlock:
    """The block as one that only this model has, whoever else holds it in the store."""
    return replace(block, digest=f"{block.digest}{_OWNER}{model}")


def digest_of(block: StoredBlock) -> str:
    """The digest of its blob in the store, whoever has the block."""
    return block.digest.partition(_OWNER)[0]


def owner_of(digest: str) -> str:
    """The model that alone has a block; empty for blocks that may be shared."""
    return digest.partition(_OWNER)[2]


class ResidentBlock:
    """A block in memory. Its tensors are views of one buffer, shared by all who use them."""

    __slots__ = (
        *("_addresses", "_parameters", "block", "buffer", "last_use", "placement", "tensors"),
    )

    def __init__(self, block: StoredBlock, placement: Placement, buffer: Buffer) -> None:
        self.block = block
        self.placement = placement
        self.buffer = buffer
        self.last_use = 0
        self.tensors: dict[str, torch.Tensor] = {}
        typed: dict[str, tuple[torch.Tensor, int]] = {}
        for spec, offset in zip(block.tensors, placement.offsets, strict=True):
            if spec.dtype not in typed:
                data = buffer.tensor.view(torch_dtype(spec.dtype))
                typed[spec.dtype] = data, int(data.storage_offset())
            data, base = typed[spec.dtype]
            start = base + offset // data.itemsize
            self.tensors[spec.name] = data.as_strided(spec.shape, _strides(spec.shape), start)
        self._addresses = {name: one.data_ptr() for name, one in self.tensors.items()}
        self._parameters: dict[str, torch.nn.Parameter] = {}

    def is_whole(self, name: str, held: torch.Tensor | None, is_parameter: bool) -> bool:
        """Whether what stands in a slot is the tensor (the parameter) that was put there, in the
        memory of this block."""
        put = (self._parameters if is_parameter else self.tensors).get(name)
        return held is not None and held is put and held.data_ptr() == self._addresses[name]

    def parameter(self, name: str) -> torch.nn.Parameter:
        """The tensor as a parameter that takes no gradient; the same object at every call."""
        found = self._parameters.get(name)
        if found is None:
            found = torch.nn.Parameter(self.tensors[name], requires_grad=False)
            self._parameters[name] = found
        return found


class Residents:
    """The blocks in memory, by digest.

    Args:
        store: where blocks come from.
        memory: where they go.
        budget_bytes: the most payload that may be resident at once; None for no limit.
    """

    def __init__(self, store: Store, memory: Memory, budget_bytes: int | None = None) -> None:
        self.budget_bytes = budget_bytes
        self.bytes = 0
        self._store = store
        self._memory = memory
        self._blocks: dict[str, ResidentBlock] = {}
        self._places: dict[str, tuple[Placement, str]] = {}
        self._clock = 0
        self.changes = 0  # grows whenever other blocks are resident than before
        self._largest = 0  # the most that one model needed so far

    def __contains__(self, digest: str) -> bool:
        return digest in self._blocks

    def __getitem__(self, digest: str) -> ResidentBlock:
        return self._blocks[digest]

    @property
    def digests(self) -> set[str]:
        """The digests of all resident blocks."""
        return set(self._blocks)

    def missing(self, blocks: Mapping[str, StoredBlock]) -> list[StoredBlock]:
        """Those that are not resident, in their order."""
        return [block for digest, block in blocks.items() if digest not in self._blocks]

    def path(self, block: StoredBlock) -> str:
        """Where the blob of a block is."""
        return self._place(block)[1]

    def bring(
        self, blocks: Mapping[str, StoredBlock], meanwhile: Callable[[], None] | None = None
    ) -> list[StoredBlock]:
        """Make blocks resident, all or none; returns those that were loaded.

        The caller has made room (`victims`, `evict`).

        Args:
            meanwhile: called once while bytes are on their way, when all blocks have their places.

        Raises:
            NotInStoreError, CorruptBlobError, StoreError: a block cannot be read.
        """
        jobs = self.begin(blocks)

        def register() -> None:
            self.finish(jobs)
            if meanwhile is not None:
                meanwhile()

        try:
            self.read(jobs, register)
        except BaseException:
            self.cancel(jobs)
            raise
        return [job.block for job in jobs]

    def begin(self, blocks: Mapping[str, StoredBlock]) -> list[Job]:
        """Memory for those of the blocks that are not resident; it counts as resident from now on.
        To be read (`read`), and then made resident (`finish`) or given up (`cancel`)."""
        missing = self.missing(blocks)
        whole = self.bytes + sum(block.bytes for block in missing)
        self._largest = max(self._largest, sum(block.bytes for block in blocks.values()))
        limit = self._largest if self.budget_bytes is None else self.budget_bytes
        jobs: list[Job] = []
        try:
            # Long runs of memory are found while there are some.
            for block in sorted(missing, key=lambda block: (-block.bytes, block.id)):
                jobs.append(self._job(block))
            self._memory.trim(limit - whole)
        except BaseException:
            for job in jobs:
                self._memory.free(job.buffer)
            raise
        self.bytes = whole
        return jobs

    def read(self, jobs: Sequence[Job], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Bring the bytes of blocks into their memory; `meanwhile` is called once on the way.

        Raises:
            NotInStoreError, CorruptBlobError, StoreError: a block cannot be read.
        """
        self._memory.load(jobs, meanwhile)

    def finish(self, jobs: Sequence[Job]) -> None:
        """Make blocks resident that were begun."""
        self.adopt(ResidentBlock(job.block, job.placement, job.buffer) for job in jobs)

    def adopt(self, made: Iterable[ResidentBlock]) -> None:
        """As `finish`, with what was made of the jobs."""
        self.changes += 1
        for one in made:
            self._blocks[one.block.digest] = one

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Give back the memory of blocks that were begun."""
        self.changes += 1
        for job in jobs:
            self._blocks.pop(job.block.digest, None)
            self._memory.free(job.buffer)
            self.bytes -= job.block.bytes

    def version(self, digests: Collection[str]) -> int:
        """A number that grows when PyTorch writes into one of these blocks (or a neighbour)."""
        return sum(self._blocks[digest].buffer.tensor._version for digest in digests)

    def changed(self, digest: str) -> list[str]:
        """The names of a resident block's tensors that are not as the store has them."""
        one = self._blocks[digest]
        placement, path = one.placement, self.path(one.block)
        whole = torch.empty(placement.size, dtype=torch.uint8)
        view = memoryview(whole.numpy())  # type: ignore[arg-type]
        read_block(Read(path, one.block, placement, view))
        there = one.buffer.tensor.cpu()
        return [
            spec.name
            for spec, offset in zip(one.block.tensors, placement.offsets, strict=True)
            if not torch.equal(
                there[offset : offset + spec.bytes], whole[offset : offset + spec.bytes]
            )
        ]

    def keep_places(self, digests: Collection[str]) -> None:
        """Forget how other blocks lie in memory; it is found anew where it is needed."""
        self._places = {one: known for one, known in self._places.items() if one in digests}

    def touch(self, digests: Collection[str]) -> None:
        """Note that these blocks are used now."""
        self._clock += 1
        for digest in digests:
            self._blocks[digest].last_use = self._clock

    def evict(self, digests: Collection[str]) -> int:
        """Let blocks go; returns their bytes. Their memory serves the next blocks."""
        gone = 0
        self.changes += 1
        for digest in digests:
            one = self._blocks.pop(digest, None)
            if one is not None:
                gone += one.block.bytes
                self._memory.free(one.buffer)
        self.bytes -= gone
        return gone

    def victims(
        self,
        name: str,
        blocks: Mapping[str, StoredBlock],
        keep: Collection[str] = (),
        next_use: Mapping[str, int] | None = None,
    ) -> list[str]:
        """What must go before the blocks of model `name` are all resident.

        Without a budget: everything that neither it nor `keep` names. With one, only as much as
        needed: blocks whose next use is farthest (never, first) where the plan is known, the least
        recently used among equals.

        Args:
            next_use: digest -> how many models come before it is used; absent means never.

        Raises:
            MemoryBudgetError: the model, with what must be kept, is larger than the budget.
        """
        free = [digest for digest in self._blocks if digest not in blocks and digest not in keep]
        if self.budget_bytes is None:
            return free
        needed = sum(block.bytes for block in blocks.values())
        kept = sum(
            one.block.bytes
            for digest, one in self._blocks.items()
            if digest in keep and digest not in blocks
        )
        if needed + kept > self.budget_bytes:
            beside = f" beside the {kept} bytes that must stay" if kept else ""
            raise MemoryBudgetError(
                f"model {name!r} needs {needed} bytes{beside}, the memory budget is "
                f"{self.budget_bytes} bytes"
            )
        excess = needed + kept - self.budget_bytes
        excess += sum(self._blocks[digest].block.bytes for digest in free)
        return self._first_to_go(free, excess, next_use or {})

    def _first_to_go(self, free: list[str], excess: int, next_use: Mapping[str, int]) -> list[str]:
        never = len(next_use) + max(next_use.values(), default=0) + 1
        free.sort(
            key=lambda digest: (
                -next_use.get(digest, never),
                self._blocks[digest].last_use,
                digest,
            )
        )
        chosen: list[str] = []
        for digest in free:
            if excess <= 0:
                break
            excess -= self._blocks[digest].block.bytes
            chosen.append(digest)
        return chosen

    def _job(self, block: StoredBlock) -> Job:
        placement, path = self._place(block)
        return self._memory.job(path, block, placement)

    def _place(self, block: StoredBlock) -> tuple[Placement, str]:
        """How a block lies in memory, and where its blob is."""
        known = self._places.get(block.digest)
        if known is None:
            known = self._memory.place(block), str(self._store.blob_path(digest_of(block)))
            self._places[block.digest] = known
        return known


@cache
def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a contiguous tensor, in elements."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def next_uses(upcoming: Sequence[Collection[str]]) -> dict[str, int]:
    """digest -> how many models come before the first in `upcoming` that uses it."""
    first: dict[str, int] = {}
    for place_, digests in enumerate(upcoming):
        for digest in digests:
            first.setdefault(digest, place_)
    return first
