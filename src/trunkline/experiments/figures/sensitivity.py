"""What the paper's numbers would need: those that decide, under one change of the preset at a time.

Set A is calibrated, so where it does not give the paper's number the question is which value that
the paper leaves open decides it. Each row changes one; nothing is tuned to fit. (The loading rate,
which decides most, has a table of its own: `rates`.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import msgspec

from trunkline.experiments.cells import Cell, Results, Table
from trunkline.experiments.figures.base import Job, Made, write_csv
from trunkline.experiments.figures.figure6 import FIGURE_6
from trunkline.experiments.figures.figure7 import FIGURE_7
from trunkline.experiments.figures.figure8 import FIGURE_8
from trunkline.experiments.figures.figure9 import FIGURE_9
from trunkline.experiments.figures.sweeps import Number, Reported
from trunkline.experiments.lines import READINGS, best, gen
from trunkline.experiments.preset import Preset

SHARE_OF_RUNS = 5
"""One in so many realisations is enough here."""

READING = READINGS[0]
"""As printed: the longest upload, and slots."""

Change = Callable[[Preset], Preset]


def at_rate(bytes_per_s: float) -> Change:
    """The change to another loading rate, in every stage."""

    def change(preset: Preset) -> Preset:
        stages = tuple(
            msgspec.structs.replace(stage, bytes_per_s=bytes_per_s) for stage in preset.loading
        )
        return msgspec.structs.replace(preset, loading=stages)

    return change


def _only(network: str) -> Change:
    def change(preset: Preset) -> Preset:
        left = tuple(part for part in preset.networks if part.network == network)
        return msgspec.structs.replace(preset, networks=left or preset.networks)

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


def _as_many_general(preset: Preset) -> Preset:
    models = msgspec.structs.replace(preset.models, general=preset.models.bottom)
    return msgspec.structs.replace(preset, models=models)


def _with(**fields: float) -> Change:
    return lambda preset: msgspec.structs.replace(preset, **fields)


CHANGES: tuple[tuple[str, Change], ...] = (
    ("the preset as it is", lambda preset: preset),
    ("as many general models as bottom", _as_many_general),
    ("only ResNet-18", _only("resnet18")),
    ("only ResNet-34", _only("resnet34")),
    ("only ResNet-50", _only("resnet50")),
    ("only ResNet-50, 2.0 GB/s", lambda preset: at_rate(2.0e9)(_only("resnet50")(preset))),
    ("slots of 1 ms", _with(slot_s=0.001)),
    ("slots of 5 ms", _with(slot_s=0.005)),
    ("slots of 20 ms", _with(slot_s=0.020)),
    ("computing takes no time", _computing(0.0)),
    ("computing takes 3 times as long", _computing(3.0)),
    ("all models share theta exactly", _with(share_spread=0.0)),
    ("uploads of 4 times the bytes", lambda p: _with(upload_bytes=4 * p.upload_bytes)(p)),
)
"""Changes of values that the paper does not give, and of the slot, the networks and I."""

SHOWN = ("6(b)", "7(b)", "8(d)", "9(a)", "9(b)")
"""The panels whose numbers are shown."""


def all_numbers(preset: Preset) -> list[Number]:
    """Every served ratio that the paper reports."""
    figures = (FIGURE_6, FIGURE_7, FIGURE_8, FIGURE_9)
    return [number for figure in figures for number in figure.numbers(preset)]


def _columns(preset: Preset) -> list[Number]:
    """The numbers of the table, among them how far Spec is over Gen (between two of them)."""
    shown = [number for number in all_numbers(preset) if number.figure in SHOWN]
    gains = [number for number in shown if number.figure == "6(b)" and number.reported.above]
    over = gains[0].reported.paper - gains[1].reported.paper
    between = Reported("b", "Spec - Gen, mean over K", over, best, gen)
    return [*shown, replace(gains[0], reported=between)]


class Sensitivity:
    """The table of numbers (columns) under changes (rows)."""

    name = "sensitivity"
    title = "what decides the numbers that differ"
    needs: tuple[str, ...] = ()

    def cells(self, preset: Preset) -> Iterable[Cell]:
        """None: it has a sweep of its own, with fewer realisations."""
        return ()

    def make(self, job: Job, results: Results) -> Made:
        """Sweep, and write `sensitivity.csv`: means, then half widths of their intervals."""
        columns = _columns(job.preset)
        changed = [
            (label, preset)
            for label, change in CHANGES
            if (preset := change(job.preset)) != job.preset or label == CHANGES[0][0]
        ]
        table = Table(
            cell for _, preset in changed for one in columns for cell in one.cells(preset, READING)
        )
        runs = fewer(job.runs, SHARE_OF_RUNS)
        found = job.sweep(table, runs, "sensitivity")
        titles = [f"{one.figure} {one.reported.text}" for one in columns]
        header = ["setting", *titles, *(f"+- {title}" for title in titles)]
        rows: list[list[object]] = [["paper", *(float(one.reported.paper) for one in columns)]]
        for label, preset in changed:
            values = [one.measured(preset, READING, found) for one in columns]
            rows.append([label, *(v.mean for v in values), *(v.half for v in values)])
        return Made(files=(write_csv(job.folder / "sensitivity.csv", header, rows),))


def fewer(runs: int, share: int) -> int:
    """A part of the realisations, but 20 of them if there are so many."""
    return max(runs // share, min(runs, 20))


SENSITIVITY = Sensitivity()
