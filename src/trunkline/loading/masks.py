"""Sets of blocks as the bits of an integer: quick to join, to compare, to weigh and to remember."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

CHUNK = 8
"""Bits that are weighed at once, by a table of all their sums."""


class BlockMasks:
    """The blocks that matter to a planner, one bit each.

    Blocks of one class (the same models hold them and their sizes are equal) can stand for each
    other; they get neighbouring bits.

    Args:
        sizes: bytes of each block, by id.
        held: the ids that each model holds, by the model's position; ids that `sizes` lacks and
            blocks of no bytes are left out (they never have to be loaded, nor take room).

    Attributes:
        ids: the block behind each bit.
        needs: the mask of each model.
        classes: masks of the blocks that can stand for each other, the largest blocks first.
        smallest: bytes of the smallest block, 0 if there is none.
    """

    def __init__(self, sizes: Mapping[str, float], held: Sequence[Iterable[str]]) -> None:
        holders: dict[str, list[int]] = {block: [] for block, size in sizes.items() if size > 0}
        for model, blocks in enumerate(held):
            for block in blocks:
                if block in holders:
                    holders[block].append(model)
        alike: dict[tuple[float, tuple[int, ...]], list[str]] = {}
        for block, models in sorted(holders.items()):
            alike.setdefault((-sizes[block], tuple(models)), []).append(block)
        self.ids: list[str] = []
        self.classes: list[int] = []
        self.needs: list[int] = [0] * len(held)
        for (_, holding), blocks in sorted(alike.items()):
            bits = ((1 << len(blocks)) - 1) << len(self.ids)
            self.ids += blocks
            self.classes.append(bits)
            for model in holding:
                self.needs[model] |= bits
        self._bit = {block: 1 << n for n, block in enumerate(self.ids)}
        self._sizes = [sizes[block] for block in self.ids]
        self.smallest = min(self._sizes, default=0.0)
        self._tables = [_sums(self._sizes[n : n + CHUNK]) for n in range(0, len(self.ids), CHUNK)]
        self._known: dict[int, float] = {0: 0.0}

    def mask(self, blocks: Iterable[str]) -> int:
        """The bits of these blocks, without those that do not matter."""
        bits = 0
        for block in blocks:
            bits |= self._bit.get(block, 0)
        return bits

    def names(self, mask: int) -> frozenset[str]:
        """The blocks of a mask."""
        return frozenset(self.ids[n] for n in _positions(mask))

    def bytes(self, mask: int) -> float:
        """The bytes of a set of blocks."""
        found = self._known.get(mask)
        if found is None:
            chunks = mask.to_bytes(len(self._tables), "little")
            found = sum(table[chunk] for table, chunk in zip(self._tables, chunks, strict=True))
            self._known[mask] = found
        return found

    def most_within(self, wanted: int, room: float) -> Iterator[int]:
        """Every part of `wanted` that fits into `room` bytes and to which none can be added.

        Of blocks that can stand for each other only the number kept matters; the first ones are.
        Nothing if `room` is negative.
        """
        if room < 0:
            return
        if self.bytes(wanted) <= room:
            yield wanted
            return
        parts = [(self._sizes[_lowest(part)], part) for c in self.classes if (part := c & wanted)]
        yield from self._fill(parts, 0, 0, room, float("inf"))

    def largest_within(self, wanted: int, room: float) -> int:
        """The blocks of `wanted`, the largest first, that fit into `room` bytes one after the
        other."""
        kept, sizes = 0, self._sizes
        while wanted:
            largest = wanted & -wanted  # the largest blocks have the lowest bits
            wanted ^= largest
            size = sizes[largest.bit_length() - 1]
            if size <= room:
                room -= size
                kept |= largest
        return kept

    def _fill(
        self, parts: list[tuple[float, int]], place: int, kept: int, room: float, left_out: float
    ) -> Iterator[int]:
        """Extend `kept` by blocks of the classes from `place` on; `left_out` is the smallest block
        that was left out so far, and must not fit in the end."""
        if place == len(parts):
            if left_out > room:
                yield kept
            return
        size, part = parts[place]
        bits = [1 << n for n in _positions(part)]
        taken, used = kept, 0.0
        choices = [(kept, 0.0)]
        for bit in bits:
            used += size
            if used > room:
                break
            taken |= bit
            choices.append((taken, used))
        for count in range(len(choices) - 1, -1, -1):
            chosen, used = choices[count]
            smallest = left_out if count == len(bits) else size  # sizes never increase
            yield from self._fill(parts, place + 1, chosen, room - used, smallest)


def _sums(sizes: Sequence[float]) -> list[float]:
    """The sum of every subset of up to `CHUNK` sizes, by mask."""
    sums = [0.0]
    for size in sizes:
        sums += [one + size for one in sums]
    return sums


def _lowest(mask: int) -> int:
    """The position of the lowest bit."""
    return (mask & -mask).bit_length() - 1


def _positions(mask: int) -> Iterator[int]:
    """The positions of the bits of a mask, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
