"""Min-plus combination of tables "least seconds to serve k tasks".

Two sets of models whose costs do not touch serve k tasks in `(a * b)(k) = min_j a(j) + b(k - j)`
seconds at least. Tables never decrease (serving fewer never takes longer), so each is cut at the
deadline, and the most tasks in time is the last k that is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trunkline.loading.service import Table

NOTHING: Table = np.zeros(1)
"""The table of no models: 0 tasks in 0 seconds."""


def combine(a: Table, b: Table, limit_s: float) -> Table:
    """The min-plus convolution of two tables, cut at `limit_s`."""
    if a.size < b.size:
        a, b = b, a
    if b.size == 1:
        return a
    n = a.size
    total = np.full(n + b.size - 1, np.inf)
    total[:n] = a
    for j in range(1, b.size):
        part = total[j : j + n]
        np.minimum(part, a + b[j], out=part)
    if total[-1] > limit_s:
        return total[: int(np.searchsorted(total, limit_s, side="right"))]
    return total


def split(a: Table, b: Table, k: int, total: float) -> tuple[int, int]:
    """How `combine(a, b)` served k tasks in `total` seconds: j from `a` and k - j from `b`."""
    low = max(0, k - (b.size - 1))
    high = min(k, a.size - 1)
    sums = a[low : high + 1] + b[k - high : k - low + 1][::-1]
    j = low + int(np.argmin(np.abs(sums - total)))
    return j, k - j


class Fold:
    """The combination of several tables, kept so that a count can be split back among them.

    Attributes:
        table: the combined table.
    """

    def __init__(self, tables: Sequence[Table], limit_s: float) -> None:
        self._tables = tables
        self._partial: list[Table] = [NOTHING]
        for table in tables:
            self._partial.append(combine(self._partial[-1], table, limit_s))
        self.table = self._partial[-1]

    def split(self, k: int) -> list[int]:
        """How many of k tasks come from each table in a least-time combination."""
        counts = [0] * len(self._tables)
        for index in reversed(range(len(self._tables))):
            if k == 0:
                break
            before, table = self._partial[index], self._tables[index]
            if table.size == 1:
                continue
            k, counts[index] = split(before, table, k, float(self._partial[index + 1][k]))
        return counts
