"""A learner plays in an environment; what came of every round is kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trunkline.pulling.online.context import Floats, Ints
from trunkline.pulling.online.environment import Environment, Outcome
from trunkline.pulling.online.learner import Learner


class Oracle:
    """Full information: takes the arm of the least loss, knowing everything but noise. It looks
    one round ahead, so where pulls change what comes, something else can do better over time."""


@dataclass(frozen=True)
class Record:
    """What came of T rounds.

    Attributes:
        arms: the arms played, shape (T,).
        outcomes: of every round.
        losses: that every arm would have had in each round, in the state that the learner's own
            choices had led to, shape (T, K).
        levels: the features, shape (T, n).
    """

    arms: Ints
    outcomes: tuple[Outcome, ...]
    losses: Floats
    levels: Ints

    @cached_property
    def loss(self) -> Floats:
        """The learner's loss in each round, shape (T,)."""
        return np.array([one.loss for one in self.outcomes])


def play(learner: Learner | Oracle, environment: Environment) -> Record:
    """Play all rounds of the environment.

    Raises:
        AccessError: the learner read more than it declares.
    """
    facts = environment.facts
    losses = np.empty((facts.horizon, facts.arms))
    arms = np.empty(facts.horizon, dtype=np.int64)
    outcomes = []
    for at in range(facts.horizon):
        seen = environment.round(at + 1, 0 if isinstance(learner, Oracle) else learner.reads)
        losses[at] = environment.losses()
        if isinstance(learner, Oracle):
            arm = int(np.argmin(environment.known_losses()))
        else:
            arm = learner.choose(seen)
        outcome = environment.serve(arm)
        if not isinstance(learner, Oracle):
            learner.learn(outcome.loss, outcome.demand)
        arms[at] = arm
        outcomes.append(outcome)
    return Record(arms, tuple(outcomes), losses, environment.levels)
