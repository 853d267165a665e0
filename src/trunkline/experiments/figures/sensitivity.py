"""What the paper's numbers would need: the claims that decide, under one change at a time.

Set A is calibrated, so where it does not give the paper's number the question is which value that
the paper leaves open decides it. Each row changes one of them; nothing is tuned to fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from trunkline.experiments.cells import Cell, Estimate, Results, Scene, Table
from trunkline.experiments.figures.base import Job, Made, write_csv
from trunkline.experiments.figures.figure9 import exhaustive, small_scene
from trunkline.experiments.figures.sweeps import Panel, Reported, measured
from trunkline.experiments.lines import READINGS, best, greedy, whole
from trunkline.experiments.preset import Preset

SHARE_OF_RUNS = 5
"""One in so many realisations is enough here."""

READING = READINGS[0]
"""As printed: the longest upload, 10 ms slots."""

Change = Callable[[Preset], Preset]


def _rate(bytes_per_s: float) -> Change:
    def change(preset: Preset) -> Preset:
        stages = tuple(
            msgspec.structs.replace(stage, bytes_per_s=bytes_per_s) for stage in preset.loading
        )
        return msgspec.structs.replace(preset, loading=stages)

    return change


def _network(name: str) -> Change:
    def change(preset: Preset) -> Preset:
        only = tuple(part for part in preset.networks if part.network == name)
        return msgspec.structs.replace(preset, networks=only or preset.networks)

    return change


def _computing(factor: float) -> Change:
    def change(preset: Preset) -> Preset:
        slower = tuple(
            msgspec.structs.replace(
                part,
                seconds_per_batch=factor * part.seconds_per_batch,
                seconds_per_task=factor * part.seconds_per_task,
            )
            for part in preset.networks
        )
        return msgspec.structs.replace(preset, networks=slower)

    return change


def _value(**fields: float) -> Change:
    return lambda preset: msgspec.structs.replace(preset, **fields)


def _as_many_general(preset: Preset) -> Preset:
    models = msgspec.structs.replace(preset.models, general=preset.models.bottom)
    return msgspec.structs.replace(preset, models=models)


def _both(first: Change, second: Change) -> Change:
    return lambda preset: second(first(preset))


CHANGES: tuple[tuple[str, Change], ...] = (
    ("the preset as it is", lambda preset: preset),
    ("loading at 0.8 GB/s", _rate(0.8e9)),
    ("loading at 1.0 GB/s", _rate(1.0e9)),
    ("loading at 1.2 GB/s", _rate(1.2e9)),
    ("loading at 1.6 GB/s", _rate(1.6e9)),
    ("loading at 3.0 GB/s", _rate(3.0e9)),
    ("only ResNet-18", _network("resnet18")),
    ("only ResNet-34", _network("resnet34")),
    ("only ResNet-50", _network("resnet50")),
    ("only ResNet-50, 2.0 GB/s", _both(_network("resnet50"), _rate(2.0e9))),
    ("slots of 1 ms", _value(slot_s=0.001)),
    ("slots of 5 ms", _value(slot_s=0.005)),
    ("slots of 20 ms", _value(slot_s=0.020)),
    ("as many general models as bottom", _as_many_general),
    ("computing takes no time", _computing(0.0)),
    ("computing takes 3 times as long", _computing(3.0)),
    ("all models share theta exactly", _value(share_spread=0.0)),
    ("uploads of 4 times the bytes", lambda p: _value(upload_bytes=4 * p.upload_bytes)(p)),
)
"""Changes of the values that the paper does not give (and of its slot and its networks)."""


@dataclass(frozen=True, slots=True)
class Column:
    """A number of the paper's that set A may miss: where it is from, and what it is."""

    figure: str
    reported: Reported
    scenes: Callable[[Preset], Sequence[Scene]]

    @property
    def title(self) -> str:
        """What it is, in short."""
        return f"{self.figure} {self.reported.text}"


def _columns(preset: Preset) -> tuple[Column, ...]:
    bottom = Panel("b", "bottom", "tasks", lambda upload, preset: ()).scenes
    general = Panel("b", "general", "tasks", lambda upload, preset: ()).scenes
    most = preset.sweeps.tasks[-1]
    return (
        Column("6(b)", Reported("b", f"Spec, K = {most}", 83.0, best, last=True), bottom),
        Column("6(b)", Reported("b", f"Gen, K = {most}", 76.0, greedy, last=True), bottom),
        Column("6(b)", Reported("b", "Spec - Ind", 24.0, best, whole), bottom),
        Column("6(b)", Reported("b", "Gen - Ind", 18.0, greedy, whole), bottom),
        Column("6(b)", Reported("b", "Spec - Gen", 6.0, best, greedy), bottom),
        Column("7(b)", Reported("b", "Gen - Ind", 38.0, greedy, whole), general),
        Column(
            "9(a)",
            Reported("a", "exhaustive - Gen", 3.7, exhaustive, greedy),
            lambda p: (small_scene(p, "bottom"),),
        ),
        Column(
            "9(b)",
            Reported("b", "exhaustive - Gen", 4.3, exhaustive, greedy),
            lambda p: (small_scene(p, "general"),),
        ),
    )


class Sensitivity:
    """The table of claims (columns) under changes (rows)."""

    name = "sensitivity"
    title = "what decides the numbers that differ"
    needs: tuple[str, ...] = ()

    def cells(self, preset: Preset) -> Iterable[Cell]:
        """None: it has a sweep of its own, with fewer realisations."""
        return ()

    def make(self, job: Job, results: Results) -> Made:
        """Sweep, and write `sensitivity.csv`."""
        columns = _columns(job.preset)
        changed = [
            (label, preset)
            for label, change in CHANGES
            if (preset := change(job.preset)) != job.preset or label == CHANGES[0][0]
        ]
        table = Table(
            Cell(scene, role(READING))
            for _, preset in changed
            for column in columns
            for role in (column.reported.line, column.reported.above)
            if role is not None
            for scene in column.scenes(preset)
        )
        runs = max(job.runs // SHARE_OF_RUNS, min(job.runs, 20))
        found = job.sweep(table, runs, "sensitivity")
        rows: list[list[object]] = [["paper", *(c.reported.paper for c in columns)]]
        header = ["setting", *(column.title for column in columns)]
        header += [f"half width 95, {column.title}" for column in columns]
        rows[0] += [""] * len(columns)
        for label, preset in changed:
            values = [_measured(column, preset, found) for column in columns]
            rows.append([label, *(v.mean for v in values), *(v.half for v in values)])
        return Made(files=(write_csv(job.folder / "sensitivity.csv", header, rows),))


def _measured(column: Column, preset: Preset, results: Results) -> Estimate:
    return measured(column.reported, column.scenes(preset), READING, results)


SENSITIVITY = Sensitivity()
