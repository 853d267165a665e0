"""`trunkline plan` on pulling scenarios."""

from __future__ import annotations

import json

import pytest

import trunkline as package
from tests.cli.commands import trunkline
from tests.pulling.scenes import document
from trunkline.pulling.document import problem_to_document


@pytest.fixture
def scenario(tmp_path):
    """The small scenario as a file."""
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(document()))
    return path


def test_a_scenario_is_planned_drawn_and_checked(scenario, tmp_path):
    """The plan holds for the scenario, and the picture is one."""
    plan, picture = tmp_path / "plan.json", tmp_path / "map.png"
    done = trunkline("plan", scenario, "-m", "exhaustive", "-o", plan, "--picture", picture)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert trunkline("check", scenario, plan).returncode == 0


def test_coefficients_are_a_problem_document(scenario, tmp_path):
    """What `--coefficients` prints is the compiled problem, which has the same least cost."""
    done = trunkline("plan", scenario, "--coefficients")
    printed = json.loads(done.stdout)
    problem = package.load(scenario)
    assert printed == problem_to_document(problem)
    costs = [package.plan(one, "exhaustive").cost for one in (problem, package.load(printed))]
    assert costs[0] == costs[1]


def test_coefficients_leave_nothing_to_write(scenario, tmp_path):
    """With a file to write beside it, `--coefficients` is refused in one line."""
    done = trunkline("plan", scenario, "--coefficients", "-o", tmp_path / "plan.json")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "trunkline: --coefficients plans nothing that could be written or drawn"
    ]


def test_coefficients_take_no_method(scenario):
    """A method that would not be used is no answer to anything."""
    done = trunkline("plan", scenario, "--coefficients", "-m", "greedy")
    assert (done.returncode, "takes no --method" in done.stderr) == (2, True)


BAD = {
    "cut off": ({"links": []}, "$.requests[0].home: no path from 'ap' to the data centre"),
    "no storage": ({"sites": [{"id": "c1"}]}, "$.sites[0]: Object missing required field"),
    "no format": ({"format": "trunkline/pulling-scenario/2"}, "$.format: expected"),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case)
def test_bad_scenarios_are_one_line_and_status_2(case, tmp_path):
    """The message names the file, the place and the fault."""
    changes, said = BAD[case]
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document(**changes)))
    done = trunkline("plan", path)
    assert done.returncode == 2
    assert f"{path}: {said}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
