"""Figures of served ratios over a sweep: the common part of Figs. 6, 7 and 8."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, cycle
from operator import attrgetter

import msgspec
import numpy as np

from trunkline.experiments.cells import Cell, Estimate, Results, Scene, estimate
from trunkline.experiments.figures.base import Claim, Job, Made, write_csv
from trunkline.experiments.lines import (
    CORRECTED,
    GEN,
    INDEPENDENT,
    OPTIMAL,
    READINGS,
    SPEC,
    Line,
    Reading,
)
from trunkline.experiments.preset import Preset
from trunkline.experiments.scenario import Sharing
from trunkline.loading.service import Upload
from trunkline.pictures.curves import Chart, Curve, draw_curves

AXES = {
    "bandwidth_hz": ("B [MHz]", 1e-6),
    "tasks": ("K", 1.0),
    "deadline_s": ("deadline [ms]", 1e3),
    "share": ("theta [%]", 100.0),
}
"""The coordinates of a sweep: the name of the axis, and what a value is multiplied by."""

UPLOADS: tuple[tuple[Upload, str], ...] = (
    ("max", "upload as printed in (16), (23)"),
    ("sum", "upload as in (11)"),
)
"""The rows of charts of a figure."""

COLOURS = ("#1f77b4", "#e07b39", "#3a9d5d", "#d62728", "#9467bd", "#8c564b", "#7f7f7f")
"""Colours of lines, in the order in which their labels first come in a figure."""

COLOUR_OF = {
    SPEC: COLOURS[0],
    GEN: COLOURS[1],
    INDEPENDENT: COLOURS[2],
    CORRECTED: COLOURS[4],
    OPTIMAL: "#222222",
}
"""Colours of algorithms, in every figure."""

HEADER = (
    "figure", "sharing", "coordinate", "value", "algorithm", "upload", "clock", "realisations",
    "served_ratio", "half_width_95", "proven_share", "median_solve_ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Panel:
    """One letter of a figure.

    Attributes:
        letter: its name.
        sharing: the case.
        coordinate: what is swept.
        lines: its lines under a reading of the upload.
        label: what a line is called in the legend; lines of one label have one colour.
    """

    letter: str
    sharing: Sharing
    coordinate: str
    lines: Callable[[Upload, Preset], Sequence[Line]]
    label: Callable[[Line], str] = attrgetter("name")

    def scenes(self, preset: Preset) -> tuple[Scene, ...]:
        """The scenes along the sweep."""
        models: int = getattr(preset.models, self.sharing)
        return tuple(
            Scene(
                preset,
                self.sharing,
                models,
                msgspec.structs.replace(preset.point, **{self.coordinate: value}),
            )
            for value in getattr(preset.sweeps, self.coordinate)
        )


Role = Callable[[Reading], Line]
"""A line of the paper's under each reading, such as "Spec, whatever stands for it"."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A number of the paper's about one panel: of a line, or of what one line is above another.

    Attributes:
        letter: the panel.
        text: what it is.
        paper: in percent of the tasks.
        line: the line.
        above: the line that is subtracted, or None.
        last: only at the last value of the sweep; else the mean over the sweep.
    """

    letter: str
    text: str
    paper: float
    line: Role
    above: Role | None = None
    last: bool = False


@dataclass(frozen=True)
class SweepFigure:
    """A figure of curves: four panels, each under both readings of the upload.

    Attributes:
        number: in the paper.
        title: what it shows.
        panels: its letters.
        reported: the numbers that the paper gives about it, for a preset.
    """

    number: int
    title: str
    panels: tuple[Panel, ...]
    reported: Callable[[Preset], Sequence[Reported]]
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its number."""
        return str(self.number)

    def cells(self, preset: Preset) -> Iterator[Cell]:
        """Every line of every panel, along its sweep."""
        return (cell for _, cell in self._cells(preset))

    def make(self, job: Job, results: Results) -> Made:
        """Write `figure-N.csv` and `figure-N.png`."""
        stem = job.folder / f"figure-{self.number}"
        rows = list(self._rows(job.preset, results))
        return Made(
            files=(
                write_csv(stem.with_suffix(".csv"), HEADER, rows),
                draw_curves(
                    stem.with_suffix(".png"), self._charts(job.preset, results), "served ratio"
                ),
            ),
            claims=[one.claim(job.preset, results) for one in self.numbers(job.preset)],
            proven=proven(self.cells(job.preset), results),
        )

    def _cells(self, preset: Preset) -> Iterator[tuple[Panel, Cell]]:
        for panel in self.panels:
            for scene in panel.scenes(preset):
                lines = chain.from_iterable(panel.lines(upload, preset) for upload, _ in UPLOADS)
                for line in dict.fromkeys(lines):
                    yield panel, Cell(scene, line)

    def _rows(self, preset: Preset, results: Results) -> Iterator[tuple[object, ...]]:
        for panel, cell in self._cells(preset):
            found = estimate(results.ratios(cell))
            yield (
                f"{self.number}({panel.letter})",
                panel.sharing,
                panel.coordinate,
                getattr(cell.scene.point, panel.coordinate),
                cell.line.name,
                cell.line.upload,
                cell.line.clock,
                results.runs,
                found.mean,
                found.half,
                results.proven(cell),
                1e3 * results.median_s(cell),
            )

    def _charts(self, preset: Preset, results: Results) -> list[list[Chart]]:
        """A row of charts for each reading of the upload."""
        others = dict.fromkeys(
            label
            for panel, cell in self._cells(preset)
            if (label := panel.label(cell.line)) not in COLOUR_OF
        )
        colours = {**COLOUR_OF, **dict(zip(others, cycle(COLOURS), strict=False))}
        return [
            [self._chart(preset, results, panel, reading, colours) for panel in self.panels]
            for reading in UPLOADS
        ]

    def _chart(
        self,
        preset: Preset,
        results: Results,
        panel: Panel,
        reading: tuple[Upload, str],
        colours: Mapping[str, str],
    ) -> Chart:
        upload, said = reading
        label, scale = AXES[panel.coordinate]
        lines = panel.lines(upload, preset)
        ticks = [scale * value for value in getattr(preset.sweeps, panel.coordinate)]
        curves = []
        for line in lines:
            found = [estimate(results.ratios(Cell(s, line))) for s in panel.scenes(preset)]
            curves.append(
                Curve(
                    f"{panel.label(line)}, {line.clock}",
                    ticks,
                    [one.mean for one in found],
                    [one.half for one in found],
                    colours[panel.label(line)],
                    dashed=line.clock == "slots",
                )
            )
        return Chart(f"({panel.letter}) {panel.sharing}, {said}", label, curves, ticks)

    def numbers(self, preset: Preset) -> list[Number]:
        """The numbers that the paper reports about it."""
        panels = {panel.letter: panel for panel in self.panels}
        return [
            Number(f"{self.number}({one.letter})", one, panels[one.letter].scenes)
            for one in self.reported(preset)
        ]


