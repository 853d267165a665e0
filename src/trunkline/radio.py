"""Spectral efficiency of users in a cell.

PartialLoading, Section III-D: the expected rate of user k per hertz is
`R_k = log2(1 + P_k d_k^-alpha / N0)` bit/s/Hz, with P_k the transmit power density [W/Hz], d_k the
distance [m], alpha the path loss exponent and N0 the noise density [W/Hz]. Its Section VII adds
Rayleigh fading: the received power is multiplied by h ~ Exp(1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def dbm_per_hz(level_dbm: float) -> float:
    """A power density given in dBm/Hz, in W/Hz: `10^((level - 30)/10)`."""
    return float(10.0 ** ((level_dbm - 30.0) / 10.0))


def spectral_efficiency(snr: ArrayLike) -> NDArray[np.float64]:
    """`log2(1 + snr)` in bit/s/Hz; `snr` is a power ratio (not dB), any shape."""
    return np.log2(1.0 + np.asarray(snr, dtype=float))


def path_snr(
    distance_m: ArrayLike,
    *,
    power_w_per_hz: float,
    noise_w_per_hz: float,
    path_loss_exponent: float,
    fading: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """Signal-to-noise ratio `h P d^-alpha / N0` (equation (6), with fading h), same shape as d."""
    distance = np.asarray(distance_m, dtype=float)
    gain = np.asarray(fading, dtype=float) * distance ** (-path_loss_exponent)
    return gain * power_w_per_hz / noise_w_per_hz


def distances_in_cell(
    users: int, radius_m: float, rng: np.random.Generator, *, least_m: float = 1.0
) -> NDArray[np.float64]:
    """Distances [m] of users placed uniformly by area in a disc, none nearer than `least_m`."""
    return np.maximum(radius_m * np.sqrt(rng.random(users)), least_m)


def rayleigh_power(users: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Power gains of Rayleigh fading, h ~ Exp(1), one a user."""
    return rng.exponential(1.0, users)
