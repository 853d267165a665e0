"""The table of one order of models, and tables that no order beats. [derived]

`OrderedTable`: for one fixed order, the exact best choice of which models to visit and how many
tasks each serves. Where one order is best for every subset (`consecutive`), it is exact altogether.

`relaxed_table` keeps only a laminar part of the sharing, or charges each model at least its least
load, whichever says more. Neither is a plan for the true sharing, but no plan beats them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trunkline.library import BlockGroup, Component, ModelLibrary, Trie, laminar_trie
from trunkline.links import Link
from trunkline.loading.service import Table, cut
from trunkline.loading.subsets import load_seconds
from trunkline.loading.tables import Fold, combine, split
from trunkline.loading.trie import TrieTable, Visit


class OrderedTable:
    """Least seconds to serve k tasks by visits that follow one order of the models.

    With F_i(k) the least time to serve k tasks when i is the last model visited,

        F_i(k) = min over own tasks c >= 1 of service_i(c) + E_i(k - c)
        E_i(k) = min( V(i first) if k = 0,  min over j before i of F_j(k) + V(i after j) )

    so O(n^2 K) for the predecessors and one min-plus combination a model.
    """

    def __init__(
        self,
        order: Sequence[int],
        service: Sequence[Table],
        library: ModelLibrary,
        loading: Link,
        limit_s: float,
    ) -> None:
        self._order = [i for i in order if service[i].size > 1]
        self._own = [service[i] for i in self._order]
        self._first, self._after = load_seconds(library, loading, self._order)
        most = sum(table.size - 1 for table in self._own)
        self._last = np.full((len(self._order), most + 1), np.inf)
        self._entry = np.full_like(self._last, np.inf)
        for i, own in enumerate(self._own):
            entry = self._entry[i]
            if i:
                np.min(self._last[:i] + self._after[:i, i, None], axis=0, out=entry)
            entry[0] = self._first[i]
            total = combine(entry, own[1:], np.inf)
            self._last[i, 1:] = total[:most]
        best = self._last.min(axis=0) if self._order else np.zeros(1)
        best[0] = 0.0
        self.table: Table = cut(best, limit_s)

    def visits(self, k: int) -> list[Visit]:
        """The visits, in order, that serve k tasks in `table[k]` seconds."""
        visits: list[Visit] = []
        i = int(self._last[:, k].argmin()) if k else -1
        while k:
            before, own = split(self._entry[i], self._own[i][1:], k - 1, float(self._last[i, k]))
            visits.append((self._order[i], own + 1))
            k = before
            if k:
                i = int((self._last[:i, k] + self._after[:i, i]).argmin())
        return visits[::-1]


def relaxed_table(
    component: Component,
    service: Sequence[Table],
    library: ModelLibrary,
    loading: Link,
    limit_s: float,
) -> Table:
    """A table that no plan for the component can beat: the larger of two relaxations, entrywise."""
    by_trie = TrieTable(laminar_part(component), service, loading, limit_s).table
    by_least = least_load_table(component.models, service, library, loading, limit_s)
    size = min(by_trie.size, by_least.size)
    return np.maximum(by_trie[:size], by_least[:size])


def laminar_part(component: Component) -> Trie:
    """The trie of a heavy laminar subfamily of a component's groups.

    Leaving a block out makes it free, so what remains bounds every load from below. Greedy by
    bytes.
    """
    kept: list[BlockGroup] = []
    sets: list[frozenset[int]] = []
    for group in sorted(component.groups, key=lambda g: (-g.bytes, g.models)):
        holders = frozenset(group.models)
        if all(holders <= s or s <= holders or not holders & s for s in sets):
            kept.append(group)
            sets.append(holders)
    trie = laminar_trie(component.models, kept)
    if trie is None:
        raise RuntimeError("a laminar family of blocks has a trie")
    return trie


def least_load_table(
    models: Sequence[int],
    service: Sequence[Table],
    library: ModelLibrary,
    loading: Link,
    limit_s: float,
) -> Table:
    """Each model charged its whole load less half of the two greatest savings beside other models.

    A visit has two neighbours at most, and what two neighbours save between them is half each's.
    The first and the last visit lack a neighbour, so half of the second greatest saving is not made
    at either end (at neither end half of both, where there is one visit only).
    """
    first, after = load_seconds(library, loading, models)
    saved = first - after
    saved = np.maximum(saved, saved.T)
    np.fill_diagonal(saved, 0.0)
    greatest = np.sort(np.vstack((np.zeros((2, len(models))), saved)), axis=0)[-2:]
    ends = float(greatest[0].min(initial=np.inf))
    tables = []
    for i, seconds in zip(models, first - greatest.sum(axis=0) / 2, strict=True):
        table = service[i] + max(float(seconds), 0.0)
        table[0] = 0.0
        tables.append(cut(table, limit_s))
    least = Fold(tables, limit_s).table.copy()
    least[1:] += ends
    return cut(least, limit_s)
