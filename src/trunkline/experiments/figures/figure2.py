"""Fig. 2: accuracy against the number of frozen bottom layers, trained on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from trunkline.experiments.cells import Cell, Estimate, Results
from trunkline.experiments.figures.base import Claim, Job, Made, write_csv
from trunkline.experiments.lines import READINGS
from trunkline.experiments.preset import Preset

if TYPE_CHECKING:
    from trunkline.experiments.accuracy import Point
    from trunkline.experiments.digits import DigitsTask

HEADER = (
    "figure", "task", "frozen_layers", "share_of_layers", "share_of_bytes", "accuracy", "lowest",
    "highest",
)  # fmt: skip

LAYERS = 13
"""Of the digits network."""

PAPER = {"low": 93.0, "high": 89.0}
"""Percent of ResNet-50's layers frozen without loss for the labels 0-4 and 5-9, on CIFAR-10."""

QUICK_DEPTHS = (0, 4, 8, 12)


class Figure2:
    """The figure: digits networks fine-tuned with their bottom layers frozen."""

    name = "2"
    title = "accuracy against frozen layers, on scanned digits"
    needs: tuple[str, ...] = ("torch", "sklearn")

    def cells(self, preset: Preset) -> Iterable[Cell]:
        """None: nothing is simulated."""
        return ()

    def make(self, job: Job, results: Results) -> Made:
        """Train, and write `figure-2.csv` and `figure-2.png`."""
        from trunkline.experiments import accuracy, digits

        depths = QUICK_DEPTHS if job.quick else digits.DEPTHS
        seeds = (0,) if job.quick else (0, 1, 2)
        total = 1 + len(digits.TASKS) * len(depths) * len(seeds)
        trained = 0
        with job.working("training") as tell:

            def count(_: str) -> None:
                nonlocal trained
                tell(trained, total)
                trained += 1

            study = digits.run_study(
                digits.load_digits_data(job.seed), depths=depths, seeds=seeds, progress=count
            )
        rows = [
            (
                "2", task.meaning, point.frozen, point.frozen / LAYERS,
                accuracy.shared_bytes(point.frozen), point.mean, point.low, point.high,
            )
            for task, line in accuracy.points(study).items()
            for point in line
        ]  # fmt: skip
        stem = job.folder / "figure-2"
        return Made(
            files=(
                write_csv(stem.with_suffix(".csv"), HEADER, rows),
                accuracy.draw_accuracy(stem.with_suffix(".png"), study),
            ),
            claims=_claims(accuracy.points(study)),
        )


def _claims(points: Mapping[DigitsTask, Sequence[Point]]) -> list[Claim]:
    """The greatest share of frozen layers whose accuracy is not below that of freezing none."""
    claims = []
    for task, line in points.items():
        if task.name in PAPER:
            free = [point.frozen for point in line if point.mean >= line[0].mean]
            share = Estimate(100 * max(free) / LAYERS, float("nan"))
            text = f"layers frozen at no loss, {task.meaning}"
            claims.append(Claim("2", text, "percent", PAPER[task.name], {READINGS[0]: share}))
    return claims


FIGURE_2 = Figure2()
