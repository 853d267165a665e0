"""The lines of the figures are the planners that users call."""

from __future__ import annotations

import math

import pytest

import trunkline
from trunkline.experiments import lines
from trunkline.experiments.scenario import paper_problem
from trunkline.loading import METHODS


def test_a_line_is_a_method_with_its_options():
    """Each line serves what the method serves that it stands for, in slots of the length given."""
    problem = paper_problem(20, 40, deadline_s=0.2)
    expected = {
        lines.optimal("sum"): {},
        lines.spec("max"): {"method": "paper", "variant": "printed", "upload": "max"},
        lines.corrected("sum"): {"method": "paper"},
        lines.gen(("sum", "slots")): {"method": "greedy"},
        lines.gen(("max", "continuous")): {"method": "greedy", "upload": "max"},
        lines.independent(("sum", "slots")): {"method": "independent"},
        lines.independent(("sum", "continuous")): {"method": "independent"},
    }
    for line, options in expected.items():
        slots = {"slot_s": 0.005} if line.clock == "slots" else {}
        assert (
            line.plan(problem, 0.005).batches == trunkline.plan(problem, **options, **slots).batches
        )


@pytest.mark.parametrize("channels", [1, 3])
def test_equal_sub_channels_are_what_the_paper_says(channels):
    """Each user has B/r: an upload takes r D/(B R), a batch at most r users and as long as its
    longest upload; recomputed from the definition for every batch of a plan."""
    problem = paper_problem(20, 40, deadline_s=0.3)
    line = lines.equal(lines.optimal("sum"), channels)
    plan = line.plan(problem, 0.01)
    tasks = {task.id: task for task in problem.tasks}
    assert plan.batches
    for batch in plan.batches:
        assert len(batch.tasks) <= channels
        alone = [
            channels * tasks[t].upload_bits / (problem.bandwidth_hz * tasks[t].bits_per_s_per_hz)
            for t in batch.tasks
        ]
        assert math.isclose(batch.upload_s, max(alone), rel_tol=1e-12)
    assert line.name == f"optimal, r = {channels}"


def test_equal_sub_channels_serve_what_the_method_of_that_name_serves():
    """`equal` divides the band alike, whichever method then plans."""
    if "equal" not in METHODS:
        pytest.skip("there is no method 'equal' yet")
    problem = paper_problem(20, 40, deadline_s=0.3)
    in_slots = {"slot_s": 0.01}
    for channels in (5, 10, 20):
        for line, options in (
            (lines.optimal("sum"), {"planner": "optimal"}),
            (lines.gen(("sum", "slots")), {"planner": "greedy", **in_slots}),
            (lines.spec("sum"), {"planner": "paper", "variant": "printed", **in_slots}),
        ):
            same = trunkline.plan(problem, "equal", channels=channels, **options)
            assert lines.equal(line, channels).plan(problem, 0.01).served == same.served


def test_shares_of_the_band_never_serve_fewer_than_equal_sub_channels():
    """The optimum under (11) is at least the one of any equal division: one of its choices."""
    for run in range(5):
        problem = paper_problem(20, 40, deadline_s=0.2, run=run)
        best = lines.optimal("sum").plan(problem, 0.01).served
        for channels in (1, 2, 5, 10):
            assert lines.equal(lines.optimal("sum"), channels).plan(problem, 0.01).served <= best
