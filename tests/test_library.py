"""The library derives sharing from the incidence of models and blocks alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.library import Model, ModelLibrary, laminar_trie


def library(holds: dict[str, str], **sizes: float) -> ModelLibrary:
    """A library from `model -> letters of its blocks`; a block is 1 byte unless told otherwise."""
    blocks = {block: sizes.get(block, 1.0) for held in holds.values() for block in held}
    return ModelLibrary(blocks, [Model(name, tuple(held)) for name, held in holds.items()])


def test_sharing_matrix_counts_common_bytes():
    """Entry (i, j) is the bytes of the blocks that both hold; the diagonal is each one's size."""
    found = library({"m1": "abc", "m2": "ab", "m3": "d"}, a=5, b=7, c=11, d=13).sharing_matrix
    # m1 = a + b + c = 23, m2 = a + b = 12, in common a + b = 12; m3 = 13 shares nothing
    assert found.tolist() == [[23, 12, 0], [12, 12, 0], [0, 0, 13]]


def test_missing_bytes_is_a_set_difference():
    """What must be loaded is what the resident model lacks, wherever in the model it stands."""
    found = library({"m1": "abc", "m2": "cbd"}, a=5, b=7, c=11, d=13)
    assert found.missing_bytes(1, 0) == 13
    assert found.missing_bytes(0, 1) == 5
    assert found.missing_bytes(0, None) == 23


def test_the_missing_matrix_is_missing_bytes_of_every_pair():
    """Row j, column i: what i needs and j lacks; exactly 0 where j holds it all."""
    found = library({"m1": "abc", "m2": "ab", "m3": "d", "m4": ""}, a=0.1, b=0.2, c=0.3, d=13)
    for j in range(4):
        for i in range(4):
            assert found.missing_matrix[j, i] == pytest.approx(found.missing_bytes(i, j), rel=1e-12)
    assert found.missing_matrix[0, 1] == 0


def test_blocks_with_equal_model_sets_merge():
    """Blocks that always move together are one group; empty and unused blocks are none."""
    blocks = {"a": 1.0, "b": 2.0, "c": 4.0, "empty": 0.0, "unused": 8.0}
    models = [Model("m1", ("a", "b", "c", "empty")), Model("m2", ("b", "a"))]
    groups = ModelLibrary(blocks, models).merged
    assert [(g.models, g.blocks, g.bytes) for g in groups] == [
        ((0,), ("c",), 4.0),
        ((0, 1), ("a", "b"), 3.0),
    ]


def test_components_follow_shared_blocks():
    """Models are connected through blocks they share, directly or through a third model."""
    found = library({"m1": "a", "m2": "ab", "m3": "b", "m4": "c", "m5": ""})
    assert [c.models for c in found.components] == [(0, 1, 2), (3,), (4,)]


def test_trie_of_several_levels():
    """Nested model sets make a trie: root {1,2,3}, below it {1,2}, and a leaf for what is own."""
    found = library({"m1": "abx", "m2": "ab", "m3": "ay"}, a=1, b=2, x=4, y=8)
    (component,) = found.components
    trie = component.trie
    assert trie is not None
    assert [(n.parent, n.bytes, n.models) for n in trie.nodes] == [
        (-1, 1, ()),
        (0, 2, (1,)),  # m2 ends where only it and m1 go on together
        (1, 4, (0,)),
        (0, 8, (2,)),
    ]
    assert trie.post_order[-1] == 0


def test_scattered_sharing_has_no_trie():
    """Model sets that overlap without being nested are no trie."""
    (component,) = library({"m1": "ab", "m2": "bc", "m3": "c"}).components
    assert component.trie is None


def test_restriction_can_turn_scattered_sharing_into_tries():
    """With the model that ties them left out, what remains is simpler, and may fall apart."""
    (component,) = library({"m1": "ab", "m2": "bc", "m3": "c"}).components
    parts = component.restricted([0, 2])
    assert [part.models for part in parts] == [(0,), (2,)]
    assert all(part.trie is not None for part in parts)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([Model("m", ()), Model("m", ())], "two models have the id 'm'"),
        ([Model("m", ("gone",))], "model 'm' names no block 'gone'"),
    ],
)
def test_faults_are_named(models, message):
    """A library that contradicts itself is refused with the id at fault."""
    with pytest.raises(ValueError, match=message):
        ModelLibrary({"a": 1.0}, models)


INCIDENCE = st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=5)


@given(INCIDENCE)
def test_trie_exists_exactly_when_sets_are_laminar(holds):
    """The trie test agrees with the definition: any two model sets nested or disjoint."""
    found = library({f"m{i}": "".join(map(str, sorted(held))) for i, held in enumerate(holds)})
    sets = [frozenset(group.models) for group in found.merged]
    laminar = all(a <= b or b <= a or not a & b for a in sets for b in sets)
    trie = laminar_trie(range(len(holds)), found.merged)
    assert (trie is not None) == laminar
    if trie is not None:
        for i, size in enumerate(found.model_bytes):  # the path to a model holds its bytes
            node = next(n for n in trie.nodes if i in n.models)
            path = node.bytes
            while node.parent >= 0:
                node = trie.nodes[node.parent]
                path += node.bytes
            assert path == size


@given(INCIDENCE, st.randoms())
def test_sharing_does_not_depend_on_order(holds, rng):
    """Shuffling models permutes the matrix and leaves sizes and components as they were."""
    named = [(f"m{i}", "".join(map(str, sorted(held)))) for i, held in enumerate(holds)]
    shuffled = named[:]
    rng.shuffle(shuffled)
    one, other = library(dict(named)), library(dict(shuffled))
    order = [other.index(name) for name, _ in named]
    assert np.array_equal(one.sharing_matrix, other.sharing_matrix[np.ix_(order, order)])
    assert one.distinct_bytes == other.distinct_bytes
    names = lambda lib: {frozenset(lib.models[i].id for i in c.models) for c in lib.components}  # noqa: E731
    assert names(one) == names(other)
