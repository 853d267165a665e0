"""Time in slots, as the paper's algorithms count it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from trunkline.errors import InputError, UnsupportedProblemError

ROUNDING = 1e-9
"""A time this close above a whole number of slots takes that number (float rounding)."""

MAX_SLOTS = 100_000
"""The slotted algorithms' time and memory grow with the square of the slots; more are refused."""


def slots_in(seconds: float, slot_s: float) -> int:
    """T: how many whole slots fit into a time.

    Raises:
        InputError: `slot_s` is not a positive time.
        UnsupportedProblemError: more than `MAX_SLOTS` slots.
    """
    if not 0 < slot_s < math.inf:
        raise InputError(f"slot_s: a slot takes a positive time, got {slot_s:g} s")
    if seconds / slot_s > MAX_SLOTS:
        raise UnsupportedProblemError(
            f"{seconds:g} s have over {MAX_SLOTS} slots of {slot_s:g} s; choose a longer slot_s"
        )
    return math.floor(seconds / slot_s + ROUNDING)


def slots_of(seconds: NDArray[np.float64], slot_s: float) -> NDArray[np.float64]:
    """How many slots each time takes, rounded up to whole ones."""
    slots: NDArray[np.float64] = np.ceil(seconds / slot_s - ROUNDING)
    return slots
