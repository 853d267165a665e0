"""A burst of requests in a cell: who asks for which model, over which radio link.

The setting is PartialLoading's Section VII: users uniform by area in a cell of 250 m, a transmit
power density of 5e-9 W/Hz, noise of -174 dBm/Hz, path loss exponent 4, Rayleigh fading, 200 MHz of
bandwidth, every model equally likely to be asked for. All requests are there at time 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trunkline.errors import InputError
from trunkline.loading import Task
from trunkline.radio import (
    dbm_per_hz,
    distances_in_cell,
    path_snr,
    rayleigh_power,
    spectral_efficiency,
)

RANGES = {
    "radius_m": (1.0, 1e9),
    "power_w_per_hz": (0.0, 1e6),
    "noise_dbm_per_hz": (-1000.0, 1000.0),
    "path_loss_exponent": (0.0, 10.0),
    "bandwidth_hz": (0.0, 1e18),
}
"""What the numbers of a cell may be."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The radio setting; the defaults are those of PartialLoading, Section VII.

    Attributes:
        radius_m: users are within this distance of the server.
        power_w_per_hz: P, spectral density of a user's transmit power.
        noise_dbm_per_hz: N0, spectral density of the noise.
        path_loss_exponent: alpha.
        bandwidth_hz: B, what the users of a batch divide among them.

    Raises:
        InputError: a value that is not finite, or out of all physical proportion.
    """

    radius_m: float = 250.0
    power_w_per_hz: float = 5e-9
    noise_dbm_per_hz: float = -174.0
    path_loss_exponent: float = 4.0
    bandwidth_hz: float = 200e6

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise InputError(
                    f"{name}: a number of at least {least:g} and at most {most:g}, got {value:g}"
                )

    def links(self, distance_m: NDArray[np.float64], fading: NDArray[np.float64]) -> list[float]:
        """R = log2(1 + P h d^-alpha / N0) at each distance d under fading h, in bit/s/Hz."""
        snr = path_snr(
            distance_m,
            power_w_per_hz=self.power_w_per_hz,
            noise_w_per_hz=dbm_per_hz(self.noise_dbm_per_hz),
            path_loss_exponent=self.path_loss_exponent,
            fading=fading,
        )
        return [float(value) for value in spectral_efficiency(snr)]

    def draw_links(self, users: int, rng: np.random.Generator) -> list[float]:
        """The links of `users` users drawn at random."""
        distances = distances_in_cell(users, self.radius_m, rng)
        return self.links(distances, rayleigh_power(users, rng))


SECTION_VII = Cell()
"""The cell of the paper's simulations."""


def draw_burst(
    upload_bits: Mapping[str, float], count: int, *, cell: Cell = SECTION_VII, seed: int = 0
) -> tuple[Task, ...]:
    """Draw `count` tasks, each for one of the models of `upload_bits`, all equally likely.

    Args:
        upload_bits: size in bits of what a user of each model uploads, by model id.
        count: how many tasks; each has its own user.
        cell: the radio setting.
        seed: the same seed gives the same burst, whatever the order of the models.

    Raises:
        ValueError: there are tasks to be drawn but no model.
    """
    names = sorted(upload_bits)
    if count and not names:
        raise ValueError(f"{count} tasks but no model that they could ask for")
    radio, demand = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    links = cell.draw_links(count, radio)
    asked = [names[int(i)] for i in demand.integers(len(names), size=count)] if count else []
    return tuple(
        Task(f"u{number:03d}", model, upload_bits[model], link)
        for number, (model, link) in enumerate(zip(asked, links, strict=True), start=1)
    )
