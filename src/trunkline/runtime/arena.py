"""Memory for blocks that is used again: the host's pages stay touched when a block leaves.

New memory is slow: the kernel zeroes each page at its first touch, so a read into it runs at a
third of the rate of a read into pages that were used before. An arena therefore keeps the memory of
blocks that left ("warm"), joins neighbours, and hands it to the blocks that come. What is kept
beyond a limit is given back to the system.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Final

import torch

from trunkline.errors import MemoryBudgetError
from trunkline.runtime.pages import Pages
from trunkline.runtime.placement import ALIGNMENT

RESERVE_BYTES: Final = 256 * 2**20
"""Address space is reserved in pieces of at least this size; it costs nothing until touched."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory for one block.

    Attributes:
        tensor: its bytes, uint8, on the device.
        size: how many.
        view: the same bytes for the system's reads; None where the host has no access.
        address: where the arena has it.
        pages: those of the block's file, where they are its memory; the arena has no part in it.
    """

    tensor: torch.Tensor
    size: int
    view: memoryview | None = None
    address: tuple[int, int] = (0, 0)
    pages: Pages | None = None


def begin_of(tensor: torch.Tensor) -> int:
    """The address at which a tensor's storage begins; 0 if it has none on the host."""
    if tensor.device.type != "cpu" or tensor.layout != torch.strided:
        return 0
    return int(tensor.untyped_storage().data_ptr())


class _Runs:
    """Free runs of addresses: neighbours joined, the smallest that fits found by bisection."""

    def __init__(self) -> None:
        self.by_size: list[tuple[int, tuple[int, int]]] = []  # (size, (mapping, start)), sorted
        self.at_start: dict[tuple[int, int], int] = {}  # address -> size
        self.at_end: dict[tuple[int, int], int] = {}  # end address -> size
        self.bytes = 0

    def add(self, mapping: int, start: int, size: int) -> None:
        """Put a run there; joins it with the free runs before and after it."""
        before = self.at_end.get((mapping, start))
        if before is not None:
            self._drop(mapping, start - before, before)
            start, size = start - before, size + before
        after = self.at_start.get((mapping, start + size))
        if after is not None:
            self._drop(mapping, start + size, after)
            size += after
        insort(self.by_size, (size, (mapping, start)))
        self.at_start[mapping, start] = size
        self.at_end[mapping, start + size] = size
        self.bytes += size

    def take(self, size: int) -> tuple[int, int] | None:
        """The start of `size` bytes out of the smallest run that has them; None if none has."""
        index = bisect_left(self.by_size, (size, (-1, -1)))
        if index == len(self.by_size):
            return None
        found, (mapping, start) = self.by_size[index]
        self._drop(mapping, start, found)
        if found > size:
            self.add(mapping, start + size, found - size)
        return mapping, start

    def pop_smallest(self) -> tuple[int, int, int]:
        """Take the smallest run away: (mapping, start, size)."""
        size, (mapping, start) = self.by_size[0]
        self._drop(mapping, start, size)
        return mapping, start, size

    def _drop(self, mapping: int, start: int, size: int) -> None:
        del self.by_size[bisect_left(self.by_size, (size, (mapping, start)))]
        del self.at_start[mapping, start]
        del self.at_end[mapping, start + size]
        self.bytes -= size


class Arena:
    """Host memory in aligned pieces; see the module's docstring."""

    def __init__(self) -> None:
        self._mappings: list[tuple[mmap.mmap, memoryview, torch.Tensor]] = []
        self._starts: set[int] = set()  # where the mappings begin
        self._warm = _Runs()
        self._cold = _Runs()

    @property
    def warm_bytes(self) -> int:
        """Bytes that are free and stay touched."""
        return self._warm.bytes

    def allocate(self, size: int) -> Buffer:
        """`size` bytes at a multiple of 64, out of warm memory where it has a run that long."""
        size = -(-size // ALIGNMENT) * ALIGNMENT
        if size == 0:
            return Buffer(torch.empty(0, dtype=torch.uint8), 0, memoryview(b""))
        address = self._warm.take(size) or self._cold.take(size)
        if address is None:
            self._reserve(size)
            address = self._cold.take(size)
        if address is None:  # never: the new mapping is long enough
            raise MemoryError(f"no {size} bytes in a mapping made for them")
        mapping, start = address
        _, view, tensor = self._mappings[mapping]
        return Buffer(tensor[start : start + size], size, view[start : start + size], address)

    def free(self, buffer: Buffer) -> None:
        """Take a buffer back; its pages stay touched."""
        if buffer.size:
            self._warm.add(*buffer.address, buffer.size)

    def holds(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor's memory is the arena's."""
        return begin_of(tensor) in self._starts

    def trim(self, limit_bytes: int) -> None:
        """Give warm memory beyond `limit_bytes` back to the system, the smallest runs first."""
        while self._warm.bytes > max(0, limit_bytes):
            mapping, start, size = self._warm.pop_smallest()
            keep = max(0, min(size, limit_bytes - self._warm.bytes)) // ALIGNMENT * ALIGNMENT
            if keep:
                self._warm.add(mapping, start, keep)
            self._give_back(mapping, start + keep, start + size)
            self._cold.add(mapping, start + keep, size - keep)

    def _reserve(self, size: int) -> None:
        length = -(-max(size, RESERVE_BYTES) // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            mapped = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise MemoryBudgetError(
                f"the system gives no {length} bytes of address space: {error.strerror}"
            ) from None
        tensor = torch.frombuffer(mapped, dtype=torch.uint8)
        self._mappings.append((mapped, memoryview(mapped), tensor))
        self._starts.add(tensor.untyped_storage().data_ptr())
        self._cold.add(len(self._mappings) - 1, 0, length)

    def _give_back(self, mapping: int, begin: int, end: int) -> None:
        """The whole pages inside `begin..end`; the next touch finds them zeroed."""
        first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
        last = end // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first and hasattr(mmap, "MADV_DONTNEED"):
            self._mappings[mapping][0].madvise(mmap.MADV_DONTNEED, first, last - first)
