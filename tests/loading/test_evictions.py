"""Evictions for a known order of models: against brute force, and where Belady's rule fails."""

from __future__ import annotations

import random

import pytest

from trunkline.links import Link, Stage
from trunkline.loading.evictions import keep_best, keep_soonest, loads
from trunkline.loading.masks import BlockMasks


class Line:
    """A known sequence of visits, with the cost of what is kept."""

    def __init__(self, sizes, held, order, budget, *, resident=(), overhead=0.0) -> None:
        self.masks = BlockMasks(sizes, held)
        self.needs = [self.masks.needs[model] for model in order]
        self.budget = budget
        self.resident = self.masks.mask(resident)
        self.link = Link((Stage(1.0, overhead),))

    def soonest(self) -> float:
        return self.cost(keep_soonest(self.needs, self.masks, self.budget, self.resident))

    def best(self) -> float:
        kept = keep_best(
            self.needs, self.masks, self.budget, self.resident, self.link, time_limit_s=10.0
        )
        assert kept is not None
        return self.cost(kept)

    def cost(self, kept) -> float:
        """Load seconds of all visits; what is kept must have been there, and must fit."""
        resident = self.resident
        for need, stay in zip(self.needs, kept, strict=True):
            assert stay & ~resident == 0
            assert self.masks.bytes(stay | need) <= self.budget
            resident = stay | need
        missing = loads(self.needs, kept, self.resident)
        return sum(self.link.seconds(self.masks.bytes(one)) for one in missing)

    def brute(self) -> float:
        """The least cost over every choice of what stays."""
        least = {self.resident: 0.0}
        for need in self.needs:
            after: dict[int, float] = {}
            for resident, seconds in least.items():
                total = seconds + self.link.seconds(self.masks.bytes(need & ~resident))
                stay = others = resident & ~need
                while True:  # every part of `others`
                    if self.masks.bytes(stay | need) <= self.budget:
                        after[stay | need] = min(total, after.get(stay | need, total))
                    if not stay:
                        break
                    stay = (stay - 1) & others
            least = after
        return min(least.values())


def drawn(seed: int, *, equal: bool, overhead: float) -> Line:
    """Up to 8 blocks, 5 models and 9 visits."""
    rng = random.Random(seed)
    sizes = {f"b{n}": 1 if equal else rng.choice([1, 2, 3, 5]) for n in range(rng.randint(3, 8))}
    held = [[b for b in sizes if rng.random() < 0.4] for _ in range(rng.randint(2, 5))]
    order = [rng.randrange(len(held)) for _ in range(rng.randint(3, 9))]
    largest = max(sum(sizes[b] for b in held[model]) for model in order)
    resident = [b for b in sizes if rng.random() < 0.3]
    budget = largest + rng.randint(0, 5)
    return Line(sizes, held, order, budget, resident=resident, overhead=overhead)


@pytest.mark.parametrize("overhead", [0.0, 2.0])
def test_the_integer_programme_is_exact(overhead):
    """On random sequences it costs what brute force over everything that could stay costs."""
    better = 0
    for seed in range(150):
        line = drawn(seed, equal=False, overhead=overhead)
        best = line.brute()
        assert line.best() == pytest.approx(best), seed
        assert line.soonest() >= best - 1e-9, seed
        better += line.soonest() > best + 1e-9
    assert better > 0  # keeping what is needed soonest is not enough


def test_keeping_the_soonest_is_optimal_for_equal_sizes():
    """Belady's rule, with sets of blocks in place of single ones."""
    for seed in range(300):
        line = drawn(seed, equal=True, overhead=0.0)
        assert line.soonest() == pytest.approx(line.brute()), seed


def test_different_sizes_are_a_partition_problem():
    """A, X, A with room for 6 of A's 10 bytes beside X: 3 + 3 fill it, the largest (4) first does
    not."""
    sizes = {"a1": 4, "a2": 3, "a3": 3, "x": 4}
    line = Line(sizes, [["a1", "a2", "a3"], ["x"]], [0, 1, 0], 10)
    assert line.soonest() == 10 + 4 + 6
    assert line.best() == 10 + 4 + 4


def test_an_overhead_breaks_beladys_rule():
    """Equal sizes, but each load costs 10 more: it is worth sparing a whole load."""
    # W = ab, X = xy, P = ap, Q = b; room for 3. Beside X one block stays. Belady keeps a, since P
    # comes next, but P loads p in any case; keeping b spares Q's load altogether.
    sizes = dict.fromkeys("abxyp", 1)
    line = Line(sizes, ["ab", "xy", "ap", "b"], [0, 1, 2, 3], 3, overhead=10.0)
    assert line.soonest() == 4 * 10 + 6
    assert line.best() == 3 * 10 + 6
