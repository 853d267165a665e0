"""The figures of the evaluation, in a tiny setting."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from tests.experiments.tiny import tiny_preset
from trunkline.experiments.cells import Cell, Table
from trunkline.experiments.figures import FIGURES, Job
from trunkline.experiments.figures.figure6 import FIGURE_6
from trunkline.experiments.figures.figure7 import FIGURE_7
from trunkline.experiments.figures.figure8 import FIGURE_8
from trunkline.experiments.figures.figure9 import FIGURE_9
from trunkline.experiments.figures.rates import RATES_FIGURE, distance
from trunkline.experiments.figures.sensitivity import CHANGES, SENSITIVITY, all_numbers
from trunkline.experiments.figures.sweeps import UPLOADS, Number, Reported, proven
from trunkline.experiments.lines import READINGS, best, gen, independent, optimal
from trunkline.experiments.preset import load_preset

SIMULATED = (FIGURE_6, FIGURE_7, FIGURE_8, FIGURE_9)
RUNS = 6


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The simulated figures of the tiny setting: the job, the results, what each figure left."""
    preset = tiny_preset()
    job = Job(preset, RUNS, tmp_path_factory.mktemp("figures"), jobs=1)
    results = job.sweep(Table(c for figure in SIMULATED for c in figure.cells(preset)), RUNS)
    return job, results, {figure.name: figure.make(job, results) for figure in SIMULATED}


def rows(path):
    """A CSV file's rows as dicts."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_figure_of_the_evaluation_is_there():
    """Figs. 1, 2 and 6 to 9 of the paper, each once; only 1 and 2 need torch."""
    names = [figure.name for figure in FIGURES]
    assert sorted(names) == ["1", "2", "6", "7", "8", "9", "memory", "rates", "sensitivity"]
    assert {figure.name for figure in FIGURES if figure.needs} == {"1", "2"}


@pytest.mark.parametrize("name", ["6", "7", "8", "9"])
def test_a_figure_leaves_a_table_and_a_picture(made, name):
    """Both are written, the table with every panel, both readings and both clocks."""
    _, _, by_name = made
    table, picture = by_name[name].files
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = rows(table)
    panels = {"9": "ab"}.get(name, "abcd")
    assert {row["figure"] for row in found} == {f"{name}({letter})" for letter in panels}
    assert {(row["upload"], row["clock"]) for row in found} == set(READINGS)
    assert {row["realisations"] for row in found} == {str(RUNS)}
    assert all(0 <= float(row["served_ratio"]) <= 1 for row in found)


def test_the_table_holds_the_mean_of_the_realisations(made):
    """A row's ratio and interval are those of its cell, recomputed."""
    job, results, by_name = made
    scene = FIGURE_6.panels[2].scenes(job.preset)[1]
    samples = results.ratios(Cell(scene, gen(("max", "slots"))))
    (row,) = [
        row
        for row in rows(by_name["6"].files[0])
        if (row["figure"], row["algorithm"], row["upload"], row["clock"], row["value"])
        == ("6(c)", "Gen (Alg. 3)", "max", "slots", "0.2")
    ]
    assert float(row["served_ratio"]) == pytest.approx(samples.mean(), rel=1e-5)
    half = 1.96 * samples.std(ddof=1) / np.sqrt(RUNS)
    assert float(row["half_width_95"]) == pytest.approx(half, rel=1e-5, abs=1e-9)


def test_the_exact_line_is_on_top(made):
    """In every realisation and scene, `optimal` is proven and at least every other line of its
    reading: whole models, Algorithms 2 and 3, in slots or not."""
    job, results, _ = made
    for figure in (FIGURE_6, FIGURE_7):
        for panel in figure.panels:
            for scene in panel.scenes(job.preset):
                for upload, _ in UPLOADS:
                    top = results.ratios(Cell(scene, optimal(upload)))
                    assert results.proven(Cell(scene, optimal(upload))) == 1
                    for line in panel.lines(upload, job.preset):
                        assert (results.ratios(Cell(scene, line)) <= top).all(), (scene, line)


