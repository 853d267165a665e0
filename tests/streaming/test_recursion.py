"""When layers end: by hand, and the closed form against the recursion."""

from __future__ import annotations

import numpy as np
import pytest

from tests.streaming.problems import one_user
from trunkline.streaming import solve
from trunkline.streaming.recursion import (
    available,
    cumulative_bits,
    finish,
    last_of_transfer,
    layer_finishes,
)


@pytest.mark.parametrize(
    ("arrived", "seconds", "ends", "download_first"),
    [
        # F = (1+2, max(3, 3)+1); all there at 3, then 2 + 1.
        ([1, 3], [2, 1], [3, 4], 6),
        # 2 s a layer to send, 1 s to compute: each ends 1 s after it arrives; 6 + 3.
        ([2, 4, 6], [1, 1, 1], [3, 5, 7], 9),
    ],
)
def test_hand_cases(arrived, seconds, ends, download_first):
    """The recursion and the closed form give the ends worked out by hand."""
    ready, took = np.array([arrived], float), np.array([seconds], float)
    start = np.zeros(1)
    assert layer_finishes(ready, took, start).tolist() == [ends]
    assert finish(ready, took, start).tolist() == [ends[-1]]
    last = np.broadcast_to(ready[:, -1:], ready.shape)
    assert finish(last, took, start).tolist() == [download_first]


def test_recursion_is_the_closed_form_and_within_its_bounds():
    """F_L = max(F_0 + A_1, max(D_l + A_l)), and F <= DAI <= 2 F where computing may begin at 0."""
    rng = np.random.default_rng(1)
    for layers in (1, 2, 7):
        ready = np.cumsum(rng.exponential(1.0, (200, layers)), axis=1)
        took = rng.exponential(rng.choice([0.1, 1.0, 10.0], (200, 1)), (200, layers))
        start = rng.choice([0.0, 2.0], 200)
        closed = finish(ready, took, start)
        np.testing.assert_allclose(layer_finishes(ready, took, start)[:, -1], closed, rtol=1e-12)
        streamed = finish(ready, took, np.zeros(200))
        whole = finish(np.repeat(ready[:, -1:], layers, 1), took, np.zeros(200))
        assert (streamed <= whole * (1 + 1e-12)).all()
        assert (whole <= 2 * streamed * (1 + 1e-12)).all()


def test_copying_follows_its_recursion():
    """a_l = max(a_{l-1}, D_l) + H_l, layer by layer."""
    rng = np.random.default_rng(2)
    arrived = np.cumsum(rng.exponential(1.0, (100, 6)), axis=1)
    copy_s = rng.exponential(1.0, (100, 6)) * rng.integers(0, 2, (100, 6))
    ready = available(arrived, copy_s)
    start = np.zeros(100)
    took = np.ones((100, 6))
    slow = np.zeros(100)
    copied = np.zeros((100, 6))
    for layer in range(6):
        slow = np.maximum(slow, arrived[:, layer]) + copy_s[:, layer]
        copied[:, layer] = slow
    # Layers without copying may be listed as ready when they arrive; their ends are the same.
    ends = layer_finishes(ready, took, start)
    np.testing.assert_allclose(ends, layer_finishes(copied, took, start), rtol=1e-12)


def test_transfers_hold_as_many_layers_each():
    """Seven layers in 3 transfers: 3, 2 and 2; a layer waits for its transfer's last bit."""
    # floor(l * 3 / 7) for l = 0..6: 0 0 0 1 1 2 2
    layers = np.array([7, 2])
    assert last_of_transfer(layers, 7, 3).tolist() == [[2, 2, 2, 4, 4, 6, 6], [0, 1, 2, 3, 4, 5, 6]]
    bits = np.ones((2, 7))
    assert cumulative_bits(bits, layers, 3)[0].tolist() == [3, 3, 3, 5, 5, 7, 7]
    assert cumulative_bits(bits, layers, 7)[0].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_sending_layers_together_never_helps():
    """The more a number of transfers divides into, the less share is needed, and DAI needs most."""
    problem = one_user([1, 4, 2, 8, 1, 3], [0.5, 0.1, 0.9, 0.2, 0.4, 0.3], deadline_s=4.0)
    needed = [solve(problem, "transfers", transfers=count).users[0].share for count in (1, 2, 6)]
    assert needed == sorted(needed, reverse=True)
    assert needed[0] == solve(problem, "download-first").users[0].share
    assert needed[2] == solve(problem).users[0].share
