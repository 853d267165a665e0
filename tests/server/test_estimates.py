"""What forwards are expected to take."""

from __future__ import annotations

import pytest

from trunkline.server.estimates import FORGETTING, SMOOTHING, Estimates
from trunkline.store import StoredModel


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
