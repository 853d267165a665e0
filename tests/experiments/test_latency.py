"""The measured and trained figures, cut short."""

from __future__ import annotations

import csv

import pytest

from tests.experiments.tiny import tiny_preset
from trunkline.experiments import latency
from trunkline.experiments.cells import Table
from trunkline.experiments.figures import Job
from trunkline.experiments.figures.figure1 import FIGURE_1
from trunkline.experiments.figures.figure2 import FIGURE_2, QUICK_DEPTHS
from trunkline.experiments.layers import NETWORKS, layer_bytes
from trunkline.experiments.lines import READINGS


def rows(path):
    """A CSV file's rows as dicts."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def job(tmp_path):
    """A quick job."""
    return Job(tiny_preset(), 2, tmp_path, jobs=1, quick=True)


def test_whole_models_are_loaded_and_computed(tmp_path, monkeypatch):
    """Each network once for each batch size and state of the page cache, with real times; what the
    plan loads is the network's bytes, and all are in time."""
    loaded = {}
    execute = latency.execute

    def watched(problem, plan, *arguments, **options):
        report = execute(problem, plan, *arguments, **options)
        for batch in report.batches:
            loaded[batch.model.partition("-")[0]] = batch.bytes_moved
        return report

    monkeypatch.setattr(latency, "execute", watched)
    found = list(latency.measure_latencies(tmp_path / "store", repeats=1, batches=(1,)))
    assert {one.network for one in found} == set(NETWORKS)
    assert {one.cache for one in found} <= {"warm", "cold"}
    assert all(one.load_s > 0 and one.compute_s > 0 for one in found)
    assert all(0 < one.loading_share < 1 for one in found)
    assert loaded == {network: sum(layer_bytes(network)) for network in NETWORKS}


@pytest.mark.slow
def test_figure_1_shows_loading_beside_computing(job):
    """A row a network, batch size and state of the page cache; the temporary store is gone."""
    made = FIGURE_1.make(job, job.sweep(Table(()), 2))
    found = rows(made.files[0])
    assert len(found) in (6, 12)  # without the cold ones where files stay cached
    assert {row["batch"] for row in found} == {"1", "32"}
    assert {path.name for path in job.folder.iterdir()} == {"figure-1.csv", "figure-1.png"}
    assert [claim.paper for claim in made.claims] == [88.94] * (len(found) // 6)


@pytest.mark.slow
def test_figure_2_shows_accuracy_against_frozen_layers(job):
    """A row a task and depth; the share of layers that cost nothing is claimed for both tasks of
    the paper."""
    made = FIGURE_2.make(job, job.sweep(Table(()), 2))
    found = rows(made.files[0])
    assert len(found) == 4 * len(QUICK_DEPTHS)
    assert all(0.3 < float(row["accuracy"]) <= 1 for row in found)
    assert [claim.paper for claim in made.claims] == [93.0, 89.0]
    for claim in made.claims:
        free = [
            float(row["share_of_layers"])
            for row in found
            if row["task"] in claim.text
            and float(row["accuracy"]) >= float(found[4 * found_task(found, row)]["accuracy"])
        ]
        assert claim.ours[READINGS[0]].mean == pytest.approx(100 * max(free), rel=1e-5)


def found_task(found, row):
    """The number of a row's task."""
    return list(dict.fromkeys(one["task"] for one in found)).index(row["task"])
