"""What memory for more blocks than the previous model's gains: served tasks against the budget.

Not a figure of the paper, which keeps the previous model's blocks only. Its general case in three
settings: a burst with one deadline, where the order can be chosen; a small stream, where tasks
arrive one after the other and each is due soon, so that models come back, planned exactly; and a
large one, planned by `insertion`. Budgets are multiples of the largest model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from trunkline.experiments.cells import Cell, Results, Scene, Table, estimate
from trunkline.experiments.figures.base import Job, Made, write_csv
from trunkline.experiments.figures.sensitivity import fewer
from trunkline.experiments.figures.sweeps import COLOUR_OF, COLOURS, proven
from trunkline.experiments.lines import OPTIMAL, Line, Method
from trunkline.experiments.preset import Preset
from trunkline.loading import LoadingProblem
from trunkline.pictures.curves import Chart, Curve, draw_curves

SHARE_OF_RUNS = 20
"""One in so many realisations is enough here."""

BUDGETS = (1.0, 1.1, 1.25, 1.5, 2.0, 2.5, 3.0)
"""In units of the library's largest model."""

METHOD_COLOURS = {"optimal": COLOUR_OF[OPTIMAL], "insertion": COLOURS[1]}

HEADER = (
    "setting", "models", "tasks", "method", "budget", "realisations", "served_ratio",
    "half_width_95", "gain", "gain_half_width_95", "proven_share", "median_solve_ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Extended:
    """The problem with a memory budget, or with tasks that arrive one after the other.

    Attributes:
        budget: in units of the largest model; None keeps the previous model's blocks only.
        spread_s: over how long the tasks arrive, at equal distances; 0 for all at the start.
        due_s: when each is due after its arrival.
    """

    budget: float | None
    spread_s: float
    due_s: float

    def __call__(self, problem: LoadingProblem) -> LoadingProblem:
        """The problem with these fields."""
        step_s = self.spread_s / max(len(problem.tasks), 1)
        tasks = tuple(
            replace(task, arrival_s=k * step_s, deadline_s=k * step_s + self.due_s)
            for k, task in enumerate(problem.tasks)
        )
        largest = max(problem.library.model_bytes, default=0.0)
        memory_bytes = None if self.budget is None else self.budget * largest
        deadline_s = self.spread_s + self.due_s
        return replace(problem, tasks=tasks, deadline_s=deadline_s, memory_bytes=memory_bytes)


@dataclass(frozen=True, slots=True)
class Setting:
    """A panel: how many models and tasks, when they come and are due, and who plans."""

    name: str
    models: int
    tasks: int
    spread_s: float
    due_s: float
    methods: tuple[str, ...]

    def cell(self, preset: Preset, method: str, budget: float | None) -> Cell:
        """What a method serves under a budget."""
        point = msgspec.structs.replace(preset.point, tasks=self.tasks)
        prepare = Extended(budget, self.spread_s, self.due_s)
        line = Line(method, "sum", "continuous", Method(method), prepare)
        return Cell(Scene(preset, "general", self.models, point), line)


SETTINGS = (
    Setting("burst", 12, 40, 0.0, 0.15, ("optimal",)),
    Setting("small stream", 6, 14, 0.15, 0.05, ("optimal", "insertion")),
    Setting("large stream", 25, 80, 0.7, 0.06, ("insertion",)),
)


class Memory:
    """The served ratio against the memory budget, beside that of the previous-model rule."""

    name = "memory"
    title = "served tasks against the memory budget"
    needs: tuple[str, ...] = ()

    def cells(self, preset: Preset) -> Iterable[Cell]:
        """None: it has a sweep of its own, with fewer realisations."""
        return ()

    def make(self, job: Job, results: Results) -> Made:
        """Sweep, and write `memory.csv` and `memory.png`."""
        cells = [cell for _, _, _, cell in _cells(job.preset)]
        found = job.sweep(Table(cells), fewer(job.runs, SHARE_OF_RUNS), "memory budgets")
        stem = job.folder / "memory"
        charts = [_chart(setting, job.preset, found) for setting in SETTINGS]
        return Made(
            files=(
                write_csv(stem.with_suffix(".csv"), HEADER, list(_rows(job.preset, found))),
                draw_curves(stem.with_suffix(".png"), [charts], "served ratio"),
            ),
            proven=proven(cells, found),
        )


def _cells(preset: Preset) -> Iterator[tuple[Setting, str, float | None, Cell]]:
    for setting in SETTINGS:
        for method in setting.methods:
            for budget in (None, *BUDGETS):
                yield setting, method, budget, setting.cell(preset, method, budget)


def _rows(preset: Preset, results: Results) -> Iterator[Sequence[object]]:
    """A row for every cell; gains are over the previous-model rule, within realisations."""
    for setting, method, budget, cell in _cells(preset):
        ratios = results.ratios(cell)
        without = results.ratios(setting.cell(preset, method, None))
        served, gain = estimate(ratios), estimate(ratios - without)
        yield (
            setting.name,
            setting.models,
            setting.tasks,
            method,
            "previous model" if budget is None else budget,
            results.runs,
            served.mean,
            served.half,
            gain.mean,
            gain.half,
            results.proven(cell),
            1e3 * results.median_s(cell),
        )


def _chart(setting: Setting, preset: Preset, results: Results) -> Chart:
    """A curve for every method, and a level one for the previous-model rule."""
    curves = []
    for method in setting.methods:
        for budgets, dashed, label in (
            (BUDGETS, False, f"memory budget, {method}"),
            ((None,) * len(BUDGETS), True, f"previous model only, {method}"),
        ):
            found = [
                estimate(results.ratios(setting.cell(preset, method, budget))) for budget in budgets
            ]
            means, halves = [one.mean for one in found], [one.half for one in found]
            curves.append(Curve(label, BUDGETS, means, halves, METHOD_COLOURS[method], dashed))
    when = f"{1e3 * setting.spread_s:g} ms" if setting.spread_s else "at once"
    title = f"{setting.name}: {setting.tasks} tasks, {when}, {setting.models} models"
    return Chart(title, "memory budget [largest models]", curves, (1.0, 1.5, 2.0, 2.5, 3.0))


MEMORY = Memory()
