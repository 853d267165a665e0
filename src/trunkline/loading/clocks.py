"""When the stages are free: all that the next batch needs to know of time.

Three clocks say from when on the next batch may upload, load and compute. Where batches run one
after the other the three are one; where they overlap, a load is also held back until the batch
before the last has ended, since one batch is loaded ahead at most. A batch moves the clocks as
early as can be (`step`), and since that is a matter of sums and maxima, "this batch and all after
it are in time" is the same as "no clock before it is later than ..." (`latest`): a change of one
batch is judged by three comparisons.
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

    def starts(
        self,
        clocks: Clocks,
        arrival_s: float,
        upload_s: float,
        load_s: float,
        waits: bool = False,
    ) -> tuple[float, float, float]:
        """When a batch starts to upload, to load and to compute."""


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

    def starts(
        self,
        clocks: Clocks,
        arrival_s: float,
        upload_s: float,
        load_s: float,
        waits: bool = False,
    ) -> tuple[float, float, float]:
        """See `Stages`."""
        start_s = max(clocks[2], arrival_s)
        return start_s, start_s + upload_s, start_s + upload_s + load_s


class Overlapping:
    """A flow of three stages: each takes the batches in order, one at a time."""

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
        upload, load, compute = clocks
        uploaded = (upload if upload > arrival_s else arrival_s) + upload_s
        loaded = (uploaded if uploaded > load else load) + load_s
        if waits and compute + load_s > loaded:
            loaded = compute + load_s
        if loaded < compute:
            return uploaded, compute, compute + compute_s
        return uploaded, loaded, loaded + compute_s

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
        computes = min(min(due_s, after[2]) - compute_s, after[1])
        loads = computes - load_s
        uploads = min(loads, after[0]) - upload_s
        if arrival_s > uploads:
            return NEVER
        return uploads, loads, loads if waits else computes

    def starts(
        self,
        clocks: Clocks,
        arrival_s: float,
        upload_s: float,
        load_s: float,
        waits: bool = False,
    ) -> tuple[float, float, float]:
        """See `Stages`."""
        upload, load, compute = clocks
        start_s = max(upload, arrival_s)
        load_start_s = max(start_s + upload_s, load, compute if waits else 0.0)
        return start_s, load_start_s, max(load_start_s + load_s, compute)


def stages_of(overlap: bool) -> Stages:
    """How the batches of a problem follow each other."""
    return Overlapping() if overlap else OneByOne()
