"""The figures of PartialLoading's evaluation and ours, one file each; a new one gets a line in
`FIGURES`."""

from __future__ import annotations

from trunkline.experiments.figures.base import Claim, Figure, Job, Made
from trunkline.experiments.figures.figure1 import FIGURE_1
from trunkline.experiments.figures.figure2 import FIGURE_2
from trunkline.experiments.figures.figure6 import FIGURE_6
from trunkline.experiments.figures.figure7 import FIGURE_7
from trunkline.experiments.figures.figure8 import FIGURE_8
from trunkline.experiments.figures.figure9 import FIGURE_9
from trunkline.experiments.figures.memory import MEMORY
from trunkline.experiments.figures.rates import RATES_FIGURE
from trunkline.experiments.figures.sensitivity import SENSITIVITY

__all__ = ["FIGURES", "Claim", "Figure", "Job", "Made"]

FIGURES: tuple[Figure, ...] = (
    FIGURE_6,
    FIGURE_7,
    FIGURE_8,
    FIGURE_9,
    RATES_FIGURE,
    SENSITIVITY,
    MEMORY,
    FIGURE_1,
    FIGURE_2,
)
"""In the order in which they are made: what is simulated, then what is measured and trained."""
