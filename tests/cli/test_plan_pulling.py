"""`trunkline plan` and `check` for pulling problems, run as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import trunkline

PROBLEM = {
    "format": "trunkline/pulling-problem/1",
    "blocks": {"trunk": 8_000_000, "a": 1_000_000, "b": 2_000_000},
    "sites": [
        {"id": "[red]c1", "storage_bytes": 2.2e7, "compute": 3,
         "pull_cost": {"trunk": 4, "a": 0.5}},
    ],
    "requests": [
        {"id": "r1", "fallback_cost": 9, "options": [
            {"site": "[red]c1", "model": "m1", "blocks": ["trunk", "a"], "cost": 1, "compute": 1},
        ]},
        {"id": "r2", "fallback_cost": 5, "options": [
            {"site": "[red]c1", "model": "m2", "blocks": ["trunk", "b"], "cost": 1.5,
             "compute": 2},
        ]},
    ],
}  # fmt: skip


@pytest.fixture
def problem(tmp_path) -> Path:
    """Two models that share a trunk, which cost 7 together: 1 + 1.5 + 4 + 0.5."""
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(PROBLEM))
    return path


def test_plan_then_check(problem, tmp_path):
    """The text says what is served, pulled and saved, and the plan holds."""
    plan = tmp_path / "plan.json"
    made = trunkline("plan", problem, "-o", plan)
    assert (made.returncode, made.stderr) == (0, "")
    text = " ".join(made.stdout.split())
    assert "optimal: cost 7 (proven least); serves 2 of 2 requests at 1 site, 0 at the" in text
    assert "pulls 3 blocks, 11.00 MB; the same models as whole files: 19.00 MB (42% less)" in text
    assert "[red]c1 2 2 3 11.00 8.00 50%" in text  # names are text, not mark-up
    checked = trunkline("check", problem, plan)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "holds" in checked.stdout


def test_json_is_the_document_and_nothing_else(problem):
    """With --json standard output parses as the plan document."""
    made = trunkline("plan", problem, "--method", "fallback", "--json")
    assert (made.returncode, made.stderr) == (0, "")
    document = json.loads(made.stdout)
    assert (document["format"], document["cost"]) == ("trunkline/pulling-plan/1", 14.0)


def test_a_plan_that_does_not_hold_exits_with_one(problem, tmp_path):
    """The checker says why a tampered plan does not hold, and exits with 1."""
    document = json.loads(trunkline("plan", problem, "--json").stdout)
    document["pulls"].pop()
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(document))
    checked = trunkline("check", problem, plan)
    assert checked.returncode == 1
    assert "is neither at '[red]c1' nor pulled" in checked.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-m", "milp"], "no method 'milp' for pulling problems; there are accuracy-first,"),
        (["-m", "optimal", "--margin", "0.1"], "method 'optimal' has no option 'margin'; it has"),
        (["-m", "greedy", "--time-limit-s", "1"], "method 'greedy' has no option 'time_limit_s'"),
        (["-m", "nearest"], "'nearest' takes problems whose options all say their transmission"),
    ],
)
def test_what_a_method_lacks_is_said(problem, options, said):
    """An option or a field that is not there is one line and status 2, not ignored."""
    refused = trunkline("plan", problem, *options)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_commands_of_another_kind_say_so(problem, tmp_path):
    """Checking a pulling plan has no upload; running takes loading problems."""
    plan = tmp_path / "plan.json"
    trunkline("plan", problem, "-o", plan)
    for command in (["check", problem, plan, "--upload", "max"], ["run", problem]):
        refused = trunkline(*command)
        assert refused.returncode == 2
        assert len(refused.stderr.splitlines()) == 1
