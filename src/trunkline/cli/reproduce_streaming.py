"""`trunkline reproduce streaming`: how many users overlap serves, where, and what sharing adds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.cli.output import console, plain_table, say, seconds
from trunkline.errors import InputError

if TYPE_CHECKING:
    from trunkline.experiments.streaming.results import Line
    from trunkline.experiments.streaming.sweeps import Sweep

RUNS = 200
QUICK_RUNS = 10


def reproduce_streaming(
    folder: Path, names: str | None, runs: int | None, *, quick: bool, jobs: int, seed: int
) -> None:
    """Run the sweeps, write their tables and the picture, and print what they come to."""
    from trunkline.cli.progress import progress_bar
    from trunkline.cli.reproduce import chosen
    from trunkline.experiments.streaming.results import ALL, compute, write

    sweeps = chosen(names, ALL)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from None
    count = runs or (QUICK_RUNS if quick else RUNS)
    started = time.perf_counter()
    with progress_bar("realisations", bytes_are_counted=False) as tell:
        lines = compute(sweeps, count, seed=seed, jobs=jobs, tell=tell)
    out = console()
    took = seconds(time.perf_counter() - started)
    say(out, f"{len(lines)} values in each of {count:,} realisations, in {took}")
    for path in write(folder, lines):
        say(out, f"    {path}")
    _print_gains(lines)
    _print_claims(lines)


def _print_gains(lines: Sequence[Line]) -> None:
    """Served users of every sweep's first scheme beside download-first, with rho and both gains."""
    table = plain_table(
        "users served, 95 % intervals; gain: served / served by download-first",
        *("sweep", "x", "overlap", "download first", "rho", "gain", "1/(1-rho)"),
        left=("sweep",),
    )
    for line in lines:
        if line.scheme != line.sweep.schemes[0]:
            continue
        base = next(
            one
            for one in lines
            if (one.sweep, one.x, one.scheme) == (line.sweep, line.x, "download-first")
        )
        table.add_row(
            *(line.sweep.name, f"{line.x:g}"),
            f"{line.served.mean:.2f} ± {line.served.half:.2f}",
            f"{base.served.mean:.2f} ± {base.served.half:.2f}",
            f"{line.rho:.3f}",
            f"{line.gain.mean:.3f} ± {line.gain.half:.3f}",
            "" if line.predicted_gain is None else f"{line.predicted_gain:.3f}",
        )
    console().print(table)


def _print_claims(lines: Sequence[Line]) -> None:
    """The abstract's claims beside what is found here."""
    out = console()
    mine = [line for line in lines if line.scheme == "optimal" and _is_plain(line.sweep)]
    if mine:
        least = min(mine, key=lambda line: line.gain.mean)
        most = max(mine, key=lambda line: line.gain.mean)
        say(
            out,
            "the abstract: 'significantly improves task throughput'. Here, over downloading first "
            f"with its own best plan: times {least.gain.mean:.3g} (rho {least.rho:.2g}) to "
            f"{most.gain.mean:.3g} (rho {most.rho:.2g})",
        )
    say(
        out,
        "the abstract: 'optimal resource allocation with polynomial complexity'. Here: optimal for "
        "static shares, by closed form, hull and sorting (python -m benchmarks streaming)",
    )
    say(
        out,
        "not known to us: the paper's set-up and its numbers, as only its abstract was available; "
        "the setting is our own (trunkline.experiments.streaming.scenario)",
    )


def _is_plain(sweep: Sweep) -> bool:
    """Whether a sweep is about overlap alone, not about what sharing adds."""
    return sweep.name not in ("holding", "multicast", "transfers")
