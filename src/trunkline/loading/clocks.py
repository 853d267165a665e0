"""When the stages are free: all that the next batch needs to know of time.

Three clocks say from when on the next batch may upload, load and compute. Where batches run one
after the other the three are one. A batch moves them as early as can be (`step`), and since that is
a matter of sums and maxima, "this batch and all after it are in time" is the same as "no clock
before it is later than ..." (`latest`): a change of one batch is judged by three comparisons.
"""

from __future__ import annotations

import math
from typing import Protocol

Clocks = tuple[float, float, float]
"""The earliest moments [s] at which the next batch may upload, load and compute."""

START: Clocks = (0.0, 0.0, 0.0)
NEVER: Clocks = (-math.inf, -math.inf, -math.inf)
ANY_TIME: Clocks = (math.inf, math.inf, math.inf)


class Stages(Protocol):
    """How batches follow each other."""

    def step(
        self,
        clocks: Clocks,
        arrival_s: float,
        upload_s: float,
        load_s: float,
        compute_s: float,
        waits: bool = False,
    ) -> Clocks:
        """The clocks after a batch; the last of them is its end.

        Args:
            arrival_s: when the last of its tasks arrives.
            upload_s, load_s, compute_s: how long its steps take.
            waits: whether its load waits until the batch before it has ended.
        """

    def latest(
        self,
        after: Clocks,
        due_s: float,
        arrival_s: float,
        upload_s: float,
        load_s: float,
        compute_s: float,
        waits: bool = False,
    ) -> Clocks:
        """The latest clocks before a batch that end it by `due_s` and leave it no later than
        `after`; `NEVER` where its tasks arrive too late for that."""


class OneByOne:
    """Each batch uploads, loads and computes, then the next begins."""

    def step(
        self,
        clocks: Clocks,
        arrival_s: float,
        upload_s: float,
        load_s: float,
        compute_s: float,
        waits: bool = False,
    ) -> Clocks:
        """See `Stages`."""
        clock = clocks[2]
        end_s = (clock if clock > arrival_s else arrival_s) + upload_s + load_s + compute_s
        return end_s, end_s, end_s

    def latest(
        self,
        after: Clocks,
        due_s: float,
        arrival_s: float,
        upload_s: float,
        load_s: float,
        compute_s: float,
        waits: bool = False,
    ) -> Clocks:
        """See `Stages`."""
        begin_s = min(due_s, after[2]) - upload_s - load_s - compute_s
        return NEVER if arrival_s > begin_s else (begin_s, begin_s, begin_s)
