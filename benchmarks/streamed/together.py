"""Eight devices at once: those that the plan serves, and those that are in time.

Each wants its network by a deadline of its own; together they want more than the link. They ask one
after the other, as soon as the one before was answered, the least share first: then the server,
which plans as they come, can serve those that the planner serves when asked of all eight at once.
A device that is refused (503, with the reason) streams all the same, at once and without a promise,
so it gets what the shares leave. It is late or not by the deadline that it asked for.

Each device tells the server the layer times of a device that was alone, and a deadline that is
`MARGIN_S` sooner than its own: eight forwards, eight receivers and the server share the processors.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.measure import Verdict, table, verdict
from benchmarks.streamed.networks import NAMES
from benchmarks.streamed.reckoning import Report, median_computing
from benchmarks.streamed.running import Worker, devices, serving
from trunkline.device.server import USE_S
from trunkline.server.streams.dividing import Demand, shares
from trunkline.server.streams.offering import Offer
from trunkline.store import Store

LINK_MBIT = 100.0
DEADLINES_S = (6.4, 6.0, 5.6, 5.2, 4.8, 4.4, 4.0, 3.6)
"""Eleven MB each at 12.5 MB/s: about five devices fill the link."""
MARGIN_S = 0.1
WORDS = {True: "in time", False: "late"}


@dataclass
class Asking:
    """A device, what it wants, and what came of it."""

    network: str
    deadline_s: float
    compute_s: list[float]  # by block, in the manifest's order
    share: float
    planned: bool
    admitted: bool = False
    reason: str = ""
    early_s: float = 0.0
    began_s: float = 0.0
    again_s: float = 0.0


def all_at_once(
    store: Store, folder: Path, runs: Mapping[str, Sequence[Report]], rounds: int
) -> list[Verdict]:
    """Some rounds of eight devices; `runs` say what computing takes."""
    wrong, refused = 0, 0
    with (
        serving(store, LINK_MBIT) as url,
        devices(folder, len(DEADLINES_S)) as workers,
    ):
        wanted = _asking(store, runs)
        for worker, one in zip(workers, wanted, strict=True):
            worker.begin(url, one.network)  # builds its module
        for worker in workers:
            worker.answer()
        for turn in range(rounds):
            asking = [replace(one) for one in wanted]
            _round(url, workers, asking)
            wrong += sum((one.early_s >= 0) != one.admitted for one in asking)
            wrong += sum(one.planned != one.admitted for one in asking)
            refused += sum(not one.admitted for one in asking)
            _print(turn, asking)
    print()
    return [
        verdict("eight devices: in time and not served, or the reverse", wrong, 0),
        verdict("eight devices: refused, so that this says something", refused, 1, at_least=True),
    ]


def _asking(store: Store, runs: Mapping[str, Sequence[Report]]) -> list[Asking]:
    """The eight, the least share first, and whom the planner serves if it is asked of all."""
    link, demands, found = LINK_MBIT / 8e-6, {}, {}
    for i, deadline_s in enumerate(DEADLINES_S):
        name = NAMES[i % len(NAMES)]
        blocks = Offer(store).layout(store.model(name), ()).blocks
        compute = _by_block(runs[name], [one.block.digest for one in blocks])
        ends = [0, *(one.end for one in blocks)]
        counts = tuple(after - before for before, after in pairwise(ends))
        seconds = tuple(compute[one.block.digest] for one in blocks)
        demand = Demand(counts, seconds, deadline_s - MARGIN_S, delay_s=USE_S)
        share = shares(link, {name: demand}).get(name, math.inf)
        demands[str(i)] = demand
        told = [compute[block.digest] for block in store.model(name).blocks]
        found[str(i)] = Asking(name, deadline_s, told, share, planned=False)
    for i in shares(link, demands):
        found[i].planned = True
    return sorted(found.values(), key=lambda one: one.share)


def _by_block(reports: Sequence[Report], order: Sequence[str]) -> dict[str, float]:
    """Median layer times by digest, each at the last block, as they are sent, of its layer."""
    compute = median_computing(reports)
    at = {digest: i for i, digest in enumerate(order)}
    found = dict.fromkeys(order, 0.0)
    for layer in reports[0]["layers"]:
        found[max(layer["digests"], key=at.__getitem__)] += compute[layer["name"]]
    return found


def _round(url: str, workers: Sequence[Worker], asking: Sequence[Asking]) -> None:
    for worker, one in zip(workers, asking, strict=True):
        one.began_s = one.again_s = time.perf_counter()
        told: dict[str, Any] = {
            "deadline_s": one.deadline_s - MARGIN_S,
            "compute_s": one.compute_s,
            "tell": True,
        }
        worker.begin(url, one.network, **told)
        said = worker.answer()
        one.admitted = "refused" not in said
        if one.admitted:
            continue
        if said["status"] != 503:
            raise RuntimeError(said["refused"])
        one.reason = said["refused"].partition("status 503, ")[2]
        one.again_s = time.perf_counter()
        worker.begin(url, one.network)
    for worker, one in zip(workers, asking, strict=True):
        ended_s = one.again_s - one.began_s + worker.answer()["end_to_end_s"]
        one.early_s = one.deadline_s - ended_s


def _print(turn: int, asking: Sequence[Asking]) -> None:
    rows = [
        (
            one.network,
            f"{one.deadline_s:.1f}",
            f"{one.share:.3f}",
            "yes" if one.planned else "no",
            "admitted" if one.admitted else "refused",
            WORDS[one.early_s >= 0],
            f"{one.early_s:+.2f}",
        )
        for one in asking
    ]
    header = ("network", "deadline s", "least share", "in the plan", "server", "", "s before it")
    if not turn:
        reasons = dict.fromkeys(one.reason for one in asking if one.reason)
        print(f"eight devices at once, {LINK_MBIT:g} Mbit/s; refused: {'; '.join(reasons)}\n")
        print(table(header, rows), flush=True)
        return
    early = ", ".join(f"{one.early_s:+.2f}" for one in asking)
    same = "the same admitted" if all(o.planned == o.admitted for o in asking) else "others"
    print(f"again: {same}; s before the deadline: {early}", flush=True)
