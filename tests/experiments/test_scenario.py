"""The paper's simulation setting as loading problems."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

import trunkline
from trunkline.experiments.layers import layer_bytes
from trunkline.experiments.preset import load_preset
from trunkline.experiments.scenario import Realisation, paper_problem, sharing_library
from trunkline.loading.document import problem_to_document

PRESET = load_preset()


def at(**changes):
    """The default point with some coordinates changed."""
    return msgspec.structs.replace(PRESET.point, **changes)


def test_models_of_one_network_share_what_both_keep():
    """Common bytes are those of the layers that both keep, whatever their places; a model's bytes
    are its network's; models of different networks share nothing."""
    rng = np.random.default_rng(1)
    names = ["resnet18-00", "resnet34-00", "resnet18-01", "resnet18-02", "resnet34-01"]
    kept = [rng.random(len(layer_bytes(name.partition("-")[0]))) < 0.6 for name in names]
    matrix = sharing_library(names, kept).sharing_matrix
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            network = one.partition("-")[0]
            sizes = np.array(layer_bytes(network))
            if i == j:
                expected = sizes.sum()
            elif network == other.partition("-")[0]:
                expected = sizes[kept[i] & kept[j]].sum()
            else:
                expected = 0
            assert matrix[i, j] == expected


def test_blocks_are_named_by_the_layers_they_hold():
    """A block's name gives the runs of its layers, a block of no backbone its model."""
    kept = [np.zeros(41, dtype=bool), np.zeros(41, dtype=bool)]
    kept[0][[3, 8, 9]] = kept[1][[8, 9, 10]] = True
    library = sharing_library(["resnet18-00", "resnet18-01"], kept)
    assert library["resnet18-00"].blocks == ("resnet18/3-3", "resnet18/8-9", "resnet18-00/own")
    assert library["resnet18-01"].blocks == ("resnet18/8-9", "resnet18/10-10", "resnet18-01/own")
    sizes = layer_bytes("resnet18")
    assert library.blocks["resnet18/8-9"] == sizes[8] + sizes[9]
    assert library.blocks["resnet18-00/own"] == sum(sizes) - sizes[3] - sizes[8] - sizes[9]


@pytest.mark.parametrize(("sharing", "models"), [("bottom", 50), ("general", 25)])
def test_models_keep_the_wanted_share_of_layers(sharing, models):
    """On average theta of the layers, never the last one; the bottom case keeps the lowest."""
    shares = []
    for run in range(40):
        realisation = Realisation(PRESET, sharing, models, run)
        for kept in realisation._kept(0.85):
            shares.append(kept.mean())
            assert not kept[-1]
            if sharing == "bottom":
                assert not np.diff(kept.astype(int)).max() > 0  # kept layers come first
    # uniform on 0.70..1.00, standard deviation 0.087; at most 40 of 41 layers: a little below 0.85
    assert abs(np.mean(shares) - 0.845) < 4 * 0.087 / np.sqrt(len(shares))
    assert min(shares) >= 0.68  # 0.70 rounded to whole layers
    assert max(shares) < 1


def test_one_draw_serves_all_settings():
    """More users keep the first ones; a greater share keeps the layers kept before, so what is
    missing between two models never grows."""
    for sharing in ("bottom", "general"):
        realisation = Realisation(PRESET, sharing, 25, run=3)
        few, many = (realisation.problem(at(tasks=k)) for k in (60, 100))
        assert many.tasks[:60] == few.tasks
        fewer, more = (realisation.library(share).missing_matrix for share in (0.8, 0.95))
        assert (more <= fewer).all()
        assert (more < fewer).any()


def test_runs_and_seeds_are_different_draws():
    """Another run or another seed gives other users; the same ones give the same problem."""
    one, same, run, seed = (
        paper_problem(tasks=20, run=r, seed=s) for r, s in ((0, 0), (0, 0), (1, 0), (0, 1))
    )
    assert one.tasks == same.tasks
    assert one.library.blocks == same.library.blocks
    for other in (run, seed):
        assert other.tasks != one.tasks
        assert other.library.blocks != one.library.blocks


def test_models_are_equally_likely_to_be_asked_for():
    """Each of 5 models gets a fifth of 4,000 tasks, within 4 standard deviations."""
    problem = Realisation(PRESET, "bottom", 5).problem(at(tasks=4000))
    asked = [task.model for task in problem.tasks]
    # binomial(4000, 1/5): mean 800, standard deviation sqrt(640) = 25.3
    assert all(abs(asked.count(model.id) - 800) < 101 for model in problem.models)


def test_the_default_draw_has_the_papers_size_and_gains_by_sharing():
    """50 models in three tries, 80 tasks; the checker accepts the plan, and partial loading
    serves more than whole-model loading."""
    problem = paper_problem()
    assert (len(problem.models), len(problem.tasks)) == (50, 80)
    assert len(problem.library.components) == 3
    assert all(component.trie is not None for component in problem.library.components)
    partial = trunkline.plan(problem)
    whole = trunkline.plan(problem, "independent")
    assert trunkline.check(problem, partial) == []
    assert partial.proven
    assert partial.served > whole.served


def test_the_general_case_scatters_what_is_shared():
    """25 models on three backbones, none of them a trie; planned to the proven optimum."""
    problem = paper_problem(sharing="general", deadline_s=0.3)
    assert len(problem.models) == 25
    assert [component.trie for component in problem.library.components] == [None] * 3
    plan = trunkline.plan(problem)
    assert trunkline.check(problem, plan) == []
    assert plan.proven


def test_the_optimum_never_falls_when_anything_grows():
    """More time, band or sharing never serves fewer; more users never fewer of them."""
    realisation = Realisation(PRESET, "bottom", 50, run=1)
    grown = [
        at(deadline_s=0.5), at(), at(deadline_s=0.9), at(share=0.75), at(share=0.95),
        at(bandwidth_hz=10e6), at(tasks=60), at(tasks=100),
    ]  # fmt: skip
    short, default, long, less, more, narrow, few, many = (
        trunkline.plan(realisation.problem(point)).served for point in grown
    )
    assert short < default <= long
    assert less < default <= more
    assert narrow < default
    assert few <= default <= many


def test_the_problem_survives_its_document():
    """Writing the document and loading it gives the same plan."""
    problem = paper_problem(models=7, tasks=20, deadline_s=0.1)
    again = trunkline.load(problem_to_document(problem))
    assert trunkline.plan(again).batches == trunkline.plan(problem).batches
