"""Links: seconds to move bytes, and fits from measurements."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.links import Link, Stage, fit_line


def test_stages_add_up():
    """V is the sum over stages of overhead and bytes over rate."""
    link = Link((Stage(100.0, 0.5), Stage(50.0)))
    assert link.seconds(200) == pytest.approx(0.5 + 200 / 100 + 200 / 50)


def test_nothing_to_move_takes_no_time():
    """V(0) = 0, whatever the overhead."""
    assert Link((Stage(1.0, 9.0),)).seconds(0) == 0


def test_no_stage_takes_no_time():
    """A link without stages moves anything at once."""
    assert Link().seconds(1e9) == 0


def test_a_stage_that_moves_nothing_never_ends():
    """A rate of 0 takes infinitely long."""
    assert math.isinf(Link((Stage(0.0),)).seconds(1))


@pytest.mark.parametrize("link", [Link(), Link((Stage(2.0, 3.0),)), Link((Stage(0.0),))])
def test_an_array_of_sizes_takes_the_seconds_of_each(link):
    """`seconds_each` is `seconds` of every size, 0 among them."""
    sizes = np.array([[0.0, 1.0], [5.0, 1e9]])
    assert link.seconds_each(sizes).tolist() == [[link.seconds(x) for x in row] for row in sizes]


@given(st.floats(0, 1), st.floats(1e-9, 1e-6))
def test_fit_recovers_an_exact_line(intercept, slope):
    """Points on a line with a, b >= 0 give that line back."""
    x = np.array([1e5, 1e6, 5e6, 2e7, 1e8])
    fit = fit_line(x, intercept + slope * x)
    assert fit.median_relative_error < 1e-6
    assert fit.seconds(3e6) == pytest.approx(intercept + slope * 3e6, rel=1e-5)


def test_fit_never_goes_negative():
    """Where the best line has a negative overhead, the best line through 0 is taken."""
    fit = fit_line([1, 2, 3], [0.5, 2.0, 3.5])  # the straight line through them starts at -1
    assert fit.intercept_s == 0
    # least relative squares through 0: b = sum(u) / sum(u^2), u = x / t = 2, 1, 6/7
    assert fit.slope_s == pytest.approx((2 + 1 + 6 / 7) / (4 + 1 + 36 / 49))


def test_fit_of_falling_times_is_flat():
    """Times that fall with size are fitted by a constant, not by a negative rate."""
    fit = fit_line([1, 2, 3], [3.0, 2.0, 1.0])
    assert fit.slope_s == 0
    assert 1 <= fit.intercept_s <= 3


@pytest.mark.parametrize(("x", "seconds"), [([], []), ([1, 2], [1]), ([1], [0]), ([1], [-1])])
def test_fit_refuses_what_is_no_measurement(x, seconds):
    """No points, unequal lengths, or times that are not positive are errors."""
    with pytest.raises(ValueError, match=r"measured times|equally many"):
        fit_line(x, seconds)
