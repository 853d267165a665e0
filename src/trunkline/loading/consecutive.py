"""Orders in which every one of some sets stands together: the consecutive-ones property.

A PQ-tree (Booth and Lueker 1976) holds all such orders of the sets seen so far: the children of a
P-node may stand in any order, those of a Q-node in one order or its reverse. Each further set
reduces the tree, or there is none. Written for a few hundred items: each set takes time in
proportion to the items.

Why it matters here [derived]: visit any set S of models in an order of all models in which every
block's models stand together. Those of them that are in S stand together among S too, so each block
of the union is loaded once, and no order does better. If loads have no overhead, one order is
therefore best for every S.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass


class _NoOrderError(Exception):
    """The sets cannot all stand together."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A node with two children or more; `fixed` for a Q-node, whose children keep their order."""

    children: tuple[_Tree, ...]
    fixed: bool


_Tree = int | _Node

_EMPTY, _PARTIAL, _FULL = range(3)


def consecutive_order(items: Sequence[int], sets: Iterable[Collection[int]]) -> list[int] | None:
    """An order of the items in which the members of every set stand together, or None."""
    tree = _any_order(tuple(items))
    try:
        for members in sets:
            if 1 < len(members) < len(items):
                tree = _Reduction(frozenset(members)).reduced(tree)
    except _NoOrderError:
        return None
    return list(_frontier(tree))


def _any_order(children: Sequence[_Tree]) -> _Tree:
    """The children in any order; a single one stands for itself."""
    return children[0] if len(children) == 1 else _Node(tuple(children), False)


def _frontier(tree: _Tree) -> Iterable[int]:
    """The items of a tree, from left to right."""
    if isinstance(tree, int):
        yield tree
    else:
        for child in tree.children:
            yield from _frontier(child)


class _Reduction:
    """Makes the members of one set stand together."""

    def __init__(self, members: frozenset[int]) -> None:
        self._members = members
        self._states: dict[int, int] = {}

    def _state(self, tree: _Tree) -> int:
        """Whether none, some or all of a tree's items are members."""
        if isinstance(tree, int):
            return _FULL if tree in self._members else _EMPTY
        found = self._states.get(id(tree))
        if found is None:
            states = {self._state(child) for child in tree.children}
            found = states.pop() if len(states) == 1 else _PARTIAL
            self._states[id(tree)] = found
        return found

    def _children(self, node: _Node) -> tuple[list[_Tree], list[_Tree], list[_Tree]]:
        """The children with no member, with some, with nothing else."""
        found: tuple[list[_Tree], list[_Tree], list[_Tree]] = ([], [], [])
        for child in node.children:
            found[self._state(child)].append(child)
        return found

    def reduced(self, tree: _Tree) -> _Tree:
        """The tree of those orders in which all members, which are in it, stand together."""
        if isinstance(tree, int) or self._state(tree) != _PARTIAL:
            return tree
        empty, partial, full = self._children(tree)
        if len(partial) > 2:
            raise _NoOrderError
        if len(partial) == 1 and not full:  # all members are below one child
            below = partial[0]
            children = [self.reduced(c) if c is below else c for c in tree.children]
            return _Node(tuple(children), tree.fixed)
        if tree.fixed:
            return _Node(tuple(self._middle(tree.children)), True)
        if not partial:
            return _Node((*empty, _any_order(full)), False)
        middle = self._emptiest_first(partial[0])
        middle += [_any_order(full)] if full else []
        if len(partial) == 2:
            middle += reversed(self._emptiest_first(partial[1]))
        return _any_order((*empty, _Node(tuple(middle), True)))

    def _middle(self, children: Sequence[_Tree]) -> list[_Tree]:
        """The children of a Q-node with the members together: empty, then full, then empty, with at
        most one partial child at each of the two changes."""
        states = [self._state(child) for child in children]
        touched = [n for n, state in enumerate(states) if state != _EMPTY]
        first, last = touched[0], touched[-1]
        if any(state != _FULL for state in states[first + 1 : last]):
            raise _NoOrderError
        result = list(children[:first])
        for n in range(first, last + 1):
            if states[n] == _FULL:
                result.append(children[n])
            elif n == first:
                result += self._emptiest_first(children[n])
            else:
                result += reversed(self._emptiest_first(children[n]))
        return result + list(children[last + 1 :])

    def _emptiest_first(self, tree: _Tree) -> list[_Tree]:
        """A partial tree as a sequence: what has no member, then what has nothing else."""
        if isinstance(tree, int) or self._state(tree) != _PARTIAL:
            return [tree]
        if tree.fixed:
            children = list(tree.children)
            if self._state(children[0]) > self._state(children[-1]):
                children.reverse()
            states = [self._state(child) for child in children]
            if states != sorted(states) or states.count(_PARTIAL) > 1:
                raise _NoOrderError
            return [part for child in children for part in self._emptiest_first(child)]
        empty, partial, full = self._children(tree)
        if len(partial) > 1:
            raise _NoOrderError
        return [
            *([_any_order(empty)] if empty else []),
            *(part for child in partial for part in self._emptiest_first(child)),
            *([_any_order(full)] if full else []),
        ]
