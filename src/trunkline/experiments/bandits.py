"""Learners for online pulling against each other: the same draws, tuned alike, several runs.

Run r of an experiment has its own system, requests and learner's draws, each from a generator of
its own; every learner meets the same ones. Which features matter is the same in all runs of an
experiment, so that a subset can be tuned, too. A learner's parameter is tuned on `TUNING_RUNS` runs
of the same length that are in no result: the value with the least mean loss is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from trunkline.errors import InputError
from trunkline.experiments.cells import Estimate, estimate
from trunkline.pulling.online.context import Cells, Floats
from trunkline.pulling.online.edge import Edge, Weighing
from trunkline.pulling.online.environment import Environment
from trunkline.pulling.online.learners import KINDS, kind
from trunkline.pulling.online.play import Record, play
from trunkline.pulling.online.regret import (
    best_in_hindsight,
    checkpoints,
    growth,
    regret_bound,
    regret_bound_before,
)
from trunkline.pulling.online.residency import Eviction
from trunkline.pulling.online.stationary import Stationary
from trunkline.pulling.online.system import draw_system, without_sharing

Where = Literal["stationary", "edge"]

TUNING_RUNS = 2

MOST_WEIGHTS = 20_000
"""m Q K, the numbers that EXP4-RC keeps; each round costs that much."""

MEASURES = ("loss", "delay_s", "accuracy", "pulled_bytes", "central_share", "rejected_share")
"""Of each run: means a round; the bytes are a sum."""

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """What is played.

    Attributes:
        where: `stationary` (the bound's assumptions hold) or `edge` (sites and pulls).
        rounds: T.
        features, read, levels: n, d, V.
        arms: K of the stationary environment; at the edge it follows from sites and models.
        accuracy_weight: xi.
        sites, storage_bytes, shared: of the edge system.
        sharing: whether models share their blocks at all.
        seed: names the experiment.
    """

    where: Where
    rounds: int = 10_000
    features: int = 4
    read: int = 2
    levels: int = 2
    arms: int = 4
    accuracy_weight: float = 0.5
    sites: int = 4
    storage_bytes: float = 500e6
    shared: float = 0.85
    sharing: bool = True
    seed: int = 0

    @property
    def cells(self) -> Cells:
        """The features."""
        return Cells(self.features, self.read, self.levels)

    def environment(self, run: int, tuning: bool, eviction: Eviction = "lru") -> Environment:
        """A run's environment, the same draws whenever it is made."""
        system, requests = (
            np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(tuning, run, n)))
            for n in range(2)
        )
        order = np.random.default_rng(np.random.SeedSequence(self.seed)).permutation(self.features)
        if self.where == "stationary":
            return Stationary(self.cells, self.arms, self.rounds, requests, order=order.tolist())
        drawn = draw_system(
            system,
            sites=self.sites,
            storage_bytes=self.storage_bytes,
            shared=self.shared,
            domains=self.levels,
        )
        return Edge(
            drawn if self.sharing else without_sharing(drawn),
            self.cells,
            self.rounds,
            requests,
            order=order.tolist(),
            weighing=Weighing(self.accuracy_weight),
            eviction=eviction,
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """One learner with one parameter in one run."""

    setting: Setting
    learner: str
    parameter: float
    run: int
    tuning: bool = False


@dataclass(frozen=True, slots=True)
class Played:
    """What is kept of a trial: regret and mean loss so far at the checkpoints, shape (C,) each, and
    the run's `MEASURES`."""

    trial: Trial
    regret: Floats
    mean_loss: Floats
    measures: Floats


@dataclass(frozen=True)
class Result:
    """A learner's runs in a setting.

    Attributes:
        parameter: the one that it was tuned to.
        marks: the checkpoints, shape (C,).
        regret: at the checkpoints, shape (runs, C), against the best expert in hindsight on the
            losses that the arms had in the learner's own run.
        mean_loss: mean loss so far, shape (runs, C).
        measures: shape (runs, len(MEASURES)).
    """

    setting: Setting
    learner: str
    parameter: float
    marks: Sequence[int]
    regret: Floats
    mean_loss: Floats
    measures: Floats
    arms: int = field(default=0)

    def measure(self, name: str) -> Estimate:
        """A measure's mean over the runs that have it, with its interval; NaN if none has."""
        values = self.measures[:, MEASURES.index(name)]
        had = values[~np.isnan(values)]
        return estimate(had) if had.size else Estimate(math.nan, math.nan)

    @property
    def final_regret(self) -> Estimate:
        """The regret after all rounds."""
        return estimate(self.regret[:, -1])

    @property
    def exponent(self) -> float:
        """With which the mean regret grows over the last decade of rounds (NaN: not positive)."""
        return growth(self.marks, self.regret.mean(axis=0))

    def bounds(self) -> Floats | None:
        """The bound on the expected regret at the checkpoints; None for a learner without one."""
        if not self.learner.startswith("exp4-rc"):
            return None
        cells, rounds = self.setting.cells, self.setting.rounds
        if self.learner == "exp4-rc-anytime":
            found = [regret_bound(cells, self.arms, t, anytime=True) for t in self.marks]
        else:
            found = [
                regret_bound_before(cells, self.arms, t, rounds, self.parameter) for t in self.marks
            ]
        return np.array(found)

    def to_dict(self) -> dict[str, Any]:
        """The figures, for JSON; what is not a number is None."""
        bounds = self.bounds()
        figures: dict[str, Any] = {
            "environment": self.setting.where,
            "learner": self.learner,
            "parameter": self.parameter,
            "runs": len(self.regret),
            "regret": self.final_regret.mean,
            "regret_half_95": self.final_regret.half,
            "bound": None if bounds is None else float(bounds[-1]),
            "exponent": self.exponent,
        }
        for name in MEASURES:
            found = self.measure(name)
            figures |= {name: found.mean, f"{name}_half_95": found.half}
        return {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in figures.items()
        }


def check_setting(setting: Setting) -> None:
    """Refuse a setting that cannot be played.

    Raises:
        InputError: naming the option.
    """
    least = 3 if setting.where == "edge" else 1
    if setting.features < least:
        raise InputError(
            f"--features {setting.features}: at least {least}"
            + (", a domain and two that tell of the demand" if least == 3 else "")
        )
    if not 0 <= setting.read <= setting.features:
        raise InputError(f"--read {setting.read}: 0 to all {setting.features} features")
    arms = setting.arms if setting.where == "stationary" else 4 * setting.levels + 2
    weights = setting.cells.count * setting.cells.size * arms
    if weights > MOST_WEIGHTS:
        raise InputError(
            f"--features {setting.features} --read {setting.read} --levels {setting.levels}: "
            f"{weights:,} cells and arms, more than {MOST_WEIGHTS:,}"
        )
    if setting.where == "edge" and setting.read < 1:
        raise InputError("--read 0: at the edge, pulling on demand reads the domain")


def playable(names: Sequence[str], where: Where) -> list[str]:
    """The learners that can play there, of those named (UnknownMethodError: there is none)."""
    return [name for name in names if where == "edge" or not kind(name).pulls]


def compete(
    setting: Setting,
    names: Sequence[str],
    runs: int,
    *,
    jobs: int = 1,
    tell: Tell = lambda done, total: None,
) -> list[Result]:
    """Tune and play the learners.

    Args:
        names: of learners that can play in the setting.
        runs: how many runs each plays.
        jobs: processes; -1 is one a core.
        tell: told (trials done, trials in all).
    """
    facts = setting.environment(0, tuning=True).facts
    tried = [
        Trial(setting, name, value, run, tuning=True)
        for name in names
        for value in kind(name).candidates(facts)
        if len(kind(name).candidates(facts)) > 1
        for run in range(TUNING_RUNS)
    ]
    total = len(tried) + len(names) * runs
    losses: dict[tuple[str, float], float] = {}
    for done, one in enumerate(_play_all(tried, jobs), start=1):
        key = (one.trial.learner, one.trial.parameter)
        losses[key] = losses.get(key, 0.0) + float(one.measures[0])
        tell(done, total)
    best = {name: _best(name, kind(name).candidates(facts), losses) for name in names}
    trials = [Trial(setting, name, best[name], run) for name in names for run in range(runs)]
    found: dict[tuple[str, int], Played] = {}
    for done, one in enumerate(_play_all(trials, jobs), start=1):
        found[one.trial.learner, one.trial.run] = one
        tell(len(tried) + done, total)
    return [
        Result(
            setting,
            name,
            best[name],
            checkpoints(setting.rounds),
            np.stack([found[name, run].regret for run in range(runs)]),
            np.stack([found[name, run].mean_loss for run in range(runs)]),
            np.stack([found[name, run].measures for run in range(runs)]),
            facts.arms,
        )
        for name in names
    ]


def _best(
    name: str, candidates: Sequence[float], losses: Mapping[tuple[str, float], float]
) -> float:
    """The value with the least loss in tuning; the first of several, or of one not tuned."""
    return min(candidates, key=lambda value: losses.get((name, value), 0.0))


def _play_all(trials: Sequence[Trial], jobs: int) -> Iterator[Played]:
    """Each trial as it is done, in any order."""
    if not trials:
        return
    if jobs == 1:
        yield from map(play_trial, trials)
        return
    from joblib import Parallel, delayed

    workers = Parallel(n_jobs=jobs, return_as="generator_unordered")
    yield from workers(delayed(play_trial)(trial) for trial in trials)


def play_trial(trial: Trial) -> Played:
    """Play one trial; its learner's draws depend on its kind's place, run and the seed alone."""
    setting, one = trial.setting, kind(trial.learner)
    environment = setting.environment(trial.run, trial.tuning, one.eviction)
    key = (trial.tuning, trial.run, 2 + list(KINDS).index(trial.learner))
    generator = np.random.default_rng(np.random.SeedSequence(setting.seed, spawn_key=key))
    record = play(one.build(environment.facts, generator, trial.parameter), environment)
    marks = checkpoints(setting.rounds)
    paid = record.loss.cumsum()[np.array(marks) - 1]
    least = best_in_hindsight(setting.cells, record.levels, record.losses, marks)
    return Played(trial, paid - least, paid / np.array(marks), _measures(record, environment))


def _measures(record: Record, environment: Environment) -> Floats:
    """The run's `MEASURES`; NaN where an environment has no such thing."""
    outcomes = record.outcomes
    served = [one for one in outcomes if not np.isnan(one.delay_s)]
    if environment.facts.reject is None:
        return np.array([record.loss.mean(), *[np.nan] * (len(MEASURES) - 1)])
    return np.array(
        [
            record.loss.mean(),
            np.mean([one.delay_s for one in served]) if served else np.nan,
            np.mean([one.accuracy for one in served]) if served else np.nan,
            sum(one.pulled_bytes for one in outcomes),
            np.mean([one.central for one in outcomes]),
            1.0 - len(served) / len(outcomes),
        ]
    )
