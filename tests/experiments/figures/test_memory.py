"""The memory figure: what a budget gains, in a tiny setting."""

from __future__ import annotations

import csv

import pytest

from tests.experiments.tiny import tiny_preset
from trunkline.experiments.cells import Table
from trunkline.experiments.figures import memory
from trunkline.experiments.figures.base import Job
from trunkline.experiments.scenario import paper_problem

SETTINGS = (
    memory.Setting("burst", 4, 8, 0.0, 0.05, ("optimal",)),
    memory.Setting("stream", 4, 8, 0.08, 0.04, ("optimal", "insertion")),
)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """The table's rows of three realisations, as dicts."""
    monkeypatch.setattr(memory, "SETTINGS", SETTINGS)
    job = Job(tiny_preset(), 3, tmp_path, jobs=1)
    made = memory.MEMORY.make(job, job.sweep(Table(()), 3))
    table, picture = made.files
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert set(made.proven.values()) == {1.0}  # small enough to be exact
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_budget_serves_no_fewer_than_the_previous_model_rule(rows):
    """Gains are never negative and never fall as the budget grows, where plans are exact."""
    budgets = ["previous model", *(f"{budget:g}" for budget in memory.BUDGETS)]
    for setting in SETTINGS:
        for method in setting.methods:
            found = [r for r in rows if (r["setting"], r["method"]) == (setting.name, method)]
            assert [row["budget"] for row in found] == budgets
            assert {row["realisations"] for row in found} == {"3"}
            if method == "optimal":
                gains = [float(row["gain"]) for row in found]
                assert gains == sorted(gains)
                assert gains[0] == 0


def test_tasks_of_a_stream_arrive_at_equal_distances():
    """The k-th of K arrives at k spread / K and is due a while later; a burst is there at once."""
    drawn = paper_problem(4, 8, sharing="general", preset=tiny_preset())
    stream = memory.Extended(2.0, 0.8, 0.1)(drawn)
    assert [task.arrival_s for task in stream.tasks] == pytest.approx([k / 10 for k in range(8)])
    assert [task.deadline_s for task in stream.tasks] == pytest.approx(
        [(k + 1) / 10 for k in range(8)]
    )
    assert stream.memory_bytes == 2 * max(drawn.library.model_bytes)
    burst = memory.Extended(None, 0.0, 0.1)(drawn)
    assert burst.plain is not None
    assert burst.deadline_s == 0.1
