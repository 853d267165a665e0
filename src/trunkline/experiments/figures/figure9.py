"""Fig. 9: served ratio and running time beside an exhaustive search, in a small setting."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from trunkline.experiments.cells import Cell, Estimate, Results, Scene, estimate
from trunkline.experiments.figures.base import Claim, Job, Made, write_csv
from trunkline.experiments.figures.sweeps import COLOURS, UPLOADS, Number, Reported, proven
from trunkline.experiments.lines import (
    READINGS,
    Line,
    Reading,
    best,
    corrected,
    gen,
    optimal,
    spec,
)
from trunkline.experiments.orders import ExhaustiveOrders
from trunkline.experiments.preset import Preset
from trunkline.experiments.scenario import Sharing
from trunkline.loading.service import Upload
from trunkline.pictures.bars import BarChart, draw_bars

PANELS: tuple[tuple[str, Sharing], ...] = (("a", "bottom"), ("b", "general"))

HEADER = (
    "figure", "sharing", "algorithm", "upload", "clock", "realisations", "served_ratio",
    "half_width_95", "median_ms",
)  # fmt: skip


def small_scene(preset: Preset, sharing: Sharing) -> Scene:
    """The small setting of the figure."""
    small = preset.small
    point = msgspec.structs.replace(preset.point, tasks=small.tasks, deadline_s=small.deadline_s)
    return Scene(preset, sharing, small.models, point)


def _small_scenes(preset: Preset, sharing: Sharing) -> tuple[Scene, ...]:
    return (small_scene(preset, sharing),)


def exhaustive(reading: Reading) -> Line:
    """The exhaustive search over orders of models (`orders`)."""
    return Line("exhaustive", *reading, ExhaustiveOrders())


def lines(upload: Upload, sharing: Sharing) -> tuple[Line, ...]:
    """The lines of a panel: slots, then continuous time."""
    slotted = (spec(upload), corrected(upload)) if sharing == "bottom" else ()
    return (
        *slotted,
        gen((upload, "slots")),
        exhaustive((upload, "slots")),
        optimal(upload),
        gen((upload, "continuous")),
        exhaustive((upload, "continuous")),
    )


REPORTED: tuple[tuple[Sharing, Reported], ...] = (
    ("bottom", Reported("a", "exhaustive - Spec", 0.0, exhaustive, best)),
    ("bottom", Reported("a", "exhaustive - Gen", 3.7, exhaustive, gen)),
    ("general", Reported("b", "exhaustive - Gen", 4.3, exhaustive, gen)),
)

TIMES = (
    ("a", "Spec's time", "ms", 5.6, best, None),
    ("a", "exhaustive / Spec's", "times", 3681.0, best, exhaustive),
    ("a", "exhaustive / Gen's", "times", 3749.0, gen, exhaustive),
    ("b", "Gen's time", "ms", 12.5, gen, None),
    ("b", "exhaustive / Gen's", "times", 2478.0, gen, exhaustive),
)
"""Reported times: panel, text, unit, the paper's number, whose time, over which it divides."""


class Figure9:
    """The figure, and the measured times beside the reported ones."""

    name = "9"
    title = "an exhaustive search in a small setting"
    needs: tuple[str, ...] = ()

    def cells(self, preset: Preset) -> Iterator[Cell]:
        """Every line of both panels."""
        return (cell for _, cell in _cells(preset))

    def numbers(self, preset: Preset) -> list[Number]:
        """The served ratios that the paper reports about it."""
        return [
            Number(f"9({one.letter})", one, partial(_small_scenes, sharing=sharing))
            for sharing, one in REPORTED
        ]

    def make(self, job: Job, results: Results) -> Made:
        """Write `figure-9.csv` and `figure-9.png`."""
        stem = job.folder / "figure-9"
        return Made(
            files=(
                write_csv(stem.with_suffix(".csv"), HEADER, list(_rows(job.preset, results))),
                draw_bars(
                    stem.with_suffix(".png"),
                    [_charts(job.preset, results, letter, sharing) for letter, sharing in PANELS],
                ),
            ),
            claims=[
                *(one.claim(job.preset, results) for one in self.numbers(job.preset)),
                *_times(job.preset, results),
            ],
            proven=proven(self.cells(job.preset), results),
        )


def _cells(preset: Preset) -> Iterator[tuple[str, Cell]]:
    for letter, sharing in PANELS:
        for upload, _ in UPLOADS:
            for line in lines(upload, sharing):
                yield letter, Cell(small_scene(preset, sharing), line)


def _rows(preset: Preset, results: Results) -> Iterator[tuple[object, ...]]:
    for letter, cell in _cells(preset):
        found = estimate(results.ratios(cell))
        yield (
            f"9({letter})",
            cell.scene.sharing,
            cell.line.name,
            cell.line.upload,
            cell.line.clock,
            results.runs,
            found.mean,
            found.half,
            1e3 * results.median_s(cell),
        )


def _charts(preset: Preset, results: Results, letter: str, sharing: Sharing) -> list[BarChart]:
    """The served ratio and the time of every line, as printed and in continuous time."""
    scene = small_scene(preset, sharing)
    shown = [Cell(scene, line) for line in lines("max", sharing)]
    names = [f"{cell.line.name}, {cell.line.clock}" for cell in shown]
    found = [estimate(results.ratios(cell)) for cell in shown]
    ratio = {("served ratio", COLOURS[0]): [one.mean for one in found]}
    times = {("time", COLOURS[2]): [1e3 * results.median_s(cell) for cell in shown]}
    halves = [one.half for one in found]
    return [
        BarChart(f"({letter}) {sharing}", "served ratio", names, ratio, halves),
        BarChart(f"({letter}) {sharing}", "planning, median [ms]", names, times, None, True),
    ]


def _times(preset: Preset, results: Results) -> Iterator[Claim]:
    """The reported times beside the medians of ours."""
    scenes = {letter: small_scene(preset, sharing) for letter, sharing in PANELS}
    for letter, text, unit, paper, role, over in TIMES:
        times = {}
        for reading in READINGS:
            own_s = results.median_s(Cell(scenes[letter], role(reading)))
            value = 1e3 * own_s
            if over is not None:
                value = results.median_s(Cell(scenes[letter], over(reading))) / own_s
            times[reading] = Estimate(value, float("nan"))
        yield Claim(f"9({letter})", text, unit, paper, times)


FIGURE_9 = Figure9()
