"""Radio: spectral efficiency of users in a cell."""

from __future__ import annotations

import numpy as np
import pytest

from trunkline import radio


def test_spectral_efficiency_by_hand():
    """log2(1 + snr): 0 at 0, 1 at 1, 2 at 3."""
    assert radio.spectral_efficiency([0, 1, 3]).tolist() == [0, 1, 2]


def test_noise_density_in_watts():
    """-174 dBm/Hz is 10^(-20.4) W/Hz, the thermal noise at room temperature."""
    assert radio.dbm_per_hz(-174) == pytest.approx(10**-20.4)


def test_path_loss_by_hand():
    """At twice the distance, with exponent 4, the ratio is a sixteenth."""
    near, far = radio.path_snr(
        [10, 20], power_w_per_hz=1e-9, noise_w_per_hz=1e-15, path_loss_exponent=4
    )
    assert near == pytest.approx(1e-9 * 1e-4 / 1e-15)
    assert far == pytest.approx(near / 16)


def test_users_are_uniform_by_area():
    """Half the users of a disc stand beyond radius / sqrt(2), and none beyond the radius."""
    found = radio.distances_in_cell(20_000, 250.0, np.random.default_rng(0))
    # standard deviation of the share: sqrt(.25 / 20000) = .0035
    assert np.mean(found > 250 / np.sqrt(2)) == pytest.approx(0.5, abs=0.02)
    assert found.max() <= 250
    assert found.min() >= 1


def test_rayleigh_power_has_mean_one():
    """h ~ Exp(1): mean 1 (standard error .007 at 20,000 draws)."""
    assert radio.rayleigh_power(20_000, np.random.default_rng(0)).mean() == pytest.approx(
        1, abs=0.05
    )


def test_the_same_seed_gives_the_same_draws():
    """Randomness comes from the generator alone."""
    draws = [radio.distances_in_cell(5, 100.0, np.random.default_rng(3)).tolist() for _ in "ab"]
    assert draws[0] == draws[1]
