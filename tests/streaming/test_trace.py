"""What happens to each layer, as pictures and tables show it."""

from __future__ import annotations

import pytest

from tests.streaming.problems import multicast_problem, one_user, random_problem
from trunkline.streaming import METHODS, solve
from trunkline.streaming.trace import trace


def test_a_plan_by_hand():
    """S = (8, 16, 16) Mbit at 26.7 Mbit/s, T = (.2, .3, .1) s: waits of .3, .4 and .3 s."""
    problem = one_user([8, 16, 16], [0.2, 0.3, 0.1], deadline_s=1.6)
    one = trace(problem, solve(problem))[0]
    assert [layer.sent_s for layer in one.layers] == [
        pytest.approx(pair) for pair in ((0.0, 0.3), (0.3, 0.9), (0.9, 1.5))
    ]
    assert [(layer.start_s, layer.end_s) for layer in one.layers] == [
        pytest.approx(pair) for pair in ((0.3, 0.5), (0.9, 1.2), (1.5, 1.6))
    ]
    assert one.waits == (
        pytest.approx((0.0, 0.3)), pytest.approx((0.5, 0.9)), pytest.approx((1.2, 1.5)),
    )  # fmt: skip
    assert one.compute_s == pytest.approx(0.6)
    assert one.download_first_s == pytest.approx(2.1)
    assert one.bits == 40e6


def test_a_layer_that_is_there_is_not_sent():
    """A cached layer has no download and no bits."""
    problem = one_user([8, 16], [0.2, 0.3], cached={"m": (True, False)})
    first, second = trace(problem, solve(problem))[0].layers
    assert (first.sent_s, first.bits, first.start_s) == (None, 0.0, 0.0)
    assert second.sent_s is not None


@pytest.mark.parametrize("method", [m for m in METHODS if m != "exhaustive"])
def test_traces_end_as_plans_say(method):
    """Every layer of every plan ends when the plan says, after it was ready."""
    for seed in range(5):
        problem = random_problem(seed, users=8, energy=True, copying=seed % 2 == 0)
        plan = solve(problem, method)
        for one in trace(problem, plan):
            ends = [layer.end_s for layer in one.layers]
            assert ends == pytest.approx(one.served.layer_finish_s)
            assert all(layer.start_s >= layer.ready_s for layer in one.layers)
            # The device computes, waits, or is done.
            idle = sum(end - start for start, end in one.waits)
            busy = one.user.ready_s + one.compute_s + idle
            assert busy == pytest.approx(ends[-1])


def test_traces_of_multicast_end_as_plans_say():
    """So do layers that come from a group's stream, and it is marked which do."""
    problem = multicast_problem(8, users=8)
    traces = trace(problem, solve(problem))
    for one in traces:
        assert [layer.end_s for layer in one.layers] == pytest.approx(one.served.layer_finish_s)
    assert any(layer.multicast for one in traces for layer in one.layers)
