"""Factories for tests of a server as a process: models that are slow, that misbehave, or large."""

from __future__ import annotations

import time
from typing import NoReturn

import torch
from torch import nn


class Sleeper(nn.Linear):
    """A layer that takes its time, whatever else the machine does."""

    def __init__(self, seconds: float) -> None:
        super().__init__(4, 4)
        self.seconds = seconds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)
        return super().forward(x)


def sleeper(seconds: float) -> nn.Module:
    """One such layer."""
    return Sleeper(seconds)


RAISES, SPINS, SLEEPS, NAN = -1.0, -2.0, -3.0, -4.0


class Obedient(nn.Linear):
    """A layer that does what the first number says: raises, hangs, or returns NaN."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        told = float(x[0, 0])
        if told == RAISES:
            raise ZeroDivisionError("as it was told")
        if told == SPINS:
            _spin()
        if told == SLEEPS:
            time.sleep(600)
        return super().forward(x) * (torch.nan if told == NAN else 1)


def _spin() -> NoReturn:
    while True:
        sum(range(1000))


def obedient() -> nn.Module:
    """One such layer."""
    return Obedient(4, 4)


def stack(width: int, layers: int) -> nn.Module:
    """Layers of the same size, (n, width) -> (n, width)."""
    return nn.Sequential(*(nn.Linear(width, width) for _ in range(layers)))
