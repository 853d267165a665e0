"""Estimates: what was measured, corrected by what happens."""

from __future__ import annotations

import pytest

from trunkline.server.estimates import (
    DOUBT_S,
    FORGETTING,
    GUESSED_LINK,
    HIGHEST,
    LEAST,
    REMEMBERED,
    SMOOTHING,
    Estimates,
)
from trunkline.store import Architecture, InputSpec, StoredModel

MODEL = StoredModel(
    "a", (), Architecture("factory", factory="m:f"), InputSpec((4,)), 1000, digest="sha256:0"
)


def seconds(estimates: Estimates, tasks: int) -> float:
    """What a batch is expected to take."""
    model = estimates.model(MODEL)
    return model.seconds_per_batch + model.seconds_per_task * tasks


def test_the_line_goes_through_the_medians() -> None:
    """Batches of 1 in 3 s and of 4 in 6 s (medians; one outlier each): 2 s and 1 s a sample."""
    estimates = Estimates(None, 8)
    assert not estimates.is_known(MODEL)
    times = [(1, 3.0), (1, 3.0), (1, 90.0), (4, 6.0), (4, 0.1), (4, 6.0)]
    estimates.measured(MODEL, times)
    assert [seconds(estimates, tasks) for tasks in (1, 4, 8)] == [3.0, 6.0, 10.0]
    assert estimates.model(MODEL).max_batch == 8


def test_one_batch_is_better_than_nothing() -> None:
    """Without a measurement nothing is expected; the first batch sets the line through itself."""
    estimates = Estimates(None, 8)
    assert seconds(estimates, 4) == 0.0
    assert estimates.computed(MODEL, 4, 2.0)
    assert seconds(estimates, 4) == pytest.approx(2.0)
    assert seconds(estimates, 8) > 2.0


def test_a_machine_that_slows_down_is_noticed_and_forgiven() -> None:
    """After a few batches at three times the time, three times are expected; one slow batch among
    many changes nothing; when all are quick again, so are the expectations."""
    estimates = Estimates(None, 8)
    estimates.measured(MODEL, [(1, 1.0), (4, 4.0)])
    assert not any(estimates.computed(MODEL, 1, 3.0) for _ in range(LEAST - 1))
    assert estimates.computed(MODEL, 1, 3.0)
    assert seconds(estimates, 1) == pytest.approx(3.0)
    for _ in range(REMEMBERED):
        estimates.computed(MODEL, 2, 2.0)
    assert seconds(estimates, 1) == pytest.approx(1.0)
    assert not estimates.computed(MODEL, 1, 50.0)
    assert seconds(estimates, 1) == pytest.approx(1.0)


def test_loads_are_corrected_too() -> None:
    """Loads that take twice what was fitted double V, overhead included."""
    estimates = Estimates(None, 8)
    assert estimates.link == GUESSED_LINK
    estimates.loads([(1000, 1.0), (2000, 1.5), (3000, 2.0)])
    assert estimates.link.seconds(2000) == pytest.approx(1.5)
    for _ in range(LEAST):
        estimates.loaded(2000, 3.0)
    assert estimates.link.seconds(2000) == pytest.approx(3.0)
    assert estimates.link.seconds(1e-9) == pytest.approx(1.0)


def test_what_adapters_add_to_a_batch_is_learned() -> None:
    """Nothing before the first mixed batch; then its excess over one model's batch, for each
    adapter, averaged, never below 0; less after a batch that was not mixed for it."""
    estimates, model = Estimates(None, 32), StoredModel("a", (), None, None, 0)
    estimates.measured(model, [(1, 1.1), (11, 2.1)])  # beta 1 s, mu 0.1 s
    estimates.not_mixed(model)
    assert estimates.mixed_s(model, 4, 2) == pytest.approx(1.4)
    estimates.mixed(model, 4, 2, 2.4)  # 1 s more: 0.5 s an adapter
    assert estimates.mixed_s(model, 4, 2) == pytest.approx(2.4)
    assert estimates.mixed_s(model, 10, 4) == pytest.approx(2 + 4 * 0.5)
    estimates.mixed(model, 4, 2, 3.4)  # 1 s an adapter
    each = 0.5 + SMOOTHING * 0.5
    assert estimates.mixed_s(model, 4, 2) == pytest.approx(1.4 + 2 * each)
    estimates.not_mixed(model)
    assert estimates.mixed_s(model, 4, 2) == pytest.approx(1.4 + 2 * FORGETTING * each)
    for _ in range(3):
        estimates.mixed(model, 10, 1, 0.0)  # 2 s less, a fifth of it each time
    assert estimates.mixed_s(model, 4, 2) == pytest.approx(1.4)


def test_what_was_slow_is_doubted() -> None:
    """For a request that fits what was measured at first, that is expected again, of loads too; not
    for one that would not, nor twice within a second; two slow batches are believed again."""
    estimates = Estimates(None, 8)
    estimates.measured(MODEL, [(1, 1.0), (4, 4.0)])
    load_s = GUESSED_LINK.seconds(1000)
    for _ in range(REMEMBERED):
        estimates.computed(MODEL, 1, 1000.0)
        estimates.loaded(1000, 3 * load_s)
    assert seconds(estimates, 1) == pytest.approx(HIGHEST)
    assert not estimates.doubt(MODEL, 1000, 1, 1.0, 10.0)
    assert estimates.doubt(MODEL, 0, 1, 1.0, 10.0)
    assert seconds(estimates, 1) == pytest.approx(1.0)
    assert estimates.link.seconds(1000) == pytest.approx(3 * load_s)
    assert [estimates.computed(MODEL, 1, 3.0) for _ in range(2)] == [False, True]
    assert seconds(estimates, 1) == pytest.approx(3.0)
    assert not estimates.doubt(MODEL, 1000, 1, 2.0, 10.0 + 0.9 * DOUBT_S)
    assert estimates.doubt(MODEL, 1000, 1, 2.0, 10.0 + 1.1 * DOUBT_S)
    assert seconds(estimates, 1) == pytest.approx(1.0)
    assert estimates.link.seconds(1000) == pytest.approx(load_s)


def test_one_forward_is_not_believed_for_ever() -> None:
    """The second forward replaces the first, which may have compiled something; where a single one
    says that there is no time, it is forgotten, for any request that is not late yet."""
    estimates = Estimates(None, 8)
    estimates.computed(MODEL, 1, 9.0)
    assert estimates.computed(MODEL, 1, 2.0)
    assert seconds(estimates, 1) == pytest.approx(2.0)
    assert not estimates.computed(MODEL, 1, 1.0)
    assert not estimates.doubt(MODEL, 0, 1, -0.1, 0.0)
    assert estimates.doubt(MODEL, 0, 1, 0.1, 0.0)
    assert seconds(estimates, 1) == 0.0
    assert estimates.computed(MODEL, 1, 0.1)
    assert seconds(estimates, 1) == pytest.approx(0.1)
