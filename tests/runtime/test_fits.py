"""Lines through measurements."""

from __future__ import annotations

import pytest

from tests.runtime.test_profile import model
from trunkline.errors import ProfileError
from trunkline.runtime.fits import fit_computing, fit_loading, line_over_batches


def test_the_smallest_batch_is_left_out_where_it_is_off_theline_over_batches() -> None:
    """2, 4, 8 lie on 5 + 0.25 b and 1 does not: the line is theirs. Where all lie on one, all
    count; with three sizes none is left out."""
    off = line_over_batches({1: 3.0, 2: 5.5, 4: 6.0, 8: 7.0})
    assert (off.intercept_s, off.slope_s, off.points) == (pytest.approx(5), pytest.approx(0.25), 3)
    assert line_over_batches({1: 5.25, 2: 5.5, 4: 6.0, 8: 7.0}).points == 4
    assert line_over_batches({1: 3.0, 2: 5.5, 4: 6.0}).points == 3


def test_loads_of_one_size_give_a_rate() -> None:
    """Without different sizes there is no overhead to be told from the rate: 100 bytes in 2 s are
    50 bytes/s; loads of nothing don't count."""
    fit = fit_loading([(100, 2.0), (100, 2.0), (0, 1.0)])
    assert fit.link.seconds(100) == pytest.approx(2.0)
    assert fit.loads == 2
    with pytest.raises(ProfileError, match="no weights"):
        fit_loading([(0, 1.0)])


def test_a_batch_size_far_off_the_line_is_noted() -> None:
    """1, 2 and 3 tasks in 10, 20 and 30 ms lie on a line; 4 in 80 are twice what it says."""
    seconds = {1: [0.010, 0.010], 2: [0.020], 3: [0.030, 0.030]}
    peaks = {size: 100 * size for size in seconds}
    notes: list[str] = []
    fit = fit_computing("key", model(), seconds, peaks, notes)
    assert (fit.seconds_per_batch, fit.seconds_per_task) == pytest.approx((0.0, 0.010))
    assert (fit.bytes_per_batch, fit.bytes_per_task) == pytest.approx((0.0, 100.0))
    assert (fit.median_relative_error, notes) == (pytest.approx(0.0), [])
    assert (fit.label, fit.input, fit.weights) == ("a:b()", "3:float32", "F32")
    fit_computing("key", model(), {**seconds, 4: [0.080]}, {**peaks, 4: 400}, notes)
    assert any("a:b(): a batch of 4 takes 80 ms" in note for note in notes)
