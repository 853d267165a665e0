"""Runs beside the recursion, and beside downloading first: networks by rates."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measure import Verdict, table, verdict
from benchmarks.namespaces import (
    SERVER_HOST,
    Namespaces,
    NamespacesMissing,
    namespaces,
)
from benchmarks.streamed.networks import NAMES
from benchmarks.streamed.reckoning import Report, computing, end_by_rate, rate, saving
from benchmarks.streamed.running import Worker, devices, serving
from trunkline.store import Store

Pair = tuple[Report, Report]
"""A run that overlaps, and one that downloads first."""


def compare(
    store: Store, worker: Worker, rates: Sequence[float], repeats: int
) -> tuple[list[Verdict], dict[tuple[str, float], list[Report]]]:
    """All networks at all rates of `serve --link`; prints rows as they come."""
    print("over `serve --link`", flush=True)
    rows, runs, worst = [], {}, dict.fromkeys(("arrivals", "rate", "still", "saving"), 0.0)
    for mbit in rates:
        with serving(store, mbit) as url:
            for name in NAMES:
                worker.run(url, name)  # builds its module
                pairs = [pair(worker, url, name) for _ in range(repeats)]
                runs[name, mbit] = [one for one, _ in pairs]
                row, off = _row(name, mbit, pairs)
                _show(rows, row)
                worst = {key: max(worst[key], off[key]) for key in worst}
    print()
    return [
        *_verdicts("", worst),
        verdict("saving beside its prediction, points", 100 * worst["saving"], 3),
    ], runs


def between_namespaces(
    store: Store, folder: Path, rates: Sequence[float], repeats: int
) -> list[Verdict]:
    """The same without downloading first, over a link that the kernel shapes."""
    try:
        with namespaces() as both:
            worst = _shaped(store, folder, both, rates, repeats)
    except NamespacesMissing as error:
        print(f"not measured between network namespaces: {error}\n", flush=True)
        return []
    print()
    return _verdicts("between namespaces: ", worst)


def pair(worker: Worker, url: str, name: str) -> Pair:
    """Both ways, one after the other."""
    return worker.run(url, name), worker.run(url, name, download_first=True)


def _shaped(
    store: Store, folder: Path, both: Namespaces, rates: Sequence[float], repeats: int
) -> dict[str, float]:
    print("between two network namespaces, shaped by tc", flush=True)
    rows: list[list[str]] = []
    worst = dict.fromkeys(("arrivals", "rate", "still"), 0.0)
    with (
        serving(store, None, SERVER_HOST, both.inside_server()) as url,
        devices(folder, namespace=both.client) as (worker,),
    ):
        for name in NAMES:
            worker.run(url, name)
        for mbit in rates:
            both.shape(mbit)
            for name in NAMES:
                pairs = [(one, one) for one in (worker.run(url, name) for _ in range(repeats))]
                row, off = _row(name, mbit, pairs)
                _show(rows, row[: len(HEADER) - 3])
                worst = {key: max(worst[key], off[key]) for key in worst}
    return worst


HEADER = (
    *("network", "Mbit/s", "MB", "MB/s", "end s", "off", "(by rate)", "still s", "off", "rho"),
    *("T/alone", "saving", "predicted"),
)


def _show(rows: list[list[str]], row: list[str]) -> None:
    """Print the row that is new, below a header if it is the first."""
    rows.append(row)
    lines = table(HEADER[: len(row)], [[f"{'':10}", *row[1:]], row]).splitlines()
    print("\n".join([*lines[:2], lines[3]] if len(rows) == 1 else lines[3:]), flush=True)


def _row(name: str, mbit: float, pairs: Sequence[Pair]) -> tuple[list[str], dict[str, float]]:
    """A row of the table, and the distances that have targets; medians."""
    runs = [one for one, _ in pairs]

    def median(of: Callable[[Report], float]) -> float:
        return statistics.median(map(of, runs))

    end_s = median(lambda one: one["end_to_end_s"])
    still_s = median(lambda one: one["waited_s"])
    compute_s = median(lambda one: one["compute_s"])
    off = {
        "arrivals": median(lambda one: abs(one["end_to_end_s"] / one["predicted_s"] - 1)),
        "rate": median(lambda one: abs(one["end_to_end_s"] / end_by_rate(one) - 1)),
        "still": median(_still_off),
    }
    saved = statistics.median(1 - one["end_to_end_s"] / two["end_to_end_s"] for one, two in pairs)
    predicted = statistics.median(saving(one, computing(two)) for one, two in pairs)
    alone_s = statistics.median(two["compute_s"] for _, two in pairs)
    row = [name, f"{mbit:g}", f"{runs[0]['bytes'] / 1e6:.1f}", f"{median(rate) / 1e6:.2f}"]
    row += [f"{end_s:.3f}", f"{off['arrivals']:.2%}", f"{off['rate']:.2%}"]
    row += [f"{still_s:.3f}", f"{off['still']:.2%}", f"{compute_s / end_s:.2f}"]
    row += [f"{compute_s / alone_s:.2f}", f"{saved:.1%}", f"{predicted:.1%}"]
    return row, {**off, "saving": abs(saved - predicted)}


def _still_off(report: Report) -> float:
    """How far standing still is from the recursion's waiting."""
    waiting = max(report["predicted_wait_s"], 0.1 * report["end_to_end_s"])
    return float(abs(report["waited_s"] - report["predicted_wait_s"]) / waiting)


def _verdicts(where: str, worst: dict[str, float]) -> list[Verdict]:
    return [
        verdict(f"{where}ends beside the recursion, %", 100 * worst["arrivals"], 5),
        verdict(f"{where}the same, fed with one rate, %", 100 * worst["rate"], 5),
        verdict(f"{where}standing still beside its waiting, %", 100 * worst["still"], 5),
    ]
