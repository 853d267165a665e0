"""`trunkline reproduce pulling`: Common Knowledge's kind of evaluation, on EUA."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from trunkline.cli.output import as_is, console, plain_table, print_json, seconds
from trunkline.cli.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.experiments.pulling.comparison import Row
    from trunkline.experiments.pulling.figures import Sweep
    from trunkline.experiments.pulling.preset import Preset
    from trunkline.experiments.pulling.scenes import Recorded
    from trunkline.experiments.pulling.table import Results


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    directory: Path
    figures: str | None
    runs: int
    quick: bool
    preset: Path | None
    jobs: int
    seed: int
    demand: Path | None
    popularity: Path | None


def reproduce_pulling(asked: Asked, *, print_preset: bool, print_scenario: bool) -> None:
    """Sweep, and write figures, tables and the comparison; or print the preset or a scenario."""
    from trunkline.cli.reproduce import chosen, resumable
    from trunkline.experiments.pulling.figures import SWEEPS
    from trunkline.experiments.pulling.preset import PRESET_FILE, load_preset, quick

    if print_preset:
        typer.echo(PRESET_FILE.read_text(encoding="utf-8"), nl=False)
        return
    preset = load_preset(asked.preset or PRESET_FILE)
    preset = quick(preset) if asked.quick else preset
    recorded = _recorded(asked, preset)
    if print_scenario:
        _print_scenario(preset, asked.seed, recorded)
        return
    sweeps = chosen(asked.figures, SWEEPS)
    with resumable(asked.directory):
        _make(asked, preset, sweeps, recorded)


def _recorded(asked: Asked, preset: Preset) -> Recorded:
    """What the traces that were named say."""
    from trunkline.experiments.pulling.demand import read_tokens
    from trunkline.experiments.pulling.gentd26 import read_variants, shares
    from trunkline.experiments.pulling.scenes import Recorded

    tokens = () if asked.demand is None else read_tokens(asked.demand)
    if asked.popularity is None:
        return Recorded(tokens)
    return Recorded(tokens, shares(read_variants(asked.popularity), preset.tasks))


def _print_scenario(preset: Preset, seed: int, recorded: Recorded) -> None:
    from trunkline.experiments.pulling.scenes import Realisation
    from trunkline.pulling.scenario_document import scenario_to_document

    scenario = Realisation(preset, 0, seed, recorded).scenario(preset.point)
    print_json(scenario_to_document(scenario))


def _make(asked: Asked, preset: Preset, sweeps: Sequence[Sweep], recorded: Recorded) -> None:
    from trunkline.experiments.pulling.comparison import comparison, write_comparison
    from trunkline.experiments.pulling.figures import write_sidecar

    started = time.perf_counter()
    results = _simulate(asked, preset, sweeps, recorded)
    out = console()
    took = seconds(time.perf_counter() - started)
    plans = f"{len(results.table.cells):,} plans in each of {asked.runs:,} realisations"
    as_is(out, f"preset {preset.name!r}: {plans}, in {took}")
    for sweep in sweeps:
        for path in sweep.write(preset, results, asked.directory):
            as_is(out, f"    {path}")
    points = [point for sweep in sweeps for point in sweep.points(preset)]
    rows = comparison(results, preset.point, points)
    _print_comparison(rows)
    as_is(out, f"table: {write_comparison(asked.directory, rows)}")
    traces = [path.name for path in (asked.demand, asked.popularity) if path is not None]
    sidecar = write_sidecar(asked.directory, preset, asked.runs, asked.seed, traces)
    as_is(out, f"setting: {sidecar}")


def _simulate(asked: Asked, preset: Preset, sweeps: Sequence[Sweep], recorded: Recorded) -> Results:
    """The values of all sweeps, and of the default point."""
    from trunkline.experiments.pulling.table import Cell, Results, Table
    from trunkline.experiments.pulling.ways import WAYS
    from trunkline.experiments.sweep import sweep_values

    points = [preset.point, *(point for sweep in sweeps for point in sweep.points(preset))]
    table = Table(preset, (Cell(point, way) for point in points for way in WAYS), recorded)
    with progress_bar("realisations", bytes_are_counted=False) as tell:
        values = sweep_values(
            table,
            asked.runs,
            asked.directory / "parts",
            seed=asked.seed,
            jobs=asked.jobs,
            part_runs=1,
            tell=tell,
        )
    return Results(table, values)


def _print_comparison(rows: Sequence[Row]) -> None:
    """A line for every pair: the change at the default point, and its range over the sweeps."""
    from trunkline.experiments.pulling.comparison import PAPER

    table = plain_table(
        "change against each baseline [%]: at the default point, and worst to best in the sweeps",
        *("ours", "baseline", "total delay", "average cost", "average accuracy"),
        left=("ours", "baseline"),
    )
    said = (f"{'at least ' if paper < 0 else ''}{paper:+g}" for _, paper in PAPER)
    table.add_row("the paper's abstract", "(none is named)", *said)
    for n in range(0, len(rows), len(PAPER)):
        pair = rows[n].pair
        found = (
            f"{row.here.mean:+.1f} +- {row.here.half:.1f} ({row.worst:+.0f} to {row.best:+.0f})"
            for row in rows[n : n + len(PAPER)]
        )
        table.add_row(pair.ours.name, pair.baseline.name, *found)
    console().print(table)
