"""Which model holds which parameter block, and what follows from it.

A *parameter block* (PartialLoading, Section III-B) is a set of parameters that is moved as a whole:
here the tensors of one leaf module. A block held by more than one model is *shared* (Definition 1).
Two blocks of one id are one block, so whoever names blocks by the digest of their content gets
sharing for nothing.

Everything derived here depends on the incidence "model holds block" and on the blocks' sizes alone,
never on the order in which models or blocks were given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the library sees it: an id and the ids of its blocks, in execution order."""

    id: str
    blocks: tuple[str, ...]


class ModelLibrary:
    """Models and the parameter blocks they hold.

    Args:
        blocks: size in bytes of each block, by id.
        models: the models; each names blocks that exist, a block named twice counts once.

    Raises:
        ValueError: two models of one id, or a model that names a block that does not exist.
    """

    def __init__(self, blocks: Mapping[str, float], models: Iterable[Model]) -> None:
        self.blocks: dict[str, float] = dict(blocks)
        self.models: tuple[Model, ...] = tuple(models)
        self._index = {model.id: i for i, model in enumerate(self.models)}
        self._missing: dict[tuple[int, int], float] = {}
        if len(self._index) != len(self.models):
            ids = [model.id for model in self.models]
            twice = next(one for one in ids if ids.count(one) > 1)
            raise ValueError(f"two models have the id {twice!r}")
        for model in self.models:
            for block in model.blocks:
                if block not in self.blocks:
                    raise ValueError(f"model {model.id!r} names no block {block!r}")

    def __len__(self) -> int:
        return len(self.models)

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)

    def __getitem__(self, model_id: str) -> Model:
        return self.models[self._index[model_id]]

    def index(self, model_id: str) -> int:
        """The position of a model in `models` (KeyError if it is not there)."""
        return self._index[model_id]

    @cached_property
    def block_sets(self) -> tuple[frozenset[str], ...]:
        """The set of block ids of each model, in the order of `models`."""
        return tuple(frozenset(model.blocks) for model in self.models)

    @cached_property
    def model_bytes(self) -> tuple[float, ...]:
        """The bytes of each model loaded whole, in the order of `models`."""
        return tuple(self.bytes_of(blocks) for blocks in self.block_sets)

    @cached_property
    def distinct_bytes(self) -> float:
        """The bytes of all blocks that some model holds, each counted once."""
        return self.bytes_of(frozenset().union(*self.block_sets))

    def bytes_of(self, blocks: Iterable[str]) -> float:
        """Total bytes of a set of blocks (summed by increasing id, so that order never shows)."""
        return sum(self.blocks[b] for b in sorted(blocks))

    def missing_bytes(self, model: int, resident: int | None) -> float:
        """Bytes of `model`'s blocks that model `resident` does not hold (all of them if None)."""
        if resident is None:
            return self.model_bytes[model]
        found = self._missing.get((model, resident))
        if found is None:
            found = self.bytes_of(self.block_sets[model] - self.block_sets[resident])
            self._missing[model, resident] = found
        return found

    @cached_property
    def sharing_matrix(self) -> NDArray[np.float64]:
        """Bytes that models i and j have in common: shape (models, models), bytes.

        The diagonal is each model's own size, so `matrix[i, i] - matrix[i, j]` is what must be
        loaded when model i follows model j (PartialLoading, equation (8)).
        """
        incidence, sizes = self._incidence
        matrix: NDArray[np.float64] = (incidence * sizes) @ incidence.T
        return matrix

    @cached_property
    def missing_matrix(self) -> NDArray[np.float64]:
        """Bytes to load when model i follows model j, at [j, i]: shape (models, models), bytes.

        `missing_bytes` of every pair at once; exactly 0 where j holds all that i needs.
        """
        incidence, sizes = self._incidence
        matrix: NDArray[np.float64] = (1.0 - incidence) @ (incidence * sizes).T
        return matrix

    @cached_property
    def _incidence(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Which model (row) holds which merged block (column), and the bytes of the latter."""
        import numpy as np  # here, for the commands on a store that do without

        incidence = np.zeros((len(self.models), len(self.merged)))
        for column, group in enumerate(self.merged):
            incidence[list(group.models), column] = 1.0
        return incidence, np.array([group.bytes for group in self.merged])

    @cached_property
    def merged(self) -> tuple[BlockGroup, ...]:
        """Blocks with equal model sets, merged; blocks that no model holds and empty ones dropped.

        Merging changes no load time, because the members always move together
        (checked in the tests: splitting or merging leaves every optimum where it was).
        """
        holders: dict[str, list[int]] = {}
        for i, blocks in enumerate(self.block_sets):
            for block in blocks:
                if self.blocks[block] > 0:
                    holders.setdefault(block, []).append(i)
        groups: dict[tuple[int, ...], list[str]] = {}
        for block, models in holders.items():
            groups.setdefault(tuple(models), []).append(block)
        return tuple(
            BlockGroup(models, tuple(sorted(blocks)), self.bytes_of(blocks))
            for models, blocks in sorted(groups.items())
        )

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """Connected components: models joined, directly or not, by blocks they share.

        Between different components every block is loaded, so each can be planned alone
        (specs: clusters). A model without blocks is a component of its own.
        """
        return connected(range(len(self.models)), self.merged)


@dataclass(frozen=True, slots=True)
class BlockGroup:
    """Blocks that exactly the same models hold.

    Attributes:
        models: positions of those models in the library, increasing.
        blocks: ids of the blocks, sorted.
        bytes: their total size.
    """

    models: tuple[int, ...]
    blocks: tuple[str, ...]
    bytes: float


@dataclass(frozen=True, slots=True)
class TrieNode:
    """A node of a sharing trie: the blocks that exactly the models in its subtree hold.

    Attributes:
        parent: position of the parent in `Trie.nodes`, -1 for the root.
        bytes: size of the node's blocks; what any visit to the subtree must load once.
        blocks: ids of those blocks.
        models: positions of the models that end here (all their blocks lie on the path to here).
    """

    parent: int
    bytes: float
    blocks: tuple[str, ...]
    models: tuple[int, ...]


@dataclass(frozen=True)
class Trie:
    """A sharing trie, flat: `nodes[0]` is the root and every parent comes before its children."""

    nodes: tuple[TrieNode, ...]

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The positions of each node's children."""
        below: list[list[int]] = [[] for _ in self.nodes]
        for position, node in enumerate(self.nodes):
            if node.parent >= 0:
                below[node.parent].append(position)
        return tuple(tuple(positions) for positions in below)

    @cached_property
    def post_order(self) -> tuple[int, ...]:
        """Node positions, each after all the nodes below it and each subtree in one piece."""
        order: list[int] = []
        stack = [0]
        while stack:
            position = stack.pop()
            order.append(position)
            stack.extend(self.children[position])
        return tuple(reversed(order))


@dataclass(frozen=True)
class Component:
    """Models that share blocks, directly or through others; `groups` are their merged blocks."""

    models: tuple[int, ...]
    groups: tuple[BlockGroup, ...]

    @cached_property
    def trie(self) -> Trie | None:
        """The trie of the component, or None if its sharing is scattered (see `laminar_trie`)."""
        return laminar_trie(self.models, self.groups)

    def restricted(self, models: Iterable[int]) -> tuple[Component, ...]:
        """The components that are left when only `models` are asked for, blocks merged anew."""
        wanted = frozenset(models)
        merged: dict[tuple[int, ...], list[BlockGroup]] = {}
        for group in self.groups:
            holders = tuple(model for model in group.models if model in wanted)
            if holders:
                merged.setdefault(holders, []).append(group)
        groups = [
            BlockGroup(
                holders,
                tuple(sorted(block for part in parts for block in part.blocks)),
                sum(part.bytes for part in parts),
            )
            for holders, parts in sorted(merged.items())
        ]
        return connected(sorted(wanted.intersection(self.models)), groups)


def connected(models: Iterable[int], groups: Iterable[BlockGroup]) -> tuple[Component, ...]:
    """The connected components of models joined by the groups they share."""
    groups = list(groups)
    parent = {i: i for i in models}

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for group in groups:
        root = find(group.models[0])
        for i in group.models[1:]:
            parent[find(i)] = root
    members: dict[int, list[int]] = {}
    for i in parent:
        members.setdefault(find(i), []).append(i)
    groups_of: dict[int, list[BlockGroup]] = {}
    for group in groups:
        groups_of.setdefault(find(group.models[0]), []).append(group)
    return tuple(
        Component(tuple(inside), tuple(groups_of.get(root, ())))
        for root, inside in sorted(members.items(), key=lambda item: item[1][0])
    )


def laminar_trie(models: Sequence[int], groups: Sequence[BlockGroup]) -> Trie | None:
    """The trie of block groups over `models`, or None where there is none.

    It exists exactly when the groups' model sets are *laminar*: any two are nested or disjoint.
    Where in a model the shared blocks stand does not matter, since loading is a set difference;
    bottom-layer sharing (PartialLoading, Definition 2) is the special case of one chain with
    leaves. The root has bytes only if every model holds some group. Linear in the total size of
    the model sets, after sorting the groups.
    """
    ordered = sorted(groups, key=lambda group: (-len(group.models), group.models))
    innermost = dict.fromkeys(models, -1)  # smallest set seen so far around each model
    parents: list[int] = []
    for index, group in enumerate(ordered):
        around = {innermost[model] for model in group.models}
        if len(around) != 1:
            return None
        parents.append(around.pop())
        for model in group.models:
            innermost[model] = index
    ending: dict[int, list[int]] = {}
    for model in models:
        ending.setdefault(innermost[model], []).append(model)
    nodes = [
        TrieNode(parent + 1, group.bytes, group.blocks, tuple(ending.get(index, ())))
        for index, (parent, group) in enumerate(zip(parents, ordered, strict=True))
    ]
    if nodes and len(ordered[0].models) == len(models):  # the first group is the root itself
        lifted = [TrieNode(n.parent - 1, n.bytes, n.blocks, n.models) for n in nodes]
        return Trie(tuple(lifted))
    return Trie((TrieNode(-1, 0.0, (), tuple(ending.get(-1, ()))), *nodes))
