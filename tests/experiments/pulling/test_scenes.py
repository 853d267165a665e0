"""Scenarios drawn on EUA."""

from __future__ import annotations

import math

import msgspec
import pytest

from tests.experiments.pulling.tiny import tiny_preset
from trunkline.documents import read
from trunkline.experiments.pulling.apart import whole_models
from trunkline.experiments.pulling.scenes import Realisation, Recorded
from trunkline.pulling import solve
from trunkline.pulling.compiling import compile_scenario
from trunkline.pulling.scenario_document import scenario_from_document, scenario_to_document

PRESET = tiny_preset()


def at(run: int = 0, **changes):
    """A scenario at the point with these coordinates."""
    point = msgspec.structs.replace(PRESET.point, **changes)
    return Realisation(PRESET, run).scenario(point)


def distinct_bytes(scenario) -> float:
    """The bytes of all blocks, each once."""
    return math.fsum(scenario.blocks.values())


def test_a_run_is_one_draw():
    """The same seed and run give the same scenario, another run another one."""
    assert at() == at()
    assert at().demands != at(run=1).demands


def test_it_is_a_document():
    """A drawn scenario can be written, and read with all checks."""
    scenario = at()
    assert scenario_from_document(read(scenario_to_document(scenario))) == scenario


def test_more_keeps_what_was_there():
    """More requests, sites and models keep the first ones as they are."""
    assert at(requests=4).demands == at(requests=8).demands[:4]
    assert at(sites=4).cloudlets == at(sites=6).cloudlets[:4]
    assert at(models=4).models == at(models=6).models[:4]


def test_more_sharing_leaves_fewer_distinct_bytes():
    """A greater shared fraction never has more distinct bytes, and models keep their sizes."""
    scenarios = [at(shared=share) for share in (0.0, 0.3, 0.6, 0.9)]
    sizes = [distinct_bytes(scenario) for scenario in scenarios]
    assert sizes == sorted(sizes, reverse=True)
    for scenario in scenarios:
        whole = [
            math.fsum(scenario.blocks[block] for block in model.blocks) for model in scenario.models
        ]
        # 2 bytes a parameter: the backbones' published sizes, in turns
        assert whole[3:] == [2 * 1_100_048_384, 2 * 6_738_415_616, 2 * 7_241_732_096]


def test_every_request_has_a_model_and_its_nearest_sites():
    """A need is never above the best model's accuracy, and `reach` sites may serve it."""
    scenario = at(accuracy=0.99)
    for demand in scenario.demands:
        assert any(True for _ in scenario.candidates(demand))
        assert len(set(demand.sites)) == PRESET.reach


def test_whole_models_every_model_is_by_itself():
    """Whole models share no block, keep their sizes, and a backbone that is resident is of use to
    the untuned model alone."""
    scenario = at()
    apart = whole_models(scenario)
    held = [block for model in apart.models for block in model.blocks]
    assert len(held) == len(set(held)) == len(apart.blocks)
    untuned = {model.id for model in scenario.models[:3]}
    for one, other in zip(scenario.cloudlets, apart.cloudlets, strict=True):
        assert len(one.resident) == len(other.resident)
        assert {block.split(":")[0] for block in other.resident} <= untuned


@pytest.mark.parametrize("run", range(3))
def test_sharing_never_costs_more(run):
    """The least cost with sharing is at most that without; where nothing is shared and nothing
    resident, they are equal."""
    for share, equal in ((0.9, False), (0.0, True)):
        shared = at(run, shared=share)
        apart = whole_models(shared)
        costs = [solve(compile_scenario(one), "optimal").cost for one in (shared, apart)]
        assert costs[0] <= costs[1] * (1 + 1e-6)
        if equal:
            assert costs[0] == pytest.approx(costs[1], rel=1e-6)


def test_demands_and_tasks_can_come_from_traces():
    """With a trace's tokens, demands are among them; with popularities, tasks are drawn by them."""
    recorded = Recorded((7.0, 9.0), (0.0, 1.0))
    scenario = Realisation(PRESET, recorded=recorded).scenario(PRESET.point)
    assert {demand.units for demand in scenario.demands} <= {7.0, 9.0}
    assert {demand.type for demand in scenario.demands} == {"task1"}
