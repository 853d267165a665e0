"""Models with scattered sharing, visited one after the other, as arrays.

A plan for them is a *path*, which models are visited and in which order, and how many tasks each
visit serves. Its load takes the sum over the path of the seconds to load each model whole, less
the seconds saved by what its predecessor left in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trunkline.library import Component, ModelLibrary
from trunkline.links import Link
from trunkline.loading.service import Service, Table, cut
from trunkline.loading.subsets import load_seconds
from trunkline.loading.tables import NOTHING, Fold

Path = Sequence[int]
"""Models in the order of their visits, by their index in `Scattered.models`."""


@dataclass(frozen=True)
class Split:
    """How the tasks of a plan are shared out.

    Attributes:
        served: tasks served in all.
        counts: tasks of each visit of the path, each at least 1.
        rest: tasks that the other models serve, those of `Scattered.rest`.
        seconds: what all of it takes.
    """

    served: int
    counts: tuple[int, ...]
    rest: int
    seconds: float


@dataclass(frozen=True)
class Scattered:
    """Models to be visited along a path, and the table of all others.

    Attributes:
        models: their positions in the library, in an order that depends on what they are alone.
        tables: their service tables, cut where the quickest load leaves no time.
        whole_s: seconds to load each of them first, shape (n,).
        saved_s: seconds that model i saves of that if it follows model j, at [j, i], shape (n, n);
            0 on the diagonal.
        rest: least seconds to serve k tasks by all other models.
        limit_s: when everything must have ended.
    """

    models: tuple[int, ...]
    tables: tuple[Table, ...]
    whole_s: NDArray[np.float64]
    saved_s: NDArray[np.float64]
    rest: Table
    limit_s: float

    @classmethod
    def of(
        cls,
        components: Iterable[Component],
        service: Service,
        library: ModelLibrary,
        loading: Link,
        rest: Table = NOTHING,
    ) -> Scattered:
        """The models of some components that have tasks in reach."""
        loads = math.isfinite(loading.seconds_per_byte)
        models = [
            i
            for component in components
            for i in component.models
            if service.tables[i].size > 1 and (loads or not library.model_bytes[i])
        ]
        limit_s = service.limit_s
        if not models:
            return cls((), (), np.zeros(0), np.zeros((0, 0)), rest, limit_s)
        # By what they are, not by where they stand, so that the order of input does not show.
        models.sort(key=lambda i: (library.model_bytes[i], service.tables[i].tolist()))
        whole_s, after_s = load_seconds(library, loading, models)
        np.fill_diagonal(after_s, np.inf)
        least_s = np.minimum(whole_s, after_s.min(axis=0))
        np.fill_diagonal(after_s, whole_s)
        tables = [
            cut(service.tables[i], limit_s - seconds)
            for i, seconds in zip(models, least_s.tolist(), strict=True)
        ]
        kept = [n for n, table in enumerate(tables) if table.size > 1]
        whole_s, after_s = whole_s[kept], after_s[np.ix_(kept, kept)]
        return cls(
            models=tuple(models[n] for n in kept),
            tables=tuple(tables[n] for n in kept),
            whole_s=whole_s,
            saved_s=whole_s - after_s,
            rest=rest,
            limit_s=limit_s,
        )

    def __len__(self) -> int:
        return len(self.models)

    @property
    def tasks(self) -> int:
        """The tasks that could be served if only each alone counted."""
        return sum(table.size - 1 for table in (*self.tables, self.rest))

    def load_s(self, path: Path) -> float:
        """Seconds that the loads of a path take."""
        seconds = (
            self.whole_s[list(path)].sum() - self.saved_s[list(path[:-1]), list(path[1:])].sum()
        )
        return float(seconds)

    @property
    def without_path(self) -> Split:
        """The split where none of the models is visited."""
        most = self.rest.size - 1
        return Split(served=most, counts=(), rest=most, seconds=float(self.rest[most]))

    def split(self, path: Path) -> Split | None:
        """The most tasks in time along a path on which every visit serves one at least, in the
        least time; None where the path itself takes too long."""
        spent = self.load_s(path) + sum(float(self.tables[i][1]) for i in path)
        left_s = self.limit_s - spent
        if left_s < 0:
            return None
        more = [cut(self.tables[i][1:] - self.tables[i][1], left_s) for i in path]
        fold = Fold([*more, cut(self.rest, left_s)], left_s)
        most = fold.table.size - 1
        *counts, rest = fold.split(most)
        return Split(
            served=len(path) + most,
            counts=tuple(1 + count for count in counts),
            rest=rest,
            seconds=spent + float(fold.table[most]),
        )
