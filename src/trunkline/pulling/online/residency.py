"""Which blocks are at which site: pulls, uses, and evictions of single blocks.

Invariants: the bytes at a site never pass its storage, and a block that a running request uses is
never evicted. Of the blocks that are not in use, the one used longest ago (`lru`), or least often
(`lfu`), goes first; of two alike, the one used longest ago, then the first by index.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trunkline.pulling.online.context import Floats, Ints

Masks = NDArray[np.bool_]

Eviction = Literal["lru", "lfu"]


class Residency:
    """The state of S sites and B blocks.

    Args:
        block_bytes: shape (B,).
        storage_bytes: shape (S,).
        eviction: which block goes first.

    Attributes:
        here: whether a block is at a site (or on its way to it), shape (S, B).
        ready_s: when it has arrived, shape (S, B).
        used_until_s: until when a running request uses it, shape (S, B).
    """

    def __init__(
        self, block_bytes: Floats, storage_bytes: Floats, eviction: Eviction = "lru"
    ) -> None:
        shape = (len(storage_bytes), len(block_bytes))
        self.here: Masks = np.zeros(shape, dtype=np.bool_)
        self.ready_s: Floats = np.full(shape, -np.inf)
        self.used_until_s: Floats = np.full(shape, -np.inf)
        self._bytes = block_bytes
        self._storage = storage_bytes
        self._eviction = eviction
        self._last_s: Floats = np.full(shape, -np.inf)
        self._uses: Floats = np.zeros(shape)

    def held_bytes(self, site: int) -> float:
        """The bytes at a site."""
        return float(self._bytes[self.here[site]].sum())

    def in_use(self, site: int, now_s: float) -> Masks:
        """The blocks that a running request uses, shape (B,)."""
        found: Masks = self.here[site] & (self.used_until_s[site] > now_s)
        return found

    def fits(self, site: int, wanted: Masks, now_s: float) -> Masks:
        """Whether blocks can be at a site beside those in use; `wanted` (..., B) -> (...)."""
        needed = (wanted | self.in_use(site, now_s)) @ self._bytes
        found: Masks = needed <= self._storage[site]
        return found

    def holders(self, now_s: float) -> Masks:
        """Who can send which block: shape (S + 1, B), the data centre last and always."""
        arrived = self.here & (self.ready_s <= now_s)
        return np.concatenate([arrived, np.ones((1, arrived.shape[1]), dtype=np.bool_)])

    def use(
        self, site: int, wanted: Masks, now_s: float, ready_s: float, until_s: float
    ) -> tuple[Ints, Ints]:
        """Have blocks at a site for a request: pull those that are missing, evict what is in the
        way.

        Args:
            wanted: the blocks, shape (B,).
            ready_s: when those that are pulled will have arrived.
            until_s: when the request ends.

        Returns:
            The blocks pulled, and those evicted.

        Raises:
            ValueError: they do not fit beside the blocks in use (nothing is changed).
        """
        if not self.fits(site, wanted, now_s):
            raise ValueError(f"site {site}: the blocks do not fit beside those in use")
        pulled = np.flatnonzero(wanted & ~self.here[site])
        over = self.held_bytes(site) + float(self._bytes[pulled].sum()) - self._storage[site]
        evicted = []
        for block in self._order(site, wanted, now_s) if over > 0 else ():
            if over <= 0:
                break
            evicted.append(int(block))
            over -= self._bytes[block]
        gone = np.array(evicted, dtype=np.int64)
        self.here[site, gone] = False
        self.here[site, pulled] = True
        self.ready_s[site, pulled] = ready_s
        self._uses[site, pulled] = 0.0
        self.used_until_s[site, pulled] = -np.inf
        self._uses[site, wanted] += 1.0
        self._last_s[site, wanted] = now_s
        self.used_until_s[site, wanted] = np.maximum(self.used_until_s[site, wanted], until_s)
        return pulled, gone

    def _order(self, site: int, wanted: Masks, now_s: float) -> Ints:
        """The blocks that may go, first first."""
        free = np.flatnonzero(self.here[site] & ~wanted & ~self.in_use(site, now_s))
        keys = [free, self._last_s[site, free]]
        if self._eviction == "lfu":
            keys.append(self._uses[site, free])
        found: Ints = free[np.lexsort(keys)]
        return found
