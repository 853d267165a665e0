"""The M/G/1 wait."""

from __future__ import annotations

import math

import pytest

from trunkline.pulling.queueing import Queue


def test_the_wait_by_hand():
    """Pollaczek and Khinchine's formula gives the value worked out by hand."""
    # .3 (0 + 1/.36) / (2 (1 - .3/.6)) = .3 * 2.7778 / 1 = 0.8333
    assert Queue(0.3, 0.6).wait_s == pytest.approx(0.8333, abs=5e-5)


def test_an_exponential_service_is_the_mm1_queue():
    """With sigma = 1/mu the wait is rho / (mu - lambda), that of M/M/1."""
    assert Queue(0.3, 0.6, 1 / 0.6).wait_s == pytest.approx(0.5 / 0.3)


@pytest.mark.parametrize("arrival_per_s", [0.6, 0.7])
def test_an_overloaded_queue_has_no_end(arrival_per_s):
    """At lambda >= mu the wait is infinite."""
    assert Queue(arrival_per_s, 0.6).wait_s == math.inf


def test_nobody_waits_where_nobody_arrives():
    """Without arrivals the wait is 0, even at a server that serves nobody."""
    assert Queue(0.0, 0.0).wait_s == 0.0


def test_a_server_that_hardly_serves_has_an_infinite_wait():
    """Rates next to 0 overflow to an infinite wait, not to an error."""
    assert Queue(1e-320, 1e-310).wait_s == math.inf
