"""The guard around a request's features, and the cells of feature subsets."""

import numpy as np
import pytest

from trunkline.errors import AccessError
from trunkline.pulling.online.context import Cells, Context
from trunkline.pulling.online.learner import Facts
from trunkline.pulling.online.learners import KINDS
from trunkline.pulling.online.play import Oracle, play
from trunkline.pulling.online.stationary import Stationary


def test_one_feature_too_many() -> None:
    """The guard lets d different features be read, each as often as wanted, and no other."""
    context = Context([1, 0, 2], most=2)
    assert [context.read(2), context.read(0), context.read(2)] == [2, 1, 2]
    with pytest.raises(AccessError, match=r"feature 1: only 2 of 3 features may be read, and \[0"):
        context.read(1)
    assert context.features_read == {0, 2}


@pytest.mark.parametrize("feature", [-1, 3])
def test_no_such_feature(feature: int) -> None:
    """A negative index reaches no feature from the other end."""
    with pytest.raises(AccessError, match="there are 0 to 2"):
        Context([1, 0, 1], most=3).read(feature)


def test_a_learner_that_cheats_is_stopped() -> None:
    """A learner that reads more than it declares ends the play."""

    class Curious:
        reads = 1

        def choose(self, seen: object) -> int:
            return sum(seen.context.read(feature) for feature in range(2))  # type: ignore[attr-defined]

        def learn(self, loss: float, demand: float | None) -> None: ...

    with pytest.raises(AccessError, match="only 1 of 3"):
        play(Curious(), Stationary(Cells(3, 1), 3, 5, np.random.default_rng(0)))


def test_cells() -> None:
    """A cell is its levels as digits, the first feature's the lowest; both ways to it agree."""
    cells = Cells(3, 2, levels=3)
    assert (cells.count, cells.size) == (3, 9)
    assert cells.subsets == ((0, 1), (0, 2), (1, 2))
    assert cells.cell(Context([2, 0, 1], 2), 1) == 2 + 3 * 1
    levels = np.random.default_rng(0).integers(3, size=(20, 3))
    table = cells.cells_of(levels)
    for row, numbers in zip(levels, table, strict=True):
        assert [cells.cell(Context(list(row), 2), n) for n in range(3)] == list(numbers)


def test_values_of_a_linear_model() -> None:
    """The intercept stands first, and levels are spread over 0 to 1."""
    assert Cells(3, 2, levels=3).values(Context([2, 0, 1], 2), (0, 2)).tolist() == [1.0, 1.0, 0.5]


@pytest.mark.parametrize("name", list(KINDS))
def test_who_reads_more(name: str) -> None:
    """No learner declares more than d features, but the one whose kind says so."""
    facts = Facts(Cells(4, 2), 3, 10, accuracies=np.ones((3, 2)), domain=0, local=(True,) * 3)
    kind = KINDS[name]
    learner = kind.build(facts, np.random.default_rng(0), kind.candidates(facts)[0])
    if not isinstance(learner, Oracle):
        assert (learner.reads <= 2) == kind.restricted
