"""The examples run, and say what their texts promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import trunkline
from trunkline.experiments.scenario import paper_problem

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def run(script):
    """The output of an example, run as a user would from the repository's root."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, EXAMPLES / script],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plan_a_burst_serves_all_by_partial_loading():
    """Whole-model loading serves three of five, partial loading all, and the plan holds."""
    # Whole: 9+3 ms for both cats or both dogs, 2+2 for the boat, 16 in all; one animal of the other
    # kind takes 9+2 more: 27. Partial: 9+3 for the first pair, 1+3 for the second, 4: 20 ms.
    out = run("plan_a_burst.py")
    assert "independent: 3 of 5" in out
    assert "optimal: 5 of 5" in out
    assert "violations of the optimal plan: []" in out
    assert "loads 0 bytes" in out


def test_your_own_models_moves_less_and_answers_equally():
    """The second switch moves part of the bytes; every answer is the normal module's."""
    out = run("your_own_models.py")
    moved = [float(text) for text in re.findall(r"moved ([\d.]+) MB", out)]
    assert len(moved) == 3
    assert max(moved[1:]) < 0.6 * moved[0]
    assert out.count("module: True") == 3
    assert "False" not in out


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("problems/*.json")), ids=lambda p: p.stem)
def test_every_problem_document_is_planned_to_the_proven_optimum(path):
    """The documents are valid, and the checker accepts the optimal plan."""
    problem = trunkline.load(path)
    plan = trunkline.plan(problem)
    assert plan.proven
    assert trunkline.check(problem, plan) == []
    assert plan.served > trunkline.plan(problem, "independent").served


def test_the_papers_document_is_what_the_scenario_draws():
    """examples/problems/paper.json is draw 0 of the paper's setting (links rounded to 1e-6)."""
    stored = trunkline.load(EXAMPLES / "problems" / "paper.json")
    drawn = paper_problem()
    assert stored.models == drawn.models
    assert stored.library.blocks == drawn.library.blocks
    assert [m.blocks for m in stored.library] == [m.blocks for m in drawn.library]
    assert [t.model for t in stored.tasks] == [t.model for t in drawn.tasks]
    rates = [t.bits_per_s_per_hz for t in drawn.tasks]
    assert [t.bits_per_s_per_hz for t in stored.tasks] == pytest.approx(rates, abs=1e-6)