def test_claims_cover_every_number_of_the_text(made):
    """10 numbers of Fig. 6, 4 of Fig. 7, 3 for each number of sub-channels and panel of Fig. 8, and
    3 ratios and 5 times of Fig. 9."""
    _, _, by_name = made
    assert len(by_name["6"].claims) == 10
    assert len(by_name["7"].claims) == 4
    assert len(by_name["8"].claims) == 4 * 2  # the tiny setting has no r = 20
    assert [claim.unit for claim in by_name["9"].claims].count("points") == 3
    assert len(by_name["9"].claims) == 8
    assert all(set(c.ours) == set(READINGS) for one in by_name.values() for c in one.claims)
    assert len(all_numbers(load_preset())) == 10 + 4 + 12 + 3


def test_a_number_is_the_mean_over_its_panel(made):
    """ "Spec - Ind, mean over K" is the mean over the panel's scenes of the difference in percent;
    "at the most users" takes the last scene only."""
    job, results, _ = made
    scenes = FIGURE_6.panels[1].scenes(job.preset)
    reading = ("sum", "continuous")
    difference = [
        results.ratios(Cell(scene, optimal("sum")))
        - results.ratios(Cell(scene, independent(("sum", "continuous"))))
        for scene in scenes
    ]
    mean = Number("6(b)", Reported("b", "", 24, best, independent), FIGURE_6.panels[1].scenes)
    assert mean.measured(job.preset, reading, results).mean == pytest.approx(
        100 * np.mean(difference)
    )
    last = Number("6(b)", Reported("b", "", 76, gen, last=True), FIGURE_6.panels[1].scenes)
    expected = results.ratios(Cell(scenes[-1], gen(("sum", "continuous")))).mean()
    assert last.measured(job.preset, reading, results).mean == pytest.approx(100 * expected)


def test_proven_plans_are_counted(made):
    """The share of realisations with a proven plan, by line and case, in the scene of the least."""
    job, results, by_name = made
    assert set(by_name["6"].proven.values()) == {1.0}
    cell = Cell(FIGURE_7.panels[0].scenes(job.preset)[0], optimal("sum"))
    values = results.values.copy()
    values[:2, results.table.position(cell), 1] = 0
    found = proven(FIGURE_7.cells(job.preset), type(results)(results.table, values))
    assert found == {
        "optimal, general case, upload sum": pytest.approx(1 - 2 / RUNS),
        "optimal, general case, upload max": 1.0,
    }


def test_sensitivity_changes_one_thing_at_a_time(tmp_path):
    """A row for every change that changes the setting, the preset's own first; the columns are the
    numbers that decide."""
    preset = tiny_preset()
    job = Job(preset, 2, tmp_path, jobs=1)
    (path,) = SENSITIVITY.make(job, job.sweep(Table(()), 2)).files
    found = rows(path)
    changed = [label for label, change in CHANGES[1:] if change(preset) != preset]
    assert [row["setting"] for row in found] == ["paper", CHANGES[0][0], *changed]
    assert float(found[0]["7(b) Gen - Ind, mean over K"]) == 38
    assert float(found[0]["6(b) Spec - Gen, mean over K"]) == 24 - 18


def test_rates_follow_the_loading_rate(tmp_path):
    """Faster loading never serves fewer with the optimum's stand-in at the most users, and the
    preset's own rate is among those tried."""
    preset = tiny_preset()
    job = Job(preset, 2, tmp_path, jobs=1)
    table, picture = RATES_FIGURE.make(job, job.sweep(Table(()), 2)).files
    assert picture.stat().st_size > 0
    found = rows(table)
    columns = [name for name in found[0] if name.endswith("GB/s")]
    assert "1 GB/s" in columns
    served = [float(found[0][name]) for name in columns]
    assert found[0]["number"] == "Spec at K = 8"
    assert served == sorted(served)
    assert len(found) == len(all_numbers(preset)) + 3


def test_the_distance_is_the_root_of_the_mean_square():
    """Of 3 and 4 points off: sqrt((9 + 16)/2)."""
    numbers = [
        Number("6(a)", Reported("a", "", 10.0, best), lambda preset: ()),
        Number("6(b)", Reported("b", "", 20.0, best), lambda preset: ()),
        Number("7(a)", Reported("a", "", 0.0, best), lambda preset: ()),
    ]
    assert distance(numbers, [[13.0], [16.0], [99.0]], ("6(a)", "6(b)")) == [
        pytest.approx(np.sqrt(12.5))
    ]
