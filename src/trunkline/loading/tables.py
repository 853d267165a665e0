"""Min-plus combination of tables "least seconds to serve k tasks".

Two sets of models whose costs do not touch serve k tasks in `(a * b)(k) = min_j a(j) + b(k - j)`
seconds at least. Tables never decrease (serving fewer never takes longer), so each is cut at the
deadline, and the most tasks in time is the last k that is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trunkline.loading.service import Table, cut

NOTHING: Table = np.zeros(1)
"""The table of no models: 0 tasks in 0 seconds."""


def combine(a: Table, b: Table, limit_s: float) -> Table:
    """The min-plus convolution of two tables, cut at `limit_s`.

    Neither need begin with 0 (one that must serve a task begins with that task's time).
    """
    if a.size < b.size:
        a, b = b, a
    least, *rest = b.tolist()
    if not rest and least == 0:
        return a
    n = a.size
    total = np.empty(n + len(rest))
    total[:n] = a + least
    total[n:] = np.inf
    for j, seconds in enumerate(rest, start=1):
        part = total[j : j + n]
        np.minimum(part, a + seconds, out=part)
    return cut(total, limit_s)


def split(a: Table, b: Table, k: int, total: float) -> tuple[int, int]:
    """How `combine(a, b)` served k tasks in `total` seconds: j from `a` and k - j from `b`."""
    low = max(0, k - (b.size - 1))
    high = min(k, a.size - 1)
    if low == high:
        return low, k - low
    sums = a[low : high + 1] + b[k - high : k - low + 1][::-1]
    j = low + int(np.abs(sums - total).argmin())
    return j, k - j


class Fold:
    """The combination of several tables, kept so that a count can be split back among them.

    Attributes:
        table: the combined table.
    """

    __slots__ = ("_partial", "_parts", "_size", "table")

    def __init__(self, tables: Sequence[Table], limit_s: float) -> None:
        self._size = len(tables)
        self._parts = [(i, table) for i, table in enumerate(tables) if table.size > 1]
        self._partial: list[Table] = []
        self.table = NOTHING
        for _, table in self._parts:
            self._partial.append(self.table)
            self.table = combine(self.table, table, limit_s)

    def split(self, k: int) -> list[int]:
        """How many of k tasks come from each table in a least-time combination."""
        counts = [0] * self._size
        combined = self.table
        for (index, table), before in zip(
            reversed(self._parts), reversed(self._partial), strict=True
        ):
            if k == 0:
                break
            k, counts[index] = split(before, table, k, float(combined[k]))
            combined = before
        return counts
