"""`trunkline plan` and `check` on streaming problems, run as a user runs them."""

from __future__ import annotations

import json

import pytest

from tests.cli.commands import trunkline
from tests.streaming.problems import multicast_problem, with_shares
from tests.streaming.test_check import PROBLEM
from trunkline.streaming.document import problem_to_document


@pytest.fixture
def problem(tmp_path):
    """The problem of the checker's tests, without multicast, in a file."""
    path = tmp_path / "problem.json"
    path.write_text(json.dumps({**PROBLEM, "multicast": []}))
    return path


def test_plan_then_check(problem, tmp_path):
    """A plan is printed, drawn and written, and what is written holds."""
    plan, picture = tmp_path / "plan.json", tmp_path / "plan.png"
    run = trunkline("plan", problem, "-o", plan, "--picture", picture)
    assert run.returncode == 0, run.stderr
    assert "optimal: serves 2 of 2 users (the most for static shares) with 66.67 %" in run.stdout
    assert "download first, then infer, planned as well as can be: serves 2" in run.stdout
    assert picture.stat().st_size > 0
    assert trunkline("check", problem, plan).returncode == 0


def test_json_is_the_plan_document(problem):
    """With --json there is the plan document and nothing else."""
    run = trunkline("plan", problem, "--json", "-m", "transfers", "--transfers", "3")
    document = json.loads(run.stdout)
    assert document["format"] == "trunkline/streaming-plan/1"
    assert document["users"][0]["transfers"] == [1, 1, 1]


def test_a_plan_that_does_not_hold(problem, tmp_path):
    """A share that is too small is a violation: status 1 and the reason."""
    document = json.loads(trunkline("plan", problem, "--json").stdout)
    document["users"][0]["share"] = 0.5
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(document))
    run = trunkline("check", problem, plan)
    assert run.returncode == 1
    assert "layer_finish_s[0]" in run.stdout


def test_streams_are_told(tmp_path):
    """What a multicast stream takes and who hears it stands below the table."""
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(problem_to_document(multicast_problem(8, users=8))))
    assert "multicast g0: 24.1 % of the band for 4 users" in trunkline("plan", path).stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["-m", "best"], "no method 'best' for streaming problems; there are download-first"),
        (["--slot-s", "0.1"], "'optimal' has no option 'slot_s'; it has margin"),
        (["--transfers", "0", "-m", "transfers"], "greater than or equal to 1"),
        (["--margin", "1"], "margin"),
    ],
)
def test_bad_calls_end_with_one_line(problem, arguments, error):
    """Methods and options that don't exist are refused with status 2."""
    run = trunkline("plan", problem, *arguments)
    assert run.returncode == 2
    assert error in run.stderr
    assert "Traceback" not in run.stderr


def test_energy_budgets_in_a_multicast_group(tmp_path):
    """What `optimal` does not plan is refused with the reason, and other methods still plan it."""
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(PROBLEM))
    run = trunkline("plan", path)
    assert run.returncode == 2
    assert "multicast group 'g': user 'u2' has an energy budget" in run.stderr
    assert trunkline("plan", path, "-m", "uniform-speed").returncode == 0


def test_weights_without_resource_blocks(tmp_path):
    """A problem that the method does not cover is refused with what would help."""
    document = problem_to_document(with_shares([0.4, 0.5]))
    document["users"][0]["weight"] = 2.0
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(document))
    run = trunkline("plan", path)
    assert run.returncode == 2
    assert "give resource_blocks" in run.stderr
    document["resource_blocks"] = 10
    path.write_text(json.dumps(document))
    assert trunkline("plan", path).returncode == 0


def test_a_broken_document_names_the_path(problem):
    """A document that cannot be used ends with status 2 and the path."""
    document = {**PROBLEM, "users": [{**PROBLEM["users"][0], "samples": 1.5}]}
    problem.write_text(json.dumps(document))
    run = trunkline("plan", problem)
    assert run.returncode == 2
    assert "$.users[0].samples" in run.stderr
