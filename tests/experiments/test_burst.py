"""Bursts of requests."""

import math

import numpy as np
import pytest

from trunkline.errors import InputError
from trunkline.experiments.burst import RANGES, Cell, draw_burst


def test_the_same_seed_gives_the_same_burst_whatever_the_order_of_the_models():
    """A burst depends on its seed and the set of models alone."""
    sizes = {"a": 8.0, "b": 16.0, "c": 24.0}
    backwards = dict(reversed(sizes.items()))
    assert draw_burst(sizes, 50, seed=3) == draw_burst(backwards, 50, seed=3)
    assert draw_burst(sizes, 50, seed=3) != draw_burst(sizes, 50, seed=4)


def test_models_are_equally_likely_and_tasks_upload_their_models_inputs():
    """Each of 3 models gets a third of 3,000 tasks, within 4 standard deviations."""
    sizes = {"a": 8.0, "b": 16.0, "c": 24.0}
    tasks = draw_burst(sizes, 3000)
    # binomial(3000, 1/3): mean 1000, standard deviation sqrt(3000 * 2/9) = 25.8
    for name in sizes:
        assert abs(sum(t.model == name for t in tasks) - 1000) < 104
    assert all(t.upload_bits == sizes[t.model] for t in tasks)
    assert len({t.id for t in tasks}) == 3000


def test_links_follow_the_papers_radio_model():
    """Without fading and at the cell's edge R is log2(1 + P d^-4 / N0); users are nearer, so the
    median with fading lies above."""
    # N0 = 10^((-174 - 30)/10) = 3.981e-21 W/Hz; 5e-9 / 250^4 / 3.981e-21 = 321.5
    edge = math.log2(1 + 321.5)
    links = np.array(Cell().draw_links(4000, np.random.default_rng(0)))
    assert (links > 0).all()
    # median distance 250/sqrt(2): the path gains 6.0 dB * 4/2... = 4x power (2 bits), the median of
    # Exp(1) is ln 2 (-0.53 bits): about edge + 1.5
    assert np.median(links) == pytest.approx(edge + 1.5, abs=0.3)


@pytest.mark.parametrize("name", sorted(RANGES))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, -1e308])
def test_a_cell_out_of_all_proportion_is_refused(name, value):
    """What is not finite or beyond its range is named; the ends of a range give finite links."""
    with pytest.raises(InputError, match=f"{name}: a number of at least"):
        Cell(**{name: value})
    for end in RANGES[name]:
        links = Cell(**{name: end}).draw_links(50, np.random.default_rng(0))
        assert all(0 <= link < 1e4 for link in links)


def test_no_tasks_and_no_models():
    """An empty burst is a burst; tasks without models are an error."""
    assert draw_burst({}, 0) == ()
    with pytest.raises(ValueError, match="no model"):
        draw_burst({}, 1)
