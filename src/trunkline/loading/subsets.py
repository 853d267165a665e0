"""Exact least-time tables for a small component with scattered sharing. [derived]

Some optimum visits each model once (Theorem 2.1: set differences obey the triangle inequality, and
so does V), so for a set S of models visited the least load time is a shortest path through S,

    h(S) = min over last i of H(S, i),   H(S, i) = min_{j in S - i} H(S - i, j) + V(i after j)

and the least time to serve k tasks is min over S of h(S) + A_S(k), with A_S the combination of the
service tables of S. A dynamic programme over all subsets: 2^n n^2 for h, 2^n K n for A.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trunkline.library import ModelLibrary
from trunkline.links import Link
from trunkline.loading.service import Table, cut
from trunkline.loading.trie import Visit

MAX_STEPS = 1 << 24
"""Filling the tables takes at most this many additions, tens of milliseconds, and as many numbers
at most; about 13 models with 100 tasks. Beyond, branch and cut (`proof`) is quicker."""


def fits(tasks: Sequence[int]) -> bool:
    """Whether a component is small enough; `tasks` counts those of each of its models."""
    models = len(tasks)
    return (models**2 + sum(tasks) * max(tasks, default=0)) << models <= MAX_STEPS


def load_seconds(
    library: ModelLibrary, loading: Link, models: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """V of each model loaded first, shape (n,), and after each other one, shape (n, n): [after, i].

    The diagonal of the second is 0.
    """
    positions = np.asarray(models, dtype=np.intp)
    whole = np.array([library.model_bytes[i] for i in models])
    first = loading.seconds_each(whole)
    after = loading.seconds_each(library.missing_matrix[np.ix_(positions, positions)])
    return first, after


class SubsetTable:
    """The table of a scattered component, and the visits behind each entry.

    Args:
        models: positions of the component's models that have tasks.
        service: service table of every model of the library, by position.
        library, loading: what is loaded when one model follows another, and V.
        limit_s: where the table is cut.
    """

    def __init__(
        self,
        models: Sequence[int],
        service: Sequence[Table],
        library: ModelLibrary,
        loading: Link,
        limit_s: float,
    ) -> None:
        self._models = list(models)
        self._service = [service[i] for i in models]
        first, self._after = load_seconds(library, loading, models)
        self._paths = _shortest_paths(first, self._after)
        self._combined = _combined_service(self._service, limit_s)
        self._load = self._paths.min(axis=1)
        self._load[0] = 0.0
        total = self._load[:, None] + self._combined
        self._best = total.argmin(axis=0)
        table = total[self._best, np.arange(total.shape[1])]
        table[0] = 0.0
        self.table: Table = cut(table, limit_s)

    def visits(self, k: int) -> list[Visit]:
        """The visits, in order, that serve k tasks in `table[k]` seconds."""
        if k == 0:
            return []
        subset = int(self._best[k])
        counts = self._counts(subset, k)
        return [(self._models[i], counts[i]) for i in self._path(subset) if counts[i]]

    def _counts(self, subset: int, k: int) -> list[int]:
        """How many of k tasks each model of the subset serves."""
        counts = [0] * len(self._models)
        for i in reversed(range(len(self._models))):
            if not subset >> i & 1:
                continue
            rest = subset ^ (1 << i)
            own = self._service[i]
            most = min(k, own.size - 1)
            totals = self._combined[rest, k - most : k + 1][::-1] + own[: most + 1]
            counts[i] = int(totals.argmin())
            k, subset = k - counts[i], rest
        return counts

    def _path(self, subset: int) -> list[int]:
        """A shortest order through the subset."""
        order: list[int] = []
        last = int(self._paths[subset].argmin())
        while True:
            order.append(last)
            subset ^= 1 << last
            if not subset:
                return order[::-1]
            last = int((self._paths[subset] + self._after[:, last]).argmin())


def _shortest_paths(first: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """H(S, i), shape (2^n, n); infinite where i is not in S."""
    n = first.size
    paths = np.full((1 << n, n), np.inf)
    members = np.arange(1 << n)
    sizes = np.zeros(1 << n, dtype=np.int64)
    for i in range(n):
        sizes += members >> i & 1
        paths[1 << i, i] = first[i]
    for size in range(2, n + 1):
        layer = members[sizes == size]
        for i in range(n):
            subsets = layer[(layer >> i & 1).astype(bool)]
            paths[subsets, i] = (paths[subsets ^ (1 << i)] + after[:, i]).min(axis=1)
    return paths


def _combined_service(service: Sequence[Table], limit_s: float) -> NDArray[np.float64]:
    """A_S(k) for every subset S, shape (2^n, most tasks + 1); infinite past the limit."""
    most = sum(table.size - 1 for table in service)
    combined = np.full((1 << len(service), most + 1), np.inf)
    combined[:, 0] = 0.0
    for i, own in enumerate(service):
        without = combined[: 1 << i]
        into = combined[1 << i : 2 << i]
        into[:] = without
        for j in range(1, own.size):
            part = into[:, j:]
            np.minimum(part, without[:, : most + 1 - j] + own[j], out=part)
    combined[combined > limit_s] = np.inf
    return combined
