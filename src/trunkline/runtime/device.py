"""Where blocks live: host memory or an accelerator's. All that differs between them stands here.

On the host, a block is used in the pages of its file where its tensors lie well there; else it is
read straight into the places of its tensors. For a CUDA device, blocks are read into a ring of
pinned buffers and copied from there asynchronously on a stream of their own, so that reading the
next part overlaps the copy of the last; whoever computes next waits for the copies on the device,
not on the host.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import torch

from trunkline.errors import InputError, MemoryBudgetError
from trunkline.runtime.arena import Arena, Buffer, begin_of
from trunkline.runtime.mapping import LEAST_BYTES, map_block, populate
from trunkline.runtime.pages import can_map
from trunkline.runtime.placement import ALIGNMENT, Placement, lie_in_file, place
from trunkline.runtime.reading import BlockReader, Read, read_block
from trunkline.store import StoredBlock

SLOT_BYTES: Final = 8 * 2**20
SLOTS: Final = 4
"""The ring of pinned buffers: 4 of 8 MiB, enough to keep a copy and a read going at once."""


@dataclass(frozen=True, slots=True)
class Job:
    """A block to be brought from its file at `path` into its buffer (which may be the file's own
    pages)."""

    path: str
    block: StoredBlock
    placement: Placement
    buffer: Buffer

    @property
    def read(self) -> Read:
        """The read of its file."""
        view = memoryview(b"") if self.buffer.view is None else self.buffer.view
        return Read(self.path, self.block, self.placement, view)


class Memory(Protocol):
    """Memory of one device, for blocks."""

    device: torch.device

    def place(self, block: StoredBlock) -> Placement:
        """How a block of a store lies here."""

    def job(self, path: str, block: StoredBlock, placement: Placement) -> Job:
        """Memory for a block whose file is at `path`, still to be loaded.

        Args:
            placement: what `place` says; the job's may be another.

        Raises:
            NotInStoreError, CorruptBlobError, StoreError: as `BlockReader.read`.
        """

    def allocate(self, size: int) -> Buffer:
        """Memory for `size` bytes, each 64th byte's address a multiple of 64."""

    def free(self, buffer: Buffer) -> None:
        """Take it back; nothing points at it any more."""

    def shares(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor lies in memory that other blocks may get later."""

    def trim(self, limit_bytes: int) -> None:
        """Keep at most `limit_bytes` of free memory."""

    def load(
        self,
        jobs: Sequence[Job],
        meanwhile: Callable[[], None] = lambda: None,
        there: Callable[[Job], None] | None = None,
    ) -> None:
        """Bring blocks from their files into their buffers; call `meanwhile` once on the way.

        Args:
            there: told of each block that may be computed with, from any thread; the blocks come
                in the order of the jobs then.

        Raises:
            NotInStoreError, CorruptBlobError, StoreError: as `BlockReader.read`.
        """

    def synchronize(self) -> None:
        """Wait until everything that was started is done."""

    def close(self) -> None:
        """Let threads and pinned memory go."""


def open_memory(
    device: str | torch.device, threads: int | None = None, copy: bool = False
) -> Memory:
    """The memory of a device: `cpu`, `cuda`, `cuda:1`.

    Args:
        threads: how many read at once into host memory.
        copy: on the host, too, copy every block.

    Raises:
        InputError: no such device here.
    """
    try:
        found = torch.device(device)
    except RuntimeError:
        raise InputError(f"device {str(device)!r} is none that PyTorch knows") from None
    if found.type == "cpu":
        if found.index:
            raise InputError(f"device {str(device)!r}: there is one, cpu")
        return HostMemory(threads, copy)
    if found.type != "cuda":
        raise InputError(f"device {str(device)!r}: models run on cpu and cuda")
    if not torch.cuda.is_available():
        raise InputError(f"device {str(device)!r}: this PyTorch finds no CUDA device")
    if (found.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {str(device)!r}: there are {torch.cuda.device_count()}")
    return CudaMemory(torch.device("cuda", found.index or 0))


class HostMemory:
    """Memory of the host: pages of files, and an arena for what is copied.

    Args:
        threads: how many read at once into the arena.
        copy: copy every block, also where it could be used in the pages of its file.
    """

    def __init__(self, threads: int | None = None, copy: bool = False) -> None:
        self.device = torch.device("cpu")
        self._arena = Arena()
        self._reader = BlockReader(threads)
        self._maps = not copy and can_map()
        self._mapped: set[int] = set()  # where the pages begin that are in use

    def place(self, block: StoredBlock) -> Placement:
        """In the file where that is worth it, else each tensor at the next multiple of 64."""
        if self._maps and block.bytes >= LEAST_BYTES:
            return lie_in_file(block) or place(block)
        return place(block)

    def job(self, path: str, block: StoredBlock, placement: Placement) -> Job:
        """The file's pages, or a part of the arena."""
        if placement.in_file:
            try:
                pages, tensor = map_block(path, block)
            except OSError:  # its file system cannot map files, or there are too many mappings
                placement = place(block)
            else:
                self._mapped.add(pages.address)
                return Job(path, block, placement, Buffer(tensor, placement.size, pages=pages))
        return Job(path, block, placement, self.allocate(placement.size))

    def allocate(self, size: int) -> Buffer:
        """Memory for `size` bytes, used before where there is such."""
        return self._arena.allocate(size)

    def free(self, buffer: Buffer) -> None:
        """Take it back, for the next block; pages go at once, and their addresses with the last
        tensor on them, which rings of objects may keep for a while."""
        if buffer.pages is None:
            self._arena.free(buffer)
        else:
            self._mapped.discard(buffer.pages.address)
            buffer.pages.let_go()

    def trim(self, limit_bytes: int) -> None:
        """Give free memory beyond `limit_bytes` back to the system."""
        self._arena.trim(limit_bytes)

    def shares(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor lies in the arena, or in pages of a resident block."""
        return self._arena.holds(tensor) or begin_of(tensor) in self._mapped

    def load(
        self,
        jobs: Sequence[Job],
        meanwhile: Callable[[], None] = lambda: None,
        there: Callable[[Job], None] | None = None,
    ) -> None:
        """Read the blocks into place, and bring the pages of the others in."""
        mapped = [job for job in jobs if job.buffer.pages is not None]
        if there is not None and mapped:  # in their order, whichever way each comes
            meanwhile()
            for job in jobs:
                if job.buffer.pages is None:
                    read_block(job.read)
                _populate(job)
                there(job)
            return
        tell = None if there is None else lambda at: there(jobs[at])
        self._reader.read([job.read for job in jobs if job.buffer.pages is None], meanwhile, tell)
        for job in mapped:
            _populate(job)

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """Let the threads go."""
        self._reader.close()


def _populate(job: Job) -> None:
    if job.buffer.pages is not None:
        populate(job.path, job.block, job.buffer.pages)


class CudaMemory:
    """Memory of a CUDA device, from PyTorch's caching allocator (which uses it again by itself).

    Buffers are allocated on the stream that computes. The copying stream first waits for that
    stream, since memory freed there may still be read by kernels on their way; the computing stream
    then waits for the copies. So no buffer is ever written under a kernel that reads it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._ring = StagingRing(SLOT_BYTES, SLOTS, pinned=True, events=_cuda_event)

    def place(self, block: StoredBlock) -> Placement:
        """Each tensor at the next multiple of 64."""
        return place(block)

    def job(self, path: str, block: StoredBlock, placement: Placement) -> Job:
        """Memory on the device."""
        return Job(path, block, placement, self.allocate(placement.size))

    def allocate(self, size: int) -> Buffer:
        """Memory on the device; the allocator's addresses are multiples of 512."""
        size = -(-size // ALIGNMENT) * ALIGNMENT
        try:
            return Buffer(torch.empty(size, dtype=torch.uint8, device=self.device), size)
        except torch.OutOfMemoryError:
            free, total = torch.cuda.mem_get_info(self.device)
            raise MemoryBudgetError(
                f"{self.device}: no memory for a block of {size} bytes ({free} of {total} are free)"
            ) from None

    def free(self, buffer: Buffer) -> None:
        """Nothing to do: the memory goes back when its last tensor does."""

    def shares(self, tensor: torch.Tensor) -> bool:
        """Never: memory that a tensor points at is given to nobody else."""
        return False

    def trim(self, limit_bytes: int) -> None:
        """Nothing to do: PyTorch's allocator keeps what it was given."""

    def load(
        self,
        jobs: Sequence[Job],
        meanwhile: Callable[[], None] = lambda: None,
        there: Callable[[Job], None] | None = None,
    ) -> None:
        """Read into pinned buffers, copy from there, and let the computing stream wait."""
        computing = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(computing)
        try:
            with torch.cuda.stream(self._stream):
                for job in jobs:
                    self._ring.load(job.read, job.buffer.tensor)
                    if there is not None:
                        computing.wait_stream(self._stream)
                        there(job)
            meanwhile()
        finally:  # after an error, too, memory goes back only when no copy writes to it
            computing.wait_stream(self._stream)

    def synchronize(self) -> None:
        """Wait for the device."""
        torch.cuda.synchronize(self.device)

    def close(self) -> None:
        """Let the pinned memory go."""
        self.synchronize()
        self._ring = StagingRing(SLOT_BYTES, SLOTS, pinned=True, events=_cuda_event)


class _Event(Protocol):
    def record(self) -> None: ...
    def synchronize(self) -> None: ...


class _HostEvent:
    """What stands for an event where copies are done at once."""

    def record(self) -> None:
        """Nothing is on its way."""

    def synchronize(self) -> None:
        """Nothing to wait for."""


def _cuda_event() -> _Event:
    event: _Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    return event


class StagingRing:
    """A few host buffers that parts of blocks pass through on their way to another device.

    A buffer is filled again only after the copy out of it has ended (its event).

    Args:
        slot_bytes: size of each buffer, a multiple of 64.
        slots: how many.
        pinned: page-locked, so that copies run asynchronously (needs CUDA).
        events: makes an event that `record`s the stream's work so far.
    """

    def __init__(
        self, slot_bytes: int, slots: int, *, pinned: bool = False, events: Any = _HostEvent
    ) -> None:
        self._slot_bytes = slot_bytes
        self._count = slots
        self._pinned = pinned
        self._events = events
        self._slots: list[tuple[torch.Tensor, memoryview, _Event]] = []
        self._next = 0

    def load(self, read: Read, target: torch.Tensor) -> None:
        """Read a block in parts of a slot's size and start copying each to its place in `target`.

        `read.view` is not used: the bytes pass through the ring.
        """
        for begin in range(0, read.placement.size, self._slot_bytes):
            end = min(begin + self._slot_bytes, read.placement.size)
            slot, view, event = self._slot()
            event.synchronize()
            part = Placement(
                end - begin,
                (),
                tuple(
                    type(one)(one.file_offset, one.offset - begin, one.bytes)
                    for one in read.placement.clipped(begin, end)
                ),
            )
            read_block(Read(read.path, read.block, part, view))
            target[begin:end].copy_(slot[: end - begin], non_blocking=self._pinned)
            event.record()

    def _slot(self) -> tuple[torch.Tensor, memoryview, _Event]:
        if len(self._slots) < self._count:
            buffer = torch.empty(self._slot_bytes, dtype=torch.uint8, pin_memory=self._pinned)
            view = memoryview(buffer.numpy())  # type: ignore[arg-type]
            self._slots.append((buffer, view, self._events()))
        self._next = (self._next + 1) % len(self._slots)
        return self._slots[self._next]


_CGROUP: Final = Path("/sys/fs/cgroup")
_MEMINFO: Final = Path("/proc/meminfo")


def available_bytes() -> int:
    """Bytes of host memory that can still be had without swapping, within the limit of a container
    if there is one (half of all where the system does not tell)."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    with suppress(OSError, ValueError, StopIteration):
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        line = next(one for one in lines if one.startswith("MemAvailable:"))
        found = int(line.split()[1]) * 1024
    with suppress(OSError, ValueError):  # "max" is no number: no limit
        limit = int((_CGROUP / "memory.max").read_text(encoding="ascii"))
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        found = min(found, max(0, limit - used))
    return found
