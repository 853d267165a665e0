"""Exact least-time tables for a component whose sharing is a trie of any depth. [derived]

For a set S of models to be visited, any order must load each block of their union at least once
and starts at least one load for each *maximal* member of S (one whose blocks are not all in another
member's; equal sets count once). With V affine, V(bytes) = o + r bytes for bytes > 0, that is a
lower bound of o |maximal members| + r |union| for the loads, revisits and detours included.
Visiting S in post-order of the trie (everything below a node before the models that end at it)
attains both terms at once: consecutive models then share exactly their common path, so every node
is loaded once; and a model that ends at an inner node follows a model below it, which holds all
its blocks, and loads nothing. So with any overhead, and however many levels, one order is optimal
for every S, and the least time to serve k tasks by models under node v is

    T_v(0) = 0,   T_v(k) = r w_v + min( min_{j >= 1} C(j) + A(k - j),  o + A(k) )

with C the combination of v's children, A that of the service tables of the models ending at v, and
o charged only where the path to v has bytes. Bottom-layer sharing (PartialLoading, Section V) is
the case of a chain with leaves; the paper's ascending order is the case o = 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trunkline.library import Trie, TrieNode
from trunkline.links import Link
from trunkline.loading.service import Table, cut
from trunkline.loading.tables import NOTHING, Fold, combine, split

Visit = tuple[int, int]
"""A model's position and how many of its tasks one visit serves."""


class TrieTable:
    """The table of a trie component, and the visits behind each entry.

    Args:
        trie: the sharing of the component.
        service: service table of every model of the library, by position.
        loading: V.
        limit_s: where tables are cut.
    """

    def __init__(self, trie: Trie, service: Sequence[Table], loading: Link, limit_s: float) -> None:
        self._trie = trie
        self._overhead_s = loading.overhead_s
        self._rate = loading.seconds_per_byte
        self._limit_s = limit_s
        self._below: list[Fold] = []
        self._ending: list[Fold] = []
        self._inner: list[Table] = []
        self._solve(service)
        self.table: Table = self._tables[0]

    def _solve(self, service: Sequence[Table]) -> None:
        nodes = self._trie.nodes
        empty = Fold((), self._limit_s)
        self._below = [empty] * len(nodes)
        self._ending = [empty] * len(nodes)
        self._inner = [NOTHING] * len(nodes)
        self._tables: list[Table] = [NOTHING] * len(nodes)
        for position in reversed(range(len(nodes))):  # children before their parents
            node = nodes[position]
            children = self._trie.children[position]
            if children:
                tables = [self._tables[child] for child in children]
                self._below[position] = Fold(tables, self._limit_s)
            if node.models:
                self._ending[position] = Fold([service[m] for m in node.models], self._limit_s)
            self._tables[position] = self._node_table(position, node)

    def _node_table(self, position: int, node: TrieNode) -> Table:
        """T_v of one node, from C and A."""
        below, ending = self._below[position].table, self._ending[position].table
        if below.size == 1 and ending.size == 1:
            return NOTHING
        if below.size == 1:
            table = ending + (self._overhead_s + self._rate * node.bytes if node.bytes > 0 else 0.0)
            table[0] = 0.0
            return cut(table, self._limit_s)
        with_below = combine(below, ending, self._limit_s)
        overhead = self._overhead_s if node.bytes > 0 else 0.0
        if ending.size > 1 and overhead > 0:
            with_below = self._after_one_below(below, ending)
        inner = with_below
        if ending.size > 1:
            alone = ending + overhead
            inner = np.full(max(with_below.size, alone.size), np.inf)
            inner[: with_below.size] = with_below
            np.minimum(inner[: alone.size], alone, out=inner[: alone.size])
        table = inner + self._rate * node.bytes if node.bytes > 0 else inner.copy()
        table[0] = 0.0
        self._inner[position] = inner
        return cut(table, self._limit_s)

    def _after_one_below(self, below: Table, ending: Table) -> Table:
        """min over j >= 1 of C(j) + A(k - j); infinite at k = 0."""
        return np.concatenate(([np.inf], combine(below[1:], ending, np.inf)))

    def visits(self, k: int) -> list[Visit]:
        """The visits, in order, that serve k tasks in `table[k]` seconds."""
        counts: dict[int, int] = {}
        pending = [(0, k)] if k else []
        while pending:
            position, k = pending.pop()
            node = self._trie.nodes[position]
            j = self._from_below(position, node, k)
            if k - j:
                taken = self._ending[position].split(k - j)
                counts.update(zip(node.models, taken, strict=True))
            if j:
                shares = self._below[position].split(j)
                children = self._trie.children[position]
                pending.extend((c, n) for c, n in zip(children, shares, strict=True) if n)
        return [
            (model, counts[model])
            for position in self._trie.post_order
            for model in self._trie.nodes[position].models
            if counts.get(model)
        ]

    def _from_below(self, position: int, node: TrieNode, k: int) -> int:
        """How many of k tasks the models below a node serve (the others end at it)."""
        below, ending = self._below[position].table, self._ending[position].table
        if below.size == 1:
            return 0
        if ending.size == 1:
            return k
        total = float(self._inner[position][k])
        overhead = self._overhead_s if node.bytes > 0 else 0.0
        if k < ending.size and ending[k] + overhead <= total:
            return 0
        if overhead > 0:
            return 1 + split(below[1:], ending, k - 1, total)[0]
        return split(below, ending, k, total)[0]
