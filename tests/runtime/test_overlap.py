"""The report of an overlapped forward, against the recursion."""

from __future__ import annotations

import pytest

from trunkline.runtime.overlap import LayerRun, Overlap


def layer(arrived: float, asked: float, started: float, ended: float, sent: int = 1) -> LayerRun:
    """A layer whose tensors could be used as soon as they were there."""
    return LayerRun("l", ("d",), 1, sent, arrived, arrived, asked, started, ended)


def test_prediction_is_the_recursion() -> None:
    """D = (1, 3), T = (2, 1): F = (3, 4), one second of waiting for the first, none after it; to
    download first takes 6 (specification, hand case)."""
    run = Overlap((layer(1, 0, 1, 3), layer(3, 3, 3, 4)), 0.0, 4.0)
    assert run.predicted_s == pytest.approx(4.0)
    assert run.predicted_wait_s == pytest.approx(1.0)
    assert run.waited_s == pytest.approx(1.0)
    assert run.download_first_s == pytest.approx(6.0)
    assert run.compute_s == pytest.approx(3.0)


def test_a_late_start_counts() -> None:
    """Where the forward begins at 5, with everything there, nothing waits: 5 + 2 + 1 = 8."""
    run = Overlap((layer(1, 5, 5, 7), layer(3, 7, 7, 8)), 5.0, 8.0)
    assert run.predicted_s == pytest.approx(8.0)
    assert run.predicted_wait_s == pytest.approx(0.0)
    assert run.download_first_s == pytest.approx(8.0)


def test_order_of_arrival_is_told() -> None:
    """Of D = (2, 1, 3) one layer came before one used earlier; a block that was held counts not."""
    layers = (layer(2, 0, 2, 3), layer(1, 3, 3, 4), layer(3, 4, 4, 5))
    assert Overlap(layers, 0.0, 5.0).out_of_order == 1
    held = (layer(2, 0, 2, 3), layer(1, 3, 3, 4, sent=0), layer(3, 4, 4, 5))
    assert Overlap(held, 0.0, 5.0).out_of_order == 0
    late = (layer(2, 0, 2, 3, sent=0), layer(1, 3, 3, 4), layer(3, 4, 4, 5))
    assert Overlap(late, 0.0, 5.0).out_of_order == 0


def test_a_forward_without_weights() -> None:
    """No layers: the prediction is what was measured."""
    run = Overlap((), 1.0, 2.0)
    assert (run.predicted_s, run.last_byte_s, run.waited_s) == (2.0, 0.0, 0.0)
    assert run.to_dict()["layers"] == []
