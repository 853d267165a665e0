"""The online pulling problem itself: requests at sites whose blocks change with what is pulled.

A request comes at a site (its home) with n features; its demand rho becomes known when it has been
served. Arms: a place (the home, or one of the next nearest sites) and a model; the data centre; and
rejecting. An arm whose blocks do not fit beside those in use is served at the data centre.

    delay = max(exchange + pulls, wait for the site) + kappa_m rho/F_c

Blocks that are missing are pulled one after the other, each from the nearest site that has it (or
the data centre); a site computes one request after the other. One feature is the domain, by which
the models' accuracies differ; two say something of the demand; the others say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from trunkline.pulling.online.context import Cells, Context, Floats, Ints
from trunkline.pulling.online.environment import Outcome
from trunkline.pulling.online.learner import Facts, Round
from trunkline.pulling.online.loss import serving_loss
from trunkline.pulling.online.residency import Eviction, Residency
from trunkline.pulling.online.system import EdgeSystem

BASE, FIRST, SECOND, NOISE = 1.2, 4.0, 1.0, 0.8
"""rho = BASE + FIRST x_1 + SECOND x_2 + uniform(-NOISE, NOISE), x a level/(V - 1)."""


@dataclass(frozen=True, slots=True)
class Weighing:
    """How delay and accuracy make a loss.

    Attributes:
        accuracy_weight: xi.
        norm_s: the delay that counts as 1.
        reject_loss: of turning a request away.
    """

    accuracy_weight: float = 0.5
    norm_s: float = 2.0
    reject_loss: float = 0.6


@dataclass(frozen=True, slots=True)
class Prices:
    """What the arms would take in one round, each of shape (K,): the delay at demand 0, seconds a
    unit of demand, the model, whether it is the data centre, the bytes to pull, and how long."""

    base_s: Floats
    unit_s: Floats
    model: Ints
    central: Ints
    missing_bytes: Floats
    pulls_s: Floats


class Edge:
    """The environment.

    Args:
        system: the sites, blocks and models.
        cells: the features; at least three.
        rounds: T.
        generator: of the requests.
        order: the features by importance: the domain, the first and the second of the demand.
            Drawn if not given.
        weighing: of delay and accuracy.
        places: how many sites an arm may be at: the home and the places - 1 nearest.
        interval_s: the mean time between requests (Poisson).
        eviction: which blocks go first.
    """

    def __init__(
        self,
        system: EdgeSystem,
        cells: Cells,
        rounds: int,
        generator: np.random.Generator,
        *,
        order: Sequence[int] | None = None,
        weighing: Weighing | None = None,
        places: int = 2,
        interval_s: float = 0.5,
        eviction: Eviction = "lru",
    ) -> None:
        if cells.features < 3:
            raise ValueError(f"{cells.features} features: at least 3, a domain and two of demand")
        if system.accuracy.shape[1] != cells.levels:
            raise ValueError(
                f"accuracies for {system.accuracy.shape[1]} domains, features of {cells.levels} "
                "levels"
            )
        sites = len(system.storage_bytes)
        self.system, self.weighing = system, weighing or Weighing()
        self.residency = Residency(system.block_bytes, system.storage_bytes, eviction)
        drawn = generator.permutation(cells.features).tolist() if order is None else order
        roles = [int(feature) for feature in drawn[:3]]
        self._roles = roles
        self.levels: Ints = generator.integers(cells.levels, size=(rounds, cells.features))
        self._homes = generator.integers(sites, size=rounds)
        self._times = np.cumsum(generator.exponential(interval_s, rounds))
        x = self.levels / max(cells.levels - 1, 1)
        noise = generator.uniform(-NOISE, NOISE, rounds)
        self._demands = BASE + FIRST * x[:, roles[1]] + SECOND * x[:, roles[2]] + noise
        nearest = np.argsort(system.exchange_s[:, :sites], axis=1, kind="stable")
        self._places = nearest[:, : min(places, sites)]
        self._models = np.array(system.local_models)
        self._free_s = np.zeros(sites)
        self._at = -1
        self.facts = self._facts(cells, rounds)
        self._fill(generator)

    def _facts(self, cells: Cells, rounds: int) -> Facts:
        places, models = self._places.shape[1], len(self._models)
        wanted = sorted(self._roles[: min(cells.read, 2)])
        relevant = next(
            (n for n, subset in enumerate(cells.subsets) if set(wanted) <= set(subset)), 0
        )
        local = np.tile(self.system.accuracy[self._models], (places, 1))
        central = self.system.accuracy[[self.system.central]]
        return Facts(
            cells,
            arms=places * models + 2,
            horizon=rounds,
            relevant=relevant,
            reject=places * models + 1,
            accuracies=np.vstack([local, central, np.zeros_like(central)]),
            domain=self._roles[0],
            local=tuple(arm < models for arm in range(places * models + 2)),
        )

    def _fill(self, generator: np.random.Generator) -> None:
        """Every site starts with one model that it has the storage for, drawn at random."""
        for site in range(len(self._free_s)):
            blocks = self.system.model_blocks[generator.choice(self._models)]
            if self.residency.fits(site, blocks, -1.0):
                self.residency.use(site, blocks, -1.0, -1.0, -1.0)

    def round(self, number: int, reads: int) -> Round:
        """The next request."""
        self._at = number - 1
        self._prices = self._priced()
        self._true = self._losses(self._accuracy(), float(self._demands[self._at]))
        context = Context(self.levels[self._at], reads)
        mean = self.system.accuracy.mean(axis=1)
        return Round(number, context, partial(self._losses, mean), self._prices.missing_bytes)

    def _priced(self) -> Prices:
        system, now = self.system, float(self._times[self._at])
        home, sites, models = self._homes[self._at], len(self._free_s), len(self._models)
        arms = self.facts.arms
        rate = system.flop_per_unit[system.central] / system.flop_per_s[sites]
        base_s = np.full(arms, system.exchange_s[home, sites])
        unit_s, missing_bytes, pulls_s = np.full(arms, rate), np.zeros(arms), np.zeros(arms)
        model = np.full(arms, system.central)
        central = np.ones(arms, dtype=np.int64)
        wanted = system.model_blocks[self._models]
        holders = self.residency.holders(now)
        for place, site in enumerate(self._places[home]):
            here, ready_s = self.residency.here[site], self.residency.ready_s[site]
            nearest_s = np.where(holders, system.pull_s[site], np.inf).min(axis=0)
            missing = wanted & ~here
            coming = np.where(wanted & here, ready_s - now, 0.0).max(axis=1)
            arrival_s = system.exchange_s[home, site] + np.maximum(missing @ nearest_s, coming)
            start_s = np.maximum(arrival_s, self._free_s[site] - now)
            fits = self.residency.fits(site, wanted, now)
            arm = slice(place * models, (place + 1) * models)
            base_s[arm] = np.where(fits, start_s, base_s[arm])
            per_unit = system.flop_per_unit[self._models] / system.flop_per_s[site]
            unit_s[arm] = np.where(fits, per_unit, rate)
            model[arm] = np.where(fits, self._models, system.central)
            central[arm] = ~fits
            missing_bytes[arm] = np.where(fits, missing @ system.block_bytes, 0.0)
            pulls_s[arm] = missing @ nearest_s
        return Prices(base_s, unit_s, model, central, missing_bytes, pulls_s)

    def _losses(self, accuracy: Floats, demand: float) -> Floats:
        """The loss of every arm at a demand, with these accuracies of the models."""
        prices, weighing = self._prices, self.weighing
        losses = serving_loss(
            accuracy[prices.model],
            prices.base_s + prices.unit_s * demand,
            weighing.accuracy_weight,
            weighing.norm_s,
        )
        losses[self.facts.reject] = weighing.reject_loss
        return losses

    def _accuracy(self) -> Floats:
        found: Floats = self.system.accuracy[:, self.levels[self._at, self._roles[0]]]
        return found

    def losses(self) -> Floats:
        """Every arm's loss in the present state, at the true demand."""
        return self._true

    def known_losses(self) -> Floats:
        """The same: the oracle knows the demand."""
        return self.losses()

    def serve(self, arm: int) -> Outcome:
        """Serve the request; pull, evict, and keep the site busy."""
        if arm == self.facts.reject:
            return Outcome(self.weighing.reject_loss)
        prices, demand = self._prices, float(self._demands[self._at])
        loss = float(self._true[arm])
        delay_s = float(prices.base_s[arm] + prices.unit_s[arm] * demand)
        model, central = int(prices.model[arm]), bool(prices.central[arm])
        if not central:
            self._run(arm, model, delay_s)
        accuracy = float(self._accuracy()[model])
        return Outcome(loss, demand, delay_s, accuracy, float(prices.missing_bytes[arm]), central)

    def _run(self, arm: int, model: int, delay_s: float) -> None:
        home, now = self._homes[self._at], float(self._times[self._at])
        site = int(self._places[home, arm // len(self._models)])
        blocks = self.system.model_blocks[model]
        ready_s = now + float(self._prices.pulls_s[arm])
        self.residency.use(site, blocks, now, ready_s, now + delay_s)
        self._free_s[site] = now + delay_s
