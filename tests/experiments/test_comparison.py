"""Two plans under one deadline, carried out."""

import os

import pytest
import torch

from trunkline.experiments import comparison, demo, digits, stocking
from trunkline.loading import check
from trunkline.runtime.measure import Settings as Measuring
from trunkline.runtime.measure import measure
from trunkline.store import Store


@pytest.fixture(scope="module")
def contest(tmp_path_factory, digits_data, small_study):
    """Four digits models in a store, a profile, a comparison, and both outcomes."""
    place = tmp_path_factory.mktemp("contest")
    store = Store.open(place / "store", create=True)
    variants = small_study.variants
    paths = stocking.save_digits(variants, place / "weights")
    stock = demo.Stock(
        {v.name: v for v in variants}, {}, stocking.stock_digits(store, variants, paths), []
    )
    profile = measure(store, stock.names, settings=Measuring(rounds=3, cold=False))
    settings = demo.Settings(tasks=20)
    found = comparison.compare(store, stock, profile, settings)
    inputs = demo.draw_inputs(stock, digits_data, found.problem.tasks)
    outcomes = comparison.run(found, store, inputs, 3, lambda _: None)
    return found, inputs, outcomes, small_study


def test_the_deadline_is_the_share_of_whole_model_loadings_time(contest):
    """60 % of the time in which whole-model loading serves everybody, and both plans hold."""
    found, *_ = contest
    assert found.problem.deadline_s == pytest.approx(0.6 * found.everybody_s)
    assert found.everybody_partial_s <= found.everybody_s
    assert found.whole.method == "independent"
    assert found.whole.served <= found.partial.served <= 20
    assert check(found.problem, found.whole) == check(found.problem, found.partial) == []


def test_the_median_run_is_kept_and_its_answers_are_real(contest):
    """The outcome is the middle one of three runs, it moved the planned bytes, and the answers are
    real: far more digits are read rightly than by chance."""
    found, inputs, outcomes, _ = contest
    for plan, outcome in zip((found.whole, found.partial), outcomes, strict=True):
        assert outcome.plan is plan
        assert len(outcome.finishes_s) == 3
        assert outcome.report.finish_s == sorted(outcome.finishes_s)[1]
        assert outcome.report.bytes_moved == plan.load_bytes
        assert outcome.answered == plan.served  # all tasks are digits here
        assert outcome.right > outcome.answered / 2  # chance: 1 in 5 or 1 in 10
    assert set(inputs.expected) == {task.id for task in found.problem.tasks}


def test_half_of_the_processors_compute(monkeypatch):
    """1 of 1, 1 of 2, 8 of 16; 1 where the system does not tell."""
    for cpus, threads in ((1, 1), (2, 1), (16, 8), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda cpus=cpus: cpus)
        assert comparison.compute_threads() == threads


def test_profiling_sets_the_threads(monkeypatch):
    """The profile is measured on as many threads as the runs compute on."""
    before = torch.get_num_threads()
    seen = []
    monkeypatch.setattr(
        comparison, "measure", lambda *_, **__: seen.append(torch.get_num_threads())
    )
    try:
        comparison.profile(None, demo.Stock({}, {}, [], []), lambda *_: None)
        assert seen == [comparison.compute_threads()]
    finally:
        torch.set_num_threads(before)


def test_the_digits_tasks_of_the_study_are_all_in_the_library(contest):
    """Every stored model is one of the study's."""
    found, _, _, study = contest
    assert {m.id for m in found.problem.models} == {v.name for v in study.variants}
    assert {v.task for v in study.variants} <= set(digits.TASKS)
