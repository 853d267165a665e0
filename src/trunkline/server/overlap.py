"""Whether loading beside computing gains anything on this machine. [derived]

Beside a batch, a load takes s times as long as alone, and the batch takes c times as long as alone.
While both run they do 1/s + 1/c seconds of work in a second: 2 where they share nothing (an
accelerator computes), about 1 where both wait for the same memory or processors. Loading ahead
costs memory for two models, and bytes that are loaded for batches which are chosen otherwise after
all, so it has to gain `WORTH`. s and c are medians of what the last loads and batches took; since
none run beside each other while it is off, it is tried now and then.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from statistics import median
from typing import Final

from trunkline.server.work import LoadAhead

WORTH: Final = 1.25
"""Seconds of work in a second, both together, from which on it is done."""

KEPT: Final = 16
LEAST: Final = 4
"""So many of a kind are needed before they say anything."""

FIRST_TRIALS, LATER_TRIALS = 8, 64
"""One batch of so many is a trial, before and after the gain is known."""

ALONE: Final = 0.1
BESIDE: Final = 0.5
"""A share of its time beside the other, from which on, or up to which, it counts as that."""


class Work(Enum):
    """What may run beside the other."""

    LOAD = 0
    BATCH = 1

    @property
    def other(self) -> Work:
        """The other."""
        return Work(1 - self.value)


class Overlap:
    """Learns from every load and batch; not for several threads at once.

    Args:
        mode: "always" and "never" are not changed by what is measured.
        at_first: what "auto" does before anything is known.
    """

    def __init__(self, mode: LoadAhead = "auto", at_first: bool = True) -> None:
        self._mode = mode
        self._wanted = at_first
        self._batches = 0
        self._since: dict[Work, float] = {}
        self._beside_s: dict[Work, float] = {}
        self._alone = {work: deque[float](maxlen=KEPT) for work in Work}
        self._slower = {work: deque[float](maxlen=KEPT) for work in Work}

    @property
    def gain(self) -> float | None:
        """1/s + 1/c; None as long as too little was measured."""
        if any(len(ratios) < LEAST for ratios in self._slower.values()):
            return None
        return sum(1 / median(ratios) for ratios in self._slower.values())

    def next_batch(self) -> bool:
        """Whether to load beside the batch that begins now."""
        if self._mode != "auto":
            return self._mode == "always"
        gain = self.gain
        if gain is not None:
            self._wanted = gain >= WORTH
        self._batches += 1
        trial = self._batches % (FIRST_TRIALS if gain is None else LATER_TRIALS) == 0
        return self._wanted or trial

    def begin(self, work: Work, now_s: float) -> None:
        """A load or a batch begins."""
        self._since[work] = now_s
        self._beside_s[work] = 0.0

    def end(self, work: Work, now_s: float, expected_s: float | None) -> None:
        """It ends.

        Args:
            expected_s: how long the profile says that it takes, always by the same profile; None
                if it says nothing of it, or the work was not done.
        """
        began_s = self._since.pop(work, now_s)
        beside_s = self._beside_s.pop(work, 0.0)
        other_s = self._since.get(work.other)
        if other_s is not None:
            both_s = max(0.0, now_s - max(began_s, other_s))
            beside_s += both_s
            self._beside_s[work.other] += both_s
        if expected_s and now_s > began_s:
            self._learn(work, now_s - began_s, beside_s, expected_s)

    def _learn(self, work: Work, took_s: float, beside_s: float, expected_s: float) -> None:
        if beside_s <= ALONE * took_s:
            self._alone[work].append(took_s / expected_s)
        elif beside_s >= BESIDE * took_s and len(self._alone[work]) >= LEAST:
            left_s = median(self._alone[work]) * expected_s - (took_s - beside_s)
            slower = beside_s / left_s if left_s > 0 else float("inf")
            self._slower[work].append(max(1.0, min(slower, 100.0)))
