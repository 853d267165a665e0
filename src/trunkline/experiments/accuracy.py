"""Accuracy against the number of frozen bottom layers: the table and picture of a digits study.

The counterpart of PartialLoading, Fig. 2. 0 frozen layers is full-parameter fine-tuning: nothing
below the last layer is shared, and everything must be loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trunkline.experiments.digits import DigitsTask, Study
from trunkline.experiments.networks import digits_net, layers
from trunkline.pictures.figure import new_figure, save


@dataclass(frozen=True, slots=True)
class Point:
    """Held-out accuracy (0..1) of a task at a frozen depth, over seeds.

    Attributes:
        mean: over the seeds.
        low, high: the worst and the best seed.
    """

    task: DigitsTask
    frozen: int
    mean: float
    low: float
    high: float


def points(study: Study) -> dict[DigitsTask, list[Point]]:
    """The points of a study, a list by increasing depth for each task."""
    tasks = dict.fromkeys(variant.task for variant in study.variants)  # in the study's order
    return {
        task: [_point(study, task, frozen) for frozen in _depths(study, task)] for task in tasks
    }


def _depths(study: Study, task: DigitsTask) -> list[int]:
    return sorted({variant.frozen for variant in study.variants if variant.task == task})


def _point(study: Study, task: DigitsTask, frozen: int) -> Point:
    values = np.array(study.accuracies(task, frozen))
    return Point(task, frozen, float(values.mean()), float(values.min()), float(values.max()))


def depths_worth_sharing(
    study: Study, task: DigitsTask, count: int, tolerance: float = 0.02
) -> list[int]:
    """The `count` greatest frozen depths whose mean accuracy is within `tolerance` of the task's
    best; filled up with the most accurate other depths where there are fewer. Sorted."""
    line = points(study)[task]
    best = max(point.mean for point in line)
    by_worth = sorted(
        line, key=lambda p: (0, -p.frozen) if p.mean >= best - tolerance else (1, -p.mean)
    )
    return sorted(point.frozen for point in by_worth[:count])


def shared_bytes(frozen: int) -> float:
    """The share (0..1) of a ten-class digits network's bytes in its `frozen` bottom layers."""
    sizes: list[int] = [
        sum(tensor.nbytes for tensor in layer.state_dict().values())
        for layer in layers(digits_net()).values()
    ]
    return sum(sizes[:frozen]) / sum(sizes)


def draw_accuracy(path: str | Path, study: Study) -> Path:
    """Draw accuracy against frozen depth, one line a task, bars from the worst to the best seed.

    Returns the path written (InputError if it cannot be).
    """
    figure = new_figure(7.5, 4.5)
    axes = figure.subplots()
    for task, line in points(study).items():
        mean = np.array([point.mean for point in line])
        spread = np.array(
            [
                [point.mean - point.low for point in line],
                [point.high - point.mean for point in line],
            ]
        )
        axes.errorbar(
            [point.frozen for point in line],
            100 * mean,
            yerr=100 * spread,
            marker="o",
            markersize=4,
            capsize=3,
            label=f"{task.name} ({task.meaning})",
        )
    depths = sorted({variant.frozen for variant in study.variants})
    axes.set_xticks(depths, [f"{depth}\n{shared_bytes(depth):.0%}" for depth in depths])
    axes.set_xlabel("frozen bottom layers of 13, and the share of the bytes that they hold")
    axes.set_ylabel("held-out accuracy [%]")
    axes.set_title(
        "Fine-tuned digits networks: what freezing (and so sharing) costs", fontsize=10, loc="left"
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower left")
    return save(figure, path)
