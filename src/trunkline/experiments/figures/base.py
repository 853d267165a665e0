"""What a figure of the evaluation is: something that makes its files and answers for its claims."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from trunkline.errors import InputError
from trunkline.experiments.cells import Cell, Estimate, Results, Table
from trunkline.experiments.lines import Reading
from trunkline.experiments.preset import Preset
from trunkline.experiments.sweep import sweep

Tell = Callable[[int, int], None]


@contextmanager
def silently(what: str) -> Iterator[Tell]:
    """Tells nobody."""
    yield lambda done, total: None


@dataclass(frozen=True, slots=True)
class Job:
    """What a figure is to be made from.

    Attributes:
        preset: the setting.
        runs: realisations.
        folder: where files go; parts of an interrupted run are in its `parts`.
        seed: names the experiment.
        jobs: processes, -1 for one a core.
        quick: whether what has no realisations (training, measuring) is cut short.
        working: `with working("training") as tell` tells the user (steps done, steps in all).
    """

    preset: Preset
    runs: int
    folder: Path
    seed: int = 0
    jobs: int = -1
    quick: bool = False
    working: Callable[[str], AbstractContextManager[Tell]] = silently

    def sweep(self, table: Table, runs: int, what: str = "realisations") -> Results:
        """The values of a table in so many realisations."""
        if not table.cells:
            return Results(table, np.empty((runs, 0, 3)))
        with self.working(what) as tell:
            place = self.folder / "parts"
            return sweep(table, runs, place, seed=self.seed, jobs=self.jobs, tell=tell)


@dataclass(frozen=True, slots=True)
class Claim:
    """A number that the paper reports, beside ours.

    Attributes:
        figure: where it is reported, such as `6(a)`.
        text: what it is.
        unit: "points" (of the served ratio, in percent), "ms", "times", ...
        paper: the paper's number.
        ours: our number under each reading; a single one where readings make no difference.
    """

    figure: str
    text: str
    unit: str
    paper: float
    ours: Mapping[Reading, Estimate]


@dataclass(frozen=True, slots=True)
class Made:
    """What a figure left.

    Attributes:
        files: the paths written.
        claims: the paper's numbers that it speaks to.
        proven: lines called optimal -> share of the realisations whose plan is proven so, where
            it is least.
    """

    files: Sequence[Path]
    claims: Sequence[Claim] = ()
    proven: Mapping[str, float] = field(default_factory=dict)


class Figure(Protocol):
    """A figure; a new one needs this, and a line in `figures.FIGURES`."""

    @property
    def name(self) -> str:
        """What it is called on the command line: a number of the paper's, or a word."""

    @property
    def title(self) -> str:
        """What it shows."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Packages beyond the simulations' that must be installed."""

    def cells(self, preset: Preset) -> Iterable[Cell]:
        """What it needs of the sweep that all figures share; nothing if it has none."""

    def make(self, job: Job, results: Results) -> Made:
        """Draw and write it, from the sweep's results."""


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Write a table; numbers with up to 6 digits. Returns the path.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            for row in rows:
                writer.writerow(f"{x:.6g}" if isinstance(x, float) else x for x in row)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    return path
