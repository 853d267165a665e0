"""`trunkline plan`, `check` and `show`, run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import trunkline

COSTS = {"seconds_per_batch": 0.001, "seconds_per_task": 0.0001, "max_batch": 8}
PROBLEM = {
    "format": "trunkline/loading-problem/1",
    "deadline_s": 0.012,
    "bandwidth_hz": 2e8,
    "loading": [{"overhead_s": 0.0, "bytes_per_s": 1e9}],
    "blocks": {"trunk": 6_000_000, "[red]x": 1_000_000, "y": 2_000_000},
    "models": [
        {"id": "[red]one", "blocks": ["trunk", "[red]x"], **COSTS},
        {"id": "two", "blocks": ["trunk", "y"], **COSTS},
    ],
    "tasks": [
        {"id": "u1", "model": "[red]one", "upload_bits": 1000, "bits_per_s_per_hz": 5.0},
        {"id": "u2", "model": "two", "upload_bits": 1000, "bits_per_s_per_hz": 5.0},
    ],
}  # fmt: skip


@pytest.fixture
def problem(tmp_path) -> Path:
    """A problem of two models that share a trunk: 6 + 1 + 2 ms of loads, 2.2 ms of compute."""
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(PROBLEM))
    return path


def test_plan_then_check(problem, tmp_path):
    """A plan written to a file passes the checker."""
    plan = tmp_path / "plan.json"
    made = trunkline("plan", problem, "-o", plan)
    assert made.returncode == 0
    assert "serves 2 of 2 tasks by 0.012 s (proven optimal)" in made.stdout
    assert "whole-model loading, planned as well as can be: serves 1" in made.stdout
    assert "[red]one" in made.stdout  # names are text, not mark-up
    checked = trunkline("check", problem, plan)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "holds" in checked.stdout


def test_json_is_the_document_and_nothing_else(problem):
    """With --json standard output parses as the plan document."""
    made = trunkline("plan", problem, "--json")
    assert (made.returncode, made.stderr) == (0, "")
    assert json.loads(made.stdout)["format"] == "trunkline/loading-plan/1"


def test_a_plan_that_does_not_hold_exits_with_one(problem, tmp_path):
    """The checker says why a tampered plan does not hold, and exits with 1."""
    document = json.loads(trunkline("plan", problem, "--json").stdout)
    document["batches"][0]["load_bytes"] = 1
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(document))
    checked = trunkline("check", problem, plan)
    assert checked.returncode == 1
    assert "batches[0]: loads 1 bytes, but lacks" in checked.stdout


def test_pictures_are_drawn(problem, tmp_path):
    """The timeline and the sharing are drawn as PNG and as SVG."""
    for command in ("plan", "show"):
        for suffix, start in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
            path = tmp_path / f"{command}{suffix}"
            assert trunkline(command, problem, "--picture", path).returncode == 0
            assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("method", ["optimal", "greedy", "paper", "independent", "exhaustive"])
@pytest.mark.parametrize("upload", ["sum", "max"])
def test_every_method_is_there(problem, tmp_path, method, upload):
    """Each method plans from the command line, and its plan holds."""
    plan = tmp_path / "plan.json"
    made = trunkline("plan", problem, "-m", method, "--upload", upload, "-o", plan)
    assert made.returncode == 0, made.stderr
    assert trunkline("check", problem, plan, "--upload", upload).returncode == 0


def test_options_reach_their_method(problem, tmp_path):
    """Sub-channels, their planner and a time limit are passed on; a method without them says so."""
    plan = tmp_path / "plan.json"
    options = ["--channels", "1", "--planner", "greedy", "--slot-s", "0.001"]
    assert trunkline("plan", problem, "-m", "equal", *options, "-o", plan).returncode == 0
    batches = json.loads(plan.read_text())["batches"]
    assert [batch["shares"] for batch in batches] == [[1.0]] * len(batches)
    assert trunkline("check", problem, plan).returncode == 0
    stopped = trunkline("plan", problem, "-m", "exhaustive", "--time-limit-s", "0", "--json")
    document = json.loads(stopped.stdout)
    assert (document["served"], document["bound"], document["proven"]) == (0, 2, False)
    refused = trunkline("plan", problem, "-m", "independent", "--time-limit-s", "1")
    assert refused.returncode == 2
    assert "no option 'time_limit_s'" in refused.stderr


def test_show_prints_the_sharing(problem):
    """The trunk and who stands on it, and the bytes in common."""
    shown = trunkline("show", problem).stdout
    assert "2 models, 15.00 MB one by one, 9.00 MB of distinct blocks (40% shared)" in shown
    assert "6.00 MB in 1 block shared" in shown
    assert "2.00 MB in 1 block: two" in shown
    document = json.loads(trunkline("show", problem, "--json").stdout)
    assert document["shared_bytes"] == [[7e6, 6e6], [6e6, 8e6]]
    assert document["components"][0]["sharing"] == "prefix"


BAD = {
    "no such file": (["plan", "missing.json"], "missing.json: cannot be read: No such file"),
    "no such method": (["plan", "{problem}", "-m", "best"], "no method 'best'"),
    "a slot of nothing": (
        ["plan", "{problem}", "-m", "paper", "--slot-s", "0"],
        "a slot takes a positive time",
    ),
    "a margin of everything": (["plan", "{problem}", "--margin", "1"], "'--margin'"),
    "an option of another method": (
        ["plan", "{problem}", "-m", "optimal", "--slot-s", "1"],
        "'optimal' has no option 'slot_s'",
    ),
    "not a plan": (
        ["check", "{problem}", "{problem}"],
        "$.format: expected 'trunkline/loading-plan/1'",
    ),
    "not a problem": (["show", "{other}"], "$.format: missing"),
    "not a picture": (
        ["plan", "{problem}", "--picture", "x.txt"],
        "x.txt: a picture's name ends in",
    ),
    "no such folder": (["plan", "{problem}", "-o", "no/such/plan.json"], "no/such/plan.json"),
    "no such command": (["plna"], "No such command"),
    "no such option": (["plan", "{problem}", "--fast"], "No such option"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_exits_with_two_and_says_what(problem, tmp_path, case):
    """Each fault: exit status 2, nothing on standard output, what and where on standard error."""
    arguments, message = BAD[case]
    other = tmp_path / "other.json"
    other.write_text("{}")
    run = trunkline(*(a.format(problem=problem, other=other) for a in arguments))
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_help_lists_the_commands():
    """`trunkline --help` names every command."""
    shown = trunkline("--help").stdout
    for command in ("plan", "check", "show", "import", "list", "verify", "remove", "gc"):
        assert command in shown


def test_it_runs_as_a_module(problem):
    """`python -m trunkline` is the same command line, with the same exit status."""
    for arguments, status in ((["show", str(problem)], 0), (["show", "missing.json"], 2)):
        command = [sys.executable, "-m", "trunkline", *arguments]
        assert subprocess.run(command, capture_output=True, timeout=60).returncode == status


def test_a_reader_that_leaves_is_no_error(problem):
    """`trunkline show ... | head -1` ends quietly."""
    command = f"{sys.executable} -m trunkline show {problem} --json | head -c 1"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in run.stderr
