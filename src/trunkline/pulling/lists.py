"""Lists of whole numbers of different lengths in two arrays (compressed sparse rows)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def totals(groups: Ints, values: Floats, count: int) -> Floats:
    """The sum of the values of each of `count` groups."""
    sums = np.bincount(groups, weights=values, minlength=count)
    return sums.astype(float, copy=False)  # numpy gives whole numbers where there are no values


@dataclass(frozen=True)
class Lists:
    """Lists of whole numbers of different lengths: list i is `items[starts[i]:starts[i + 1]]`."""

    starts: Ints
    items: Ints

    @classmethod
    def of(cls, lists: list[list[int]]) -> Lists:
        """The lists, packed."""
        starts = np.cumsum([0, *map(len, lists)]).astype(np.int64)
        items = np.fromiter((i for one in lists for i in one), dtype=np.int64, count=starts[-1])
        return cls(starts, items)

    def __len__(self) -> int:
        return self.starts.size - 1

    def __getitem__(self, i: int) -> Ints:
        return self.items[self.starts[i] : self.starts[i + 1]]

    @cached_property
    def owner(self) -> Ints:
        """The list that each item is in."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def sums(self, values: Floats) -> Floats:
        """For each list the sum of `values[item]`."""
        return totals(self.owner, values[self.items], len(self))

    def turned(self, count: int) -> Lists:
        """For each of `count` items the lists that it is in, ascending."""
        order = np.argsort(self.items, kind="stable")
        starts = np.concatenate(([0], np.cumsum(np.bincount(self.items, minlength=count))))
        return Lists(starts.astype(np.int64), self.owner[order])


def expand(lists: Lists, chosen: Ints) -> tuple[Ints, Ints]:
    """All items of the chosen lists: which one of `chosen` it comes from, and the item."""
    lengths = lists.starts[chosen + 1] - lists.starts[chosen]
    position = np.repeat(np.arange(chosen.size), lengths)
    within = np.arange(position.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return position, lists.items[lists.starts[chosen][position] + within]
