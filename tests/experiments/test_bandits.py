"""The comparison of online learners: the same draws for all, and honest tuning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trunkline.experiments.bandits import (
    MEASURES,
    Setting,
    Trial,
    compete,
    play_trial,
    playable,
)
from trunkline.pulling.online.learners import KINDS

EDGE = Setting("edge", 150)


@pytest.mark.parametrize("where", ["stationary", "edge"])
def test_the_same_draws_for_all(where: str) -> None:
    """A run's environment is the same however often it is made; other runs, tuning and seeds have
    others."""
    setting = Setting(where, 200)  # type: ignore[arg-type]
    first = setting.environment(0, tuning=False).levels
    assert np.array_equal(first, setting.environment(0, tuning=False, eviction="lfu").levels)
    for other in (
        setting.environment(1, tuning=False),
        setting.environment(0, tuning=True),
        replace(setting, seed=1).environment(0, tuning=False),
    ):
        assert not np.array_equal(first, other.levels)


def test_sharing_changes_nothing_else() -> None:
    """Without sharing, requests, sites and models are the same, only blocks are not shared."""
    shared = EDGE.environment(0, tuning=False)
    apart = replace(EDGE, sharing=False).environment(0, tuning=False)
    assert np.array_equal(shared.levels, apart.levels)
    assert shared.facts.arms == apart.facts.arms
    pulled = []
    for setting in (EDGE, replace(EDGE, sharing=False)):
        played = play_trial(Trial(setting, "lru", 1.0, 0))
        pulled.append(played.measures[MEASURES.index("pulled_bytes")])
    assert pulled[0] < pulled[1]


def test_the_tuned_value_is_the_best_of_the_tuning_runs() -> None:
    """It is the value with the least mean loss there, and no run of the result is among them."""
    setting = Setting("stationary", 300)
    result = compete(setting, ["eps-greedy"], 2)[0]
    losses = {
        value: sum(
            play_trial(Trial(setting, "eps-greedy", value, run, tuning=True)).measures[0]
            for run in range(2)
        )
        for value in KINDS["eps-greedy"].parameters
    }
    assert result.parameter == min(losses, key=losses.__getitem__)
    again = play_trial(Trial(setting, "eps-greedy", result.parameter, 1))
    assert result.measures[1, 0] == again.measures[0]
    assert result.regret[1] == pytest.approx(again.regret)


def test_who_can_play() -> None:
    """Learners that need sites or demand play at the edge only."""
    assert playable(["vaw", "ucb1", "lru"], "stationary") == ["ucb1"]
    assert playable(["vaw", "ucb1", "lru"], "edge") == ["vaw", "ucb1", "lru"]


def test_measures_of_the_edge() -> None:
    """Shares are shares, accuracies those of models, and rejecting all leaves no delay."""
    result = compete(EDGE, ["ucb1", "lru"], 2)
    for one in result:
        for name in ("central_share", "rejected_share", "accuracy", "loss"):
            assert 0.0 <= one.measure(name).mean <= 1.0
    assert result[1].measure("accuracy").mean == pytest.approx(0.94, abs=0.02)
    assert result[0].bounds() is None


def test_a_run_that_rejects_all() -> None:
    """Its delay, which it does not have, leaves the other runs' mean alone."""
    result = compete(EDGE, ["lru"], 2)[0]
    measures = result.measures.copy()
    measures[0, MEASURES.index("delay_s")] = np.nan
    assert replace(result, measures=measures).measure("delay_s").mean == measures[1, 1]
    measures[1, 1] = np.nan
    assert np.isnan(replace(result, measures=measures).measure("delay_s").mean)
    assert replace(result, measures=measures).to_dict()["delay_s"] is None


def test_the_bound_of_a_tuned_rate() -> None:
    """A rate of c times the proven one has (c + 1/c)/2 times the bound after T rounds."""
    setting = Setting("stationary", 100)
    default, tuned = compete(setting, ["exp4-rc", "exp4-rc-tuned"], 1)
    c = tuned.parameter
    one, other = default.bounds(), tuned.bounds()
    assert one is not None
    assert other is not None
    assert other[-1] == pytest.approx((c + 1 / c) / 2 * one[-1])
