"""Sets of blocks as bits."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from trunkline.loading.masks import BlockMasks


def drawn(seed: int) -> tuple[BlockMasks, dict[str, int], list[list[str]]]:
    """Up to 12 blocks of a few sizes, some of no bytes, and up to 5 models."""
    rng = random.Random(seed)
    sizes = {f"b{n}": rng.choice([0, 1, 1, 2, 3, 5]) for n in range(rng.randint(1, 12))}
    held = [[b for b in sizes if rng.random() < 0.5] for _ in range(rng.randint(1, 5))]
    return BlockMasks(sizes, held), sizes, held


@pytest.mark.parametrize("seed", range(30))
def test_masks_are_the_sets_they_stand_for(seed):
    """Names and bytes of a mask are those of the blocks, without the empty ones."""
    masks, sizes, held = drawn(seed)
    for blocks, need in zip(held, masks.needs, strict=True):
        assert masks.names(need) == {b for b in blocks if sizes[b]}
        assert masks.mask(blocks) == need
        assert masks.bytes(need) == sum(sizes[b] for b in blocks)


@pytest.mark.parametrize("seed", range(60))
def test_what_can_stay_is_every_choice_that_none_can_be_added_to(seed):
    """`most_within` gives the largest choices, one for all that differ by equal blocks only."""
    masks, sizes, _ = drawn(seed)
    rng = random.Random(seed)
    wanted = [b for b in sorted(sizes) if sizes[b] and rng.random() < 0.7]
    room = rng.randint(0, 12)
    kinds = {b: masks.classes.index(next(c for c in masks.classes if c & masks.mask([b])))
             for b in wanted}  # fmt: skip

    def shape(blocks) -> tuple:
        return tuple(sorted(kinds[b] for b in blocks))

    fitting = [
        set(chosen)
        for count in range(len(wanted) + 1)
        for chosen in combinations(wanted, count)
        if sum(sizes[b] for b in chosen) <= room
    ]
    full = {
        shape(chosen)
        for chosen in fitting
        if all(sum(sizes[b] for b in chosen) + sizes[b] > room for b in set(wanted) - chosen)
    }
    found = [masks.names(mask) for mask in masks.most_within(masks.mask(wanted), room)]
    assert all(set(one) <= set(wanted) for one in found)
    assert sorted(map(shape, found)) == sorted(full)
    assert masks.names(masks.largest_within(masks.mask(wanted), room)) in fitting
    assert list(masks.most_within(masks.mask(wanted), -1.0)) == []
