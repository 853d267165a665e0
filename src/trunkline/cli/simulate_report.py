"""What `trunkline simulate` tells: a table for each rate, a file of figures, a picture."""

from __future__ import annotations

import csv
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trunkline.cli.output import console, plain_table, say, seconds, shown, size
from trunkline.experiments.simulation import LRU, QUANTILES
from trunkline.units import count, decimals, unit_of_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from trunkline.experiments.simulation import Outcome


def tell(outcomes: Sequence[Outcome]) -> None:
    """A table for each rate, and what the columns mean."""
    out = console()
    for _, group in groupby(outcomes, key=lambda one: one.requests_per_s):
        _tell_rate(out, list(group))
    say(
        out,
        "waits: of those answered in time, half of them, 95 and 99 %; moved: bytes loaded; of all: "
        "their share of the whole models of all batches; choice: what one took at the median here"
        + ("; *: models loaded whole" if any(_is_whole(one) for one in outcomes) else ""),
    )


def _tell_rate(out: Console, outcomes: Sequence[Outcome]) -> None:
    received = outcomes[0].replay.received
    longest = max((one.replay.wait_s(1.0) for one in outcomes if one.replay.served), default=0.0)
    unit, scale = unit_of_time(longest)
    table = plain_table(
        f"{count(received, 'request')}, {outcomes[0].requests_per_s:.4g} a second",
        *("policy", "in time", "refused", "late", f"waits {unit}", "moved", "of all", "choice"),
        left=("policy",),
    )
    for one in outcomes:
        table.add_row(*_cells(one, scale, decimals(longest / scale)))
    out.print(table)
    bound = outcomes[0].bound
    if bound is not None and received:
        share = f"{bound / received:.1%} of all"
        say(out, f"no policy answers more than {bound:,} in time, {share} (a clairvoyant's bound)")


def _cells(one: Outcome, scale: float, digits: int) -> Iterator[str]:
    found = one.replay
    yield shown(f"{one.way} *" if _is_whole(one) else one.way)
    yield f"{found.goodput:.1%}"
    yield f"{found.refused:,}"
    yield f"{found.late:,}"
    waits = [f"{found.wait_s(q) / scale:.{digits}f}" for q in QUANTILES]
    yield "/".join(waits) if found.served else "-"
    yield size(found.bytes_moved)
    yield f"{found.bytes_moved / found.bytes_asked:.0%}" if found.bytes_asked else "-"
    took = one.to_dict()["decision_s"]
    yield seconds(took) if took else "-"


def _is_whole(one: Outcome) -> bool:
    """Whether models were loaded whole where the policy's name does not say so."""
    return not one.partial and one.way != LRU


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The figures of all outcomes as a table (InputError if it cannot be written)."""
    from trunkline.files import replacing

    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def draw(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Goodput against the rate (InputError if it cannot be written)."""
    from trunkline.experiments.figures.sweeps import COLOURS
    from trunkline.pictures.curves import Chart, Curve, draw_curves

    ways = list(dict.fromkeys(one.way for one in outcomes))
    curves = []
    for way, colour in zip(ways, COLOURS, strict=False):
        points = sorted((o.requests_per_s, o.replay.goodput) for o in outcomes if o.way == way)
        rates, goodputs = [x for x, _ in points], [100 * y for _, y in points]
        curves.append(Curve(way, rates, goodputs, [0.0] * len(rates), colour))
    bounds = {
        one.requests_per_s: 100 * one.bound / one.replay.received
        for one in outcomes
        if one.bound is not None and one.replay.received
    }
    if bounds:
        at = sorted(bounds)
        flat = [0.0] * len(at)
        curves.append(Curve("bound", at, [bounds[x] for x in at], flat, "#000000", dashed=True))
    lowest = min((y for curve in curves for y in curve.y), default=0.0)
    limits = max(0.0, min(lowest - 5, 90.0)), 102.0  # nothing is above 100 %
    chart = Chart("answered in time", "requests/s", curves, y_limits=limits)
    draw_curves(path, [[chart]], "goodput [%]")
