"""What a server measures before it takes requests, unless a profile says it: a few loads, and a few
forwards of every architecture."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Final

import torch

from trunkline.errors import InputError, TrunklineError
from trunkline.runtime import Runtime
from trunkline.runtime.inputs import generated, infer
from trunkline.server.estimates import Estimates
from trunkline.store import StoredModel

log = logging.getLogger(__name__)

SIZES: Final = (1, 4, 1, 4, 1)
"""Batch sizes that are run, after a first one that is not counted."""


def warm_up(
    runtime: Runtime, models: Iterable[StoredModel], estimates: Estimates, limit_s: float
) -> dict[str, str]:
    """Run one model of every architecture and input that no profile knows.

    Args:
        limit_s: no other architecture is begun after so long; what is left is learned later.

    Returns:
        Models that cannot be loaded, and why.
    """
    ends = time.monotonic() + limit_s
    failed: dict[str, str] = {}
    loads: list[tuple[int, float]] = []
    for stored in models:
        if stored.input is None or estimates.is_known(stored) or time.monotonic() > ends:
            continue
        try:
            runtime.verify(stored.name)
            switch = runtime.switch(stored.name)
            runtime.synchronize()
            loads.append((switch.bytes_moved, switch.seconds))
            samples = [generated(stored.input, seed) for seed in range(max(SIZES))]
            infer(runtime, stored.name, samples[0][None])
            times = []
            for batch in SIZES:
                began = time.perf_counter()
                infer(runtime, stored.name, torch.stack(samples[:batch]))
                times.append((batch, time.perf_counter() - began))
            estimates.measured(stored, times)
        except InputError as error:  # a made-up input may be none that it takes
            log.warning("not measured: %s", error)
        except TrunklineError as error:
            failed[stored.name] = str(error)
    if estimates.profiled:  # it says what loads take
        return failed
    # The first loads found nothing in memory and perhaps nothing in the page cache: once more.
    able = [one for one in models if estimates.is_known(one) and one.name not in failed]
    for stored in able[:16]:
        if time.monotonic() > ends:
            break
        runtime.clear()
        try:
            runtime.verify(stored.name)
            switch = runtime.switch(stored.name)
            runtime.synchronize()
        except TrunklineError as error:
            failed[stored.name] = str(error)
            continue
        loads.append((switch.bytes_moved, switch.seconds))
    estimates.loads(loads[len(loads) // 2 :] if len(loads) > 8 else loads)
    return failed
