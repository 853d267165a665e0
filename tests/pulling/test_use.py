"""What a plan asks of each site."""

from __future__ import annotations

import trunkline
from trunkline.pulling import Option, PullingProblem, Request, Site
from trunkline.pulling.use import site_uses


def test_pulled_and_saved_bytes_by_hand():
    """Two models of one trunk of 8 bytes, one of them asked for twice, with 1 byte resident: 8 + 2
    are pulled where the models apart would pull 8 and 8 + 2."""
    one = Option("c1", "m1", ("trunk", "a"), 0.0, 1.0)
    two = Option("c1", "m2", ("trunk", "b"), 0.0, 2.0)
    problem = PullingProblem(
        {"trunk": 8.0, "a": 1.0, "b": 2.0},
        (Site("c0", 0.0, 0.0), Site("c1", 99.0, 99.0, frozenset({"a"}))),
        (Request("r1", 9.0, (one,)), Request("r2", 9.0, (two,)), Request("r3", 9.0, (one,))),
    )
    idle, busy = site_uses(problem, trunkline.plan(problem, "optimal"))
    assert (idle.requests, idle.blocks, idle.pulled_bytes) == ((), (), 0.0)
    assert (busy.requests, busy.models) == (("r1", "r2", "r3"), ("m1", "m2"))
    assert busy.blocks == ("b", "trunk")
    assert (busy.pulled_bytes, busy.apart_bytes, busy.saved_bytes) == (10.0, 18.0, 8.0)
    assert busy.compute == 4.0
