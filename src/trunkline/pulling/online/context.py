"""Contexts with restricted access: of n features of a request only d may be read.

A feature has V levels, 0 to V - 1. A learner that reads the feature subset S (d of n features) sees
one of the Q = V^d cells of S. There are m = C(n, d) subsets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from trunkline.errors import AccessError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Context:
    """The features of one request, of which only so many may be read.

    The levels are behind a guard: a learner that reads one feature too many fails, instead of
    being a little better than it should. A feature that was read may be read again.

    Args:
        levels: of all n features.
        most: how many different ones may be read.
    """

    __slots__ = ("_levels", "_most", "_read")

    def __init__(self, levels: Sequence[int], most: int) -> None:
        self._levels = levels
        self._most = most
        self._read: set[int] = set()

    def read(self, feature: int) -> int:
        """The level of a feature, counted from 0.

        Raises:
            AccessError: no such feature, or as many others have been read as may be.
        """
        if not 0 <= feature < len(self._levels):
            raise AccessError(f"feature {feature}: there are 0 to {len(self._levels) - 1}")
        if feature not in self._read and len(self._read) >= self._most:
            raise AccessError(
                f"feature {feature}: only {self._most} of {len(self._levels)} features may be "
                f"read, and {sorted(self._read)} have been"
            )
        self._read.add(feature)
        return int(self._levels[feature])

    @property
    def features_read(self) -> frozenset[int]:
        """What has been read so far."""
        return frozenset(self._read)


@dataclass(frozen=True)
class Cells:
    """The feature subsets that a learner may choose from, and their cells.

    Attributes:
        features: n.
        read: d, at most n; 0 for a learner without context.
        levels: V, the levels of every feature.
    """

    features: int
    read: int
    levels: int = 2

    @cached_property
    def subsets(self) -> tuple[tuple[int, ...], ...]:
        """All m = C(n, d) subsets, in lexicographic order."""
        return tuple(combinations(range(self.features), self.read))

    @property
    def count(self) -> int:
        """m, the number of subsets."""
        return math.comb(self.features, self.read)

    @property
    def size(self) -> int:
        """Q = V^d, the cells of a subset."""
        return int(self.levels**self.read)

    def cell(self, context: Context, subset: int) -> int:
        """Read a subset's features; the cell that they are in, sum over i of level_i V^i."""
        return sum(
            context.read(feature) * self.levels**place
            for place, feature in enumerate(self.subsets[subset])
        )

    def values(self, context: Context, features: Sequence[int]) -> Floats:
        """Read features as numbers for a linear model: 1, then level/(V - 1) of each."""
        top = max(self.levels - 1, 1)
        return np.array([1.0, *(context.read(feature) / top for feature in features)])

    def cells_of(self, levels: Ints) -> Ints:
        """The cell of each subset in each of T rounds: (T, n) levels -> (T, m)."""
        weights = self.levels ** np.arange(self.read, dtype=np.int64)
        columns = [levels[:, list(subset)] @ weights for subset in self.subsets]
        return np.stack(columns, axis=1).astype(np.int64)