@dataclass(frozen=True, slots=True)
class Number:
    """A reported number with the scenes that it is about.

    Attributes:
        figure: the paper's figure and panel.
        reported: the number.
        scenes: along the panel's sweep, for any preset.
    """

    figure: str
    reported: Reported
    scenes: Callable[[Preset], Sequence[Scene]]

    def cells(self, preset: Preset, reading: Reading) -> Iterator[Cell]:
        """The cells that it is computed from."""
        roles = (self.reported.line, self.reported.above)
        for scene in _chosen(self.reported, self.scenes(preset)):
            yield from (Cell(scene, role(reading)) for role in roles if role is not None)

    def measured(self, preset: Preset, reading: Reading, results: Results) -> Estimate:
        """Our value of it, in percent of the tasks."""
        chosen = _chosen(self.reported, self.scenes(preset))
        samples = np.zeros(results.runs)
        for scene in chosen:
            samples += results.ratios(Cell(scene, self.reported.line(reading)))
            if self.reported.above is not None:
                samples -= results.ratios(Cell(scene, self.reported.above(reading)))
        return estimate(100.0 * samples / len(chosen))

    def claim(self, preset: Preset, results: Results) -> Claim:
        """It beside our values under every reading."""
        ours = {reading: self.measured(preset, reading, results) for reading in READINGS}
        return Claim(self.figure, self.reported.text, "points", self.reported.paper, ours)


def _chosen(one: Reported, scenes: Sequence[Scene]) -> Sequence[Scene]:
    return scenes[-1:] if one.last else scenes


def proven(cells: Iterable[Cell], results: Results) -> dict[str, float]:
    """For each line called optimal, the share of realisations whose plan is proven so, in the scene
    where it is least."""
    shares: dict[str, float] = {}
    for cell in cells:
        if cell.line.name.startswith(OPTIMAL):
            key = f"{cell.line.name}, {cell.scene.sharing} case, upload {cell.line.upload}"
            shares[key] = min(results.proven(cell), shares.get(key, 1.0))
    return shares
