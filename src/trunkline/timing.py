"""How long a method may plan."""

from __future__ import annotations

import math
import time

from trunkline.errors import InputError


class TimeLimit:
    """A limit on the seconds from now on; None is no limit.

    Raises:
        InputError: a limit that is negative or not a number.
    """

    def __init__(self, seconds: float | None) -> None:
        if seconds is not None and not seconds >= 0:
            raise InputError(f"time_limit_s: at least 0, got {seconds:g}")
        self._end = math.inf if seconds is None else time.perf_counter() + seconds

    @property
    def left_s(self) -> float:
        """Seconds that are left, at least 0; infinite without a limit."""
        return max(0.0, self._end - time.perf_counter())

    @property
    def is_up(self) -> bool:
        """Whether the limit has passed."""
        return time.perf_counter() >= self._end
