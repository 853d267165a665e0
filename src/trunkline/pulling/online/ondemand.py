"""What sites do without learning: pull what is asked for, or nothing.

They know each model's accuracy for each domain and read the domain feature only.
"""

from __future__ import annotations

import numpy as np

from trunkline.pulling.online.learner import Facts, Round


class OnDemand:
    """At the request's home, the model that is most accurate for its domain, pulled if it is not
    there, whatever that takes: an ordinary cache. What is evicted is the sites' matter.

    Args:
        facts: of an environment whose arms have accuracies and places.
    """

    reads = 1

    def __init__(self, facts: Facts) -> None:
        if facts.accuracies is None or facts.domain is None or facts.local is None:
            raise ValueError("pulling on demand needs an environment with sites")
        self._domain = facts.domain
        local = np.array(facts.local)[:, None]
        self._best = np.where(local, facts.accuracies, -1.0).argmax(axis=0)

    def choose(self, seen: Round) -> int:
        """The best model's arm at home."""
        return int(self._best[seen.context.read(self._domain)])

    def learn(self, loss: float, demand: float | None) -> None:
        """Nothing."""


class NeverPull:
    """Of the arms for which nothing would have to be pulled, the most accurate one for the domain.

    The data centre is always among them, and of two that are alike the first is taken, which is
    the nearer.

    Args:
        facts: of an environment whose arms have accuracies.
    """

    reads = 1

    def __init__(self, facts: Facts) -> None:
        if facts.accuracies is None or facts.domain is None:
            raise ValueError("never pulling needs an environment with sites")
        self._domain = facts.domain
        self._accuracies = facts.accuracies

    def choose(self, seen: Round) -> int:
        """The most accurate arm of those that are there."""
        if seen.missing_bytes is None:
            raise ValueError("never pulling needs an environment with sites")
        accuracies = self._accuracies[:, seen.context.read(self._domain)]
        return int(np.where(seen.missing_bytes == 0.0, accuracies, -1.0).argmax())

    def learn(self, loss: float, demand: float | None) -> None:
        """Nothing."""
