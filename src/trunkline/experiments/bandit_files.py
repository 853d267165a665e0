"""What a comparison of online learners leaves: tables, a picture and how they came about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import trunkline
from trunkline.errors import InputError
from trunkline.experiments.bandits import MEASURES, TUNING_RUNS, Result
from trunkline.experiments.cells import estimate
from trunkline.experiments.figures.base import write_csv
from trunkline.files import replacing
from trunkline.pictures.regret import Band, Panel, draw_regret

STEM = "pulling-online"

CURVES = ("environment", "learner", "parameter", "round", "measure", "mean", "half_width_95")
RUNS = ("environment", "learner", "parameter", "run", "regret", *MEASURES)

PICTURED = (
    "exp4-rc", "exp4-rc-tuned", "tsrc", "linucb-random", "linucb-best", "vaw", "eps-greedy-0.1",
    "eps-greedy", "ucb1", "lru", "never-pull", "oracle",
)  # fmt: skip
"""The learners in the picture where all were played."""


def write_all(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Write `pulling-online.csv` (curves, long form), `-runs.csv`, `.png`, `.svg`, `.json`.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from None
    stem = folder / STEM
    panels = list(_panels(results))
    written = [
        write_csv(stem.with_suffix(".csv"), CURVES, list(_curves(results))),
        write_csv(folder / f"{STEM}-runs.csv", RUNS, list(_runs(results))),
        *(draw_regret(stem.with_suffix(suffix), panels) for suffix in (".png", ".svg")),
    ]
    with replacing(stem.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(described(results), indent=1, allow_nan=False) + "\n")
    return [*written, stem.with_suffix(".json")]


def described(results: Sequence[Result]) -> dict[str, Any]:
    """The settings and the figures, for JSON."""
    return {
        "trunkline": trunkline.__version__,
        "tuning_runs": TUNING_RUNS,
        "settings": [asdict(one) for one in dict.fromkeys(r.setting for r in results)],
        "results": [result.to_dict() for result in results],
    }


def _curves(results: Sequence[Result]) -> Iterable[list[object]]:
    for one in results:
        bounds = one.bounds()
        for at, mark in enumerate(one.marks):
            head = [one.setting.where, one.learner, one.parameter, mark]
            for measure, values in (("regret", one.regret), ("mean_loss", one.mean_loss)):
                found = estimate(values[:, at])
                yield [*head, measure, found.mean, found.half]
            if bounds is not None:
                yield [*head, "bound", float(bounds[at]), 0.0]


def _runs(results: Sequence[Result]) -> Iterable[list[object]]:
    for one in results:
        for run, measures in enumerate(one.measures):
            head = [one.setting.where, one.learner, one.parameter, run]
            yield [*head, float(one.regret[run, -1]), *(float(value) for value in measures)]


def _panels(results: Sequence[Result]) -> Iterable[Panel]:
    """Regret of each environment; at the edge the mean loss, too, which compares learners."""
    chosen = [one for one in results if one.learner in PICTURED] if len(results) > 14 else results
    for where in dict.fromkeys(one.setting.where for one in chosen):
        group = [one for one in chosen if one.setting.where == where]
        bands = [_band(one, regret=True) for one in group if one.learner != "oracle"]
        yield Panel(f"{where}: regret", "regret", [*bands, *_bound(group)])
        if where == "edge":
            losses = [_band(one, regret=False) for one in group]
            yield Panel("edge: mean loss so far", "loss a round", losses, logarithmic=False)


def _shown(one: Result) -> list[int]:
    """The checkpoints in the picture: of the last three decades."""
    return [at for at, mark in enumerate(one.marks) if mark >= one.marks[-1] / 1000]


def _band(one: Result, *, regret: bool) -> Band:
    values = one.regret if regret else one.mean_loss
    found = [estimate(values[:, at]) for at in _shown(one)]
    half = [e.half if e.half == e.half else 0.0 for e in found]
    return Band(one.learner, [one.marks[at] for at in _shown(one)], [e.mean for e in found], half)


def _bound(group: Sequence[Result]) -> Iterable[Band]:
    """The bound of the default learner, at T rounds; before T, that of its fixed rate."""
    for one in group:
        bounds = one.bounds()
        if one.learner == "exp4-rc" and bounds is not None:
            shown = _shown(one)
            x, y = [one.marks[at] for at in shown], [float(bounds[at]) for at in shown]
            yield Band("bound of exp4-rc", x, y, [0.0] * len(x), is_bound=True)
