"""Streaming for real: models over a shaped link, beside the recursion and beside downloading first.

    python -m benchmarks.streaming_real [--quick] [--parts loopback namespaces ...]

The device is a process of its own that computes on one thread, into an empty store each time; the
server is `trunkline serve`. Three small networks with random weights, three rates. Every output is
compared, bit by bit, with that of the model loaded whole.

loopback: over `serve --link RATE`, the device in turn as it does and with `download_first`. Medians
of: the end; how far it is from the recursion fed with the run's own arrivals and layer times, and
"by rate" fed with one rate instead of the arrivals, the measured one; how long the device stood
still, and how far that is from the recursion's waiting (or from a tenth of the end, where it waits
less); rho, the share of the end that is computing; T/alone, what computing took there beside what
it took when everything was there; what overlapping saves of downloading first, measured (between
the two) and predicted (from the arrivals and from the layer times of the run that downloaded first,
which are what a planner could know).

namespaces: two network namespaces, and the kernel's token bucket between them (`tc`, as root, Linux
only); the server knows of no rate. Left out, and told, where that cannot be done.

deadlines: a link of 1.05 and of 0.95 times the least rate for a deadline,

    r_min = max_l C_l / (deadline - t0 - A_l),

with C_l the bytes up to layer l, A_l the computing from it on, and t0 the time to the first byte,
as runs near that rate measured them (derived, see docs/streaming.md).

together: eight devices at once over one link, with deadlines that only some can meet; the server
says who is served, and the others stream all the same (`benchmarks/streamed/together.py`).

Targets: ends within 5 % of the recursion; standing still within 5 % of its waiting; the saving
within 3 points of the prediction; at least 19 of 20 runs in time with 1.05, and late with 0.95; of
eight devices those in time that the plan serves, and no other.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import torch

from benchmarks.measure import Verdict
from benchmarks.streamed.comparing import between_namespaces, compare
from benchmarks.streamed.deadlines import meet_deadlines
from benchmarks.streamed.networks import NAMES, make
from benchmarks.streamed.running import devices
from benchmarks.streamed.together import all_at_once

PARTS = ("loopback", "namespaces", "deadlines", "together")
RATES_MBIT = (20, 60, 200)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.streaming_real",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="two rates, few runs; no targets hold")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--deadline-runs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3, help="of eight devices")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repeats, arguments.deadline_runs, arguments.rounds = 1, 2, 1
    rates = RATES_MBIT[1:] if arguments.quick else RATES_MBIT
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and clean up
    with tempfile.TemporaryDirectory() as folder:
        verdicts = stream(Path(folder), arguments, rates)
    print(*verdicts, sep="\n")
    return 0


def stream(folder: Path, arguments: argparse.Namespace, rates: Sequence[int]) -> list[Verdict]:
    """The parts over a link."""
    parts: Collection[str] = arguments.parts
    store, verdicts, fastest = make(folder), [], rates[-1]
    with devices(folder) as (worker,):
        only = () if "loopback" in parts else (fastest,)  # the other parts need its layer times
        if {"loopback", "deadlines", "together"} & set(parts):
            found, runs = compare(store, worker, only or rates, arguments.repeats)
            verdicts += [] if only else found
        if "deadlines" in parts:
            before = runs[NAMES[0], fastest]
            verdicts += meet_deadlines(store, worker, NAMES[0], before, arguments.deadline_runs)
    if "together" in parts:
        solo = {name: runs[name, fastest] for name in NAMES}
        verdicts += all_at_once(store, folder, solo, arguments.rounds)
    if "namespaces" in parts:
        few = max(1, arguments.repeats // 2)
        verdicts += between_namespaces(store, folder, rates, few)
    return verdicts


if __name__ == "__main__":
    sys.exit(main())
