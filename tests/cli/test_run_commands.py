"""`trunkline profile`, `problem`, `run` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cli.commands import Run, runner
from trunkline.experiments.networks import digits_net
from trunkline.runtime import state_dict_source
from trunkline.store import Architecture, InputSpec, Store

NETWORK = Architecture(
    "factory", factory="trunkline.experiments.networks:digits_net", kwargs={"width": 4}
)


ONE_TASK = ("problem", "-p", "p.json", "--burst", "1", "--deadline-s", "1")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two variants of a small network that differ in their last layer, and bare weights."""
    made = Store.open(tmp_path / "store", create=True)
    torch.manual_seed(0)
    first = digits_net(width=4).state_dict()
    second = {**first, "fc.weight": torch.randn_like(first["fc.weight"])}
    for name, state in (("one", first), ("two", second)):
        source = state_dict_source(state, architecture=NETWORK, input=InputSpec((1, 8, 8)))
        made.add(name, source)
    made.add("bare", state_dict_source({"w": torch.ones(1)}))
    return made


@pytest.fixture
def run(
    tmp_path: Path,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command against the store: exit status, output, errors."""
    monkeypatch.setenv("TRUNKLINE_STORE", str(store.path))
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


@pytest.fixture
def problem(run: Run) -> str:
    """A burst of eight tasks for the two models, on a profile of this machine."""
    assert run("profile", "--rounds", "3", "--limit-s", "0", "--no-cold", "-o", "p.json")[0] == 0
    made = ("problem", "-p", "p.json", "--burst", "8", "--deadline-s", "30", "-o", "problem.json")
    assert run(*made)[0] == 0
    return "problem.json"


def test_from_profile_to_answers(run: Run, problem: str, tmp_path: Path) -> None:
    """Plan and run are told side by side, all tasks are served, and outputs, trace and picture
    are written; the report for machines is one JSON document."""
    files = ("--outputs", "o.safetensors", "--trace", "t.json", "--picture", "x.png")
    status, out, err = run("run", problem, *files)
    assert (status, err) == (0, "")
    assert "8 of 8 tasks served" in out
    assert "median relative error" in out
    assert load_file(tmp_path / "o.safetensors")["u001"].shape == (10,)
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    status, out, _ = run("run", problem, "--method", "independent", "--no-upload", "--json")
    report = json.loads(out)
    assert status == 0
    assert (report["served"], report["partial"], report["uploads"]) == (8, False, False)


def test_a_plan_of_ones_own_is_checked_first(run: Run, problem: str, tmp_path: Path) -> None:
    """A plan document is carried out if it holds, and refused with the reason if it does not."""
    assert run("plan", problem, "-o", "plan.json")[0] == 0
    assert run("run", problem, "--plan", "plan.json", "--memory", "1MiB")[0] == 0
    plan = json.loads((tmp_path / "plan.json").read_text())
    plan["batches"][0]["compute_s"] += 1
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    status, _, err = run("run", problem, "--plan", "plan.json")
    assert status == 2
    assert "does not hold for this problem: batches[0]" in err


def test_inputs_of_ones_own(run: Run, problem: str, tmp_path: Path) -> None:
    """Inputs come from a file by task id; a missing or wrong one names the task, exit status 2."""
    tasks = [task["id"] for task in json.loads((tmp_path / problem).read_text())["tasks"]]
    tensors = {task: torch.ones(1, 8, 8) for task in tasks}
    save_file(tensors, tmp_path / "i.safetensors")
    assert run("run", problem, "--inputs", "i.safetensors")[0] == 0
    save_file({**tensors, tasks[3]: torch.ones(2)}, tmp_path / "i.safetensors")
    status, _, err = run("run", problem, "--inputs", "i.safetensors")
    assert (status, tasks[3] in err) == (2, True)


def test_tasks_of_ones_own(run: Run, problem: str, tmp_path: Path) -> None:
    """A CSV of tasks becomes a problem document of just these."""
    (tmp_path / "tasks.csv").write_text("id,model,snr_db\nx,two,12\ny,one,3\n")
    made = ("problem", "-p", "p.json", "--tasks", "tasks.csv", "--deadline-s", "1", "--json")
    status, out, _ = run(*made, "--memory", "1MB", "--models", "one,two")
    document = json.loads(out)
    assert (status, [task["id"] for task in document["tasks"]]) == (0, ["x", "y"])
    assert document["memory_bytes"] == 1e6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("profile", "--models", "bare"), "'bare' was imported without an architecture"),
        (("profile", "--models", "nobody"), "no model 'nobody'"),
        (("profile", "--batches", "0,1"), "--batches"),
        (("profile", "--batches", "x"), "--batches"),
        (("profile", "--batches", "8"), "--batches 8: at least two sizes"),
        (("profile", "--memory", "lots"), "write a number and a unit"),
        (("profile", "--device", "gpu7"), "gpu7"),
        (("problem", "-p", "gone.json", "--burst", "1", "--deadline-s", "1"), "gone.json"),
        (("problem", "-p", "p.json", "--deadline-s", "1"), "--tasks FILE or --burst N"),
        (
            ("problem", "-p", "p.json", "--burst", "1", "--deadline-s", "1", "--cache", "cold"),
            "cold",
        ),
        (("problem", "-p", "p.json", "--tasks", "no.csv", "--deadline-s", "1"), "no.csv"),
        (("run", "gone.json"), "gone.json"),
        (("run", "problem.json", "--method", "magic"), "no method 'magic'"),
        (("run", "problem.json", "--plan", "p.json"), "trunkline/loading-plan/1"),
        (("run", "problem.json", "--inputs", "p.json"), "p.json"),
        (("run", "problem.json", "--outputs", "no/such/folder.safetensors"), "cannot be written"),
        (("run", "problem.json", "--trace", "no/such/t.json"), "cannot be written"),
    ],
)
def test_bad_input_ends_with_status_2(
    run: Run, problem: str, arguments: tuple[str, ...], message: str
) -> None:
    """One line on standard error that names what is wrong, nothing on standard output."""
    status, _, err = run(*arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_memory_too_small_for_any_model(run: Run, problem: str) -> None:
    """A budget below the models' size: an error that names the smallest model asked for, its bytes
    and the budget, from every command that plans, and no output."""
    asked = json.loads(Path(problem).read_text())
    asked["memory_bytes"] = 10
    Path("small.json").write_text(json.dumps(asked))
    making = ("problem", "-p", "p.json", "--burst", "2", "--deadline-s", "1", "--memory", "10")
    for command in (("run", problem, "--memory", "10"), ("plan", "small.json"), making):
        status, out, err = run(*command, "--json")
        assert (status, out) == (2, "")
        assert "no model fits into the memory of 10 B; the smallest" in err
        assert "has 19.62 kB" in err


def test_models_too_large_for_the_memory_are_told_of(run: Run, problem: str) -> None:
    """Where some models fit, those that don't are named beside the result, with what is lost."""
    asked = json.loads(Path(problem).read_text())
    asked["blocks"]["sha256:" + "0" * 64] = 1e9
    asked["models"][0]["blocks"].append("sha256:" + "0" * 64)
    lost = sum(task["model"] == asked["models"][0]["id"] for task in asked["tasks"])
    asked["memory_bytes"] = 1e6
    Path("half.json").write_text(json.dumps(asked))
    status, out, err = run("plan", "half.json", "--json")
    assert (status, json.loads(out)["served"]) == (0, 8 - lost)
    assert f"model 'one' (1.00 GB) does not fit into the memory of 1.00 MB: {lost} task" in err
