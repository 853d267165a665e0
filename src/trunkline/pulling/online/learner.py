"""What a learner is, and what it is told in a round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from trunkline.pulling.online.context import Cells, Context, Floats


@dataclass(frozen=True, slots=True)
class Round:
    """What a learner knows when it has to choose an arm.

    Attributes:
        number: t, from 1.
        context: the request's features behind their guard.
        losses_at: demand -> the loss of every arm at that demand, in the present state of the
            sites and with each model's mean accuracy; None where there is no demand to predict.
        missing_bytes: of each arm, what would have to be pulled now; None where nothing is.
    """

    number: int
    context: Context
    losses_at: Callable[[float], Floats] | None = None
    missing_bytes: Floats | None = None


class Learner(Protocol):
    """Chooses an arm for each request, then learns the loss of that arm only (bandit feedback)."""

    @property
    def reads(self) -> int:
        """How many features it reads in a round at most; the guard is set to it."""

    def choose(self, seen: Round) -> int:
        """The arm for this request."""

    def learn(self, loss: float, demand: float | None) -> None:
        """Take in the loss of the chosen arm, and the demand if the request was served."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an environment before its first round.

    Attributes:
        cells: the features and how many may be read.
        arms: K.
        horizon: T, the rounds that there will be.
        relevant: index of the subset that the environment's losses depend on most: an oracle's
            knowledge, for baselines that say so in their name.
        reject: the arm that turns a request away, where there is one.
        accuracies: the accuracy of each arm by level of the domain feature, shape (K, V); of
            rejecting, 0. None where there is no such thing.
        domain: the feature that says which model is best; None likewise.
        local: whether an arm is at the request's home, shape (K,); None likewise.
    """

    cells: Cells
    arms: int
    horizon: int
    relevant: int = 0
    reject: int | None = None
    accuracies: Floats | None = None
    domain: int | None = None
    local: tuple[bool, ...] | None = None


def draw(probabilities: Floats, generator: np.random.Generator) -> int:
    """An index with these probabilities (they add up to 1 but for rounding)."""
    total = probabilities.cumsum()
    found = int(total.searchsorted(generator.random() * total[-1], side="right"))
    return min(found, len(probabilities) - 1)
