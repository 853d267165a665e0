"""The learners by name: how each is made, and between which values its parameter is tuned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from trunkline.errors import UnknownMethodError
from trunkline.pulling.online.exp4rc import Exp4RC
from trunkline.pulling.online.greedy import UCB1, EpsilonGreedy
from trunkline.pulling.online.learner import Facts, Learner
from trunkline.pulling.online.linucb import LinUCB
from trunkline.pulling.online.ondemand import NeverPull, OnDemand
from trunkline.pulling.online.play import Oracle
from trunkline.pulling.online.residency import Eviction
from trunkline.pulling.online.tsrc import TSRC
from trunkline.pulling.online.vaw import VAW

ALPHAS = (0.1, 0.3, 1.0)
"""What LinUCB's alpha is tuned between."""

Build = Callable[[Facts, np.random.Generator, float], Learner | Oracle]


@dataclass(frozen=True, slots=True)
class Kind:
    """A learner by name.

    Attributes:
        build: makes one from the facts, a generator and its parameter.
        parameters: what its parameter is tuned between; one value is not tuned. None: pairs of a
            feature subset and one of `ALPHAS`, numbered subset by subset.
        restricted: whether it reads no more than the d features.
        pulls: whether it needs an environment with sites and demand.
        eviction: of the sites it plays with.
        about: what it is, in a few words.
    """

    build: Build
    about: str
    parameters: tuple[float, ...] = (1.0,)
    restricted: bool = True
    pulls: bool = False
    eviction: Eviction = "lru"

    def candidates(self, facts: Facts) -> tuple[float, ...]:
        """The values that its parameter is tuned between."""
        return self.parameters or tuple(float(n) for n in range(facts.cells.count * len(ALPHAS)))


def _exp4rc(facts: Facts, generator: np.random.Generator, factor: float) -> Learner:
    return Exp4RC(facts.cells, facts.arms, generator, horizon=facts.horizon, factor=factor)


def _anytime(facts: Facts, generator: np.random.Generator, factor: float) -> Learner:
    return Exp4RC(facts.cells, facts.arms, generator, factor=factor)


def _pair(facts: Facts, number: int) -> Learner:
    return _linucb(facts, number // len(ALPHAS), ALPHAS[number % len(ALPHAS)])


def _linucb(facts: Facts, subset: int, alpha: float) -> Learner:
    return LinUCB(facts.cells, facts.arms, facts.cells.subsets[subset], alpha=alpha)


def _greedy(facts: Facts, generator: np.random.Generator, epsilon: float) -> Learner:
    return EpsilonGreedy(facts.cells, facts.arms, generator, epsilon=epsilon)


KINDS: Mapping[str, Kind] = {
    "exp4-rc": Kind(_exp4rc, "EXP4-RC, the rate of the bound for T"),
    "exp4-rc-anytime": Kind(_anytime, "EXP4-RC without knowing T"),
    "exp4-rc-tuned": Kind(_exp4rc, "EXP4-RC, its rate tuned", (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)),
    "tsrc": Kind(
        lambda f, g, v: TSRC(f.cells, f.arms, g, spread=v),
        "Thompson sampling, its spread tuned",
        (0.03, 0.1, 0.3),
    ),
    "linucb-best": Kind(
        lambda f, g, number: _pair(f, int(number)), "LinUCB, its subset and alpha tuned", ()
    ),
    "linucb-random": Kind(
        lambda f, g, a: _linucb(f, int(g.integers(f.cells.count)), a),
        "LinUCB on a random subset, its alpha tuned",
        ALPHAS,
    ),
    "linucb-oracle": Kind(
        lambda f, g, a: _linucb(f, f.relevant, a), "LinUCB, told which subset matters", ALPHAS
    ),
    "linucb-all": Kind(
        lambda f, g, a: LinUCB(f.cells, f.arms, range(f.cells.features), alpha=a),
        "LinUCB that reads all n features (not restricted)",
        ALPHAS,
        restricted=False,
    ),
    "vaw": Kind(
        lambda f, g, ridge: VAW(f.cells, g, reject=f.reject, ridge=ridge),
        "demand regression, its ridge tuned",
        (0.1, 1.0, 10.0),
        pulls=True,
    ),
    "eps-greedy-0.1": Kind(_greedy, "epsilon = 0.1", (0.1,)),
    "eps-greedy-0.5": Kind(_greedy, "epsilon = 0.5", (0.5,)),
    "eps-greedy": Kind(_greedy, "epsilon tuned", (0.003, 0.01, 0.02, 0.05, 0.1, 0.2)),
    "ucb1": Kind(
        lambda f, g, width: UCB1(f.arms, width=width),
        "UCB1 without context, its width tuned",
        (0.1, 0.3, 1.0),
    ),
    "lru": Kind(lambda f, g, _: OnDemand(f), "pull on demand, LRU", pulls=True),
    "lfu": Kind(lambda f, g, _: OnDemand(f), "pull on demand, LFU", pulls=True, eviction="lfu"),
    "never-pull": Kind(lambda f, g, _: NeverPull(f), "what is there, or the centre", pulls=True),
    "oracle": Kind(lambda f, g, _: Oracle(), "full information, one round ahead", restricted=False),
}
"""All learners; the default first."""


def kind(name: str) -> Kind:
    """A learner by name.

    Raises:
        UnknownMethodError: there is none.
    """
    if name not in KINDS:
        raise UnknownMethodError(f"no learner {name!r}; there are {', '.join(KINDS)}")
    return KINDS[name]
