"""`trunkline demo`, run as a user runs it (the quick one)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

import trunkline
from trunkline.cli import main
from trunkline.experiments import demo as steps
from trunkline.store import Store

LEFT_BEHIND = {
    "accuracy.png",
    "inputs.safetensors",
    "plan-partial.json",
    "plan-whole.json",
    "problem.json",
    "profile.json",
    "run-partial.json",
    "run-whole.json",
    "sharing.png",
    "store",
    "timelines.png",
    "trace-partial.json",
    "trace-whole.json",
    "weights",
    steps.MARKER,
}
FROM_DISK = {
    f"{name}-cold{end}"
    for name, end in (
        ("plan-partial", ".json"),
        ("plan-whole", ".json"),
        ("problem", ".json"),
        ("run-partial", ".json"),
        ("run-whole", ".json"),
        ("timelines", ".png"),
        ("trace-partial", ".json"),
        ("trace-whole", ".json"),
    )
}
"""These too, where the system lets go of cached files."""


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """The quick demo in a process of its own, from a folder, on a terminal of 80 columns."""
    command = [sys.executable, "-m", "trunkline", "demo", "--quick"]
    narrow = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=folder, env=narrow
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a quick demo, and what it printed."""
    place = tmp_path_factory.mktemp("demo") / "demo"
    done = run(place.parent)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return place, done.stdout


def test_it_tells_the_whole_story(made):
    """Accuracy, honest words about the weights, the deadline, the table, the share of loading."""
    _, text = made
    for part in (
        "held-out accuracy [%]",
        "RANDOM weights",
        "60% of the time in which",
        "users answered in time",
        "bytes moved",
        "load time, predicted",
        "finish, measured",
        "batch off by, median",
        "loading's share of time",
        "digits read rightly",
        "timelines.png",
    ):
        assert part in " ".join(text.split())


def test_everything_lies_in_its_folder(made):
    """What is named is there, and nothing else."""
    place, _ = made
    assert {path.name for path in place.iterdir()} - FROM_DISK == LEFT_BEHIND
    assert [path.name for path in place.parent.iterdir()] == ["demo"]


@pytest.mark.parametrize("cold", [False, True])
def test_its_documents_hold(made, cold):
    """The deadline is 60 % of whole-model loading's time for everybody; both plans pass the
    checker; partial loading is planned to serve no fewer; the runs moved what was planned."""
    place, _ = made
    end = "-cold" if cold else ""
    if cold and not (place / "problem-cold.json").exists():
        pytest.skip("this system keeps files cached")
    problem = trunkline.load(place / f"problem{end}.json")
    whole = trunkline.load_plan(place / f"plan-whole{end}.json")
    partial = trunkline.load_plan(place / f"plan-partial{end}.json")
    unhurried = json.loads((place / f"problem{end}.json").read_text()) | {"deadline_s": 1e6}
    everybody = trunkline.plan(trunkline.load(unhurried), "independent")
    assert everybody.served == len(problem.tasks) == steps.QUICK.tasks
    assert problem.deadline_s == pytest.approx(0.6 * everybody.finish_s)
    assert trunkline.check(problem, partial) == []
    assert trunkline.check(problem, whole) == []
    assert partial.finish_s <= (1 - steps.QUICK.margin) * problem.deadline_s * (1 + 1e-9)
    assert partial.bound == trunkline.plan(problem).served
    assert whole.served <= partial.served
    for name, plan in (("whole", whole), ("partial", partial)):
        report = json.loads((place / f"run-{name}{end}.json").read_text())
        assert report["bytes_moved"] == plan.load_bytes
        assert report["served"] + report["late"] + report["not_planned"] == report["received"]


def test_its_lines_fit_and_its_commands_give_the_table_again(made):
    """No line is wider than 80 columns; pasted into a shell, the commands that it ends with plan
    just what the columns of its table say."""
    place, text = made
    lines = [line.rstrip() for line in text.splitlines()]
    assert [line for line in lines if cell_len(line) > 80] == []
    start = next(i for i, line in enumerate(lines) if line.startswith("Try the columns"))
    trunkline_is = f'trunkline() {{ "{sys.executable}" -m trunkline "$@"; }}\nset -e\n'
    done = subprocess.run(
        ["bash", "-c", trunkline_is + "\n".join(lines[start + 1 :])],
        capture_output=True,
        text=True,
        cwd=place.parent,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (row,) = (line for line in lines if line.startswith("│ users planned in time"))
    columns = [int(cell) for cell in row.split("│")[2:-1]]
    assert [int(n) for n in re.findall(r"\(planned:\s+(\d+)\s", done.stdout)] == columns


def test_its_store_is_sound(made):
    """Every blob is what its digest says, and no blob is left over."""
    place, _ = made
    store = Store.open(place / "store")
    assert store.verify().ok
    assert store.gc().blobs == 0
    names = store.names()
    assert sum("random" in name for name in names) == 3 * steps.QUICK.per_network
    assert sum("digits" in name for name in names) >= 4


def test_it_runs_again_in_its_folder_from_whatever_is_left(made):
    """A second run works after a blob was cut short and a document lost, and repairs both."""
    place, _ = made
    store = Store.open(place / "store")
    victim = max(store.model(store.names()[-1]).blocks, key=lambda block: block.size)
    path = store.blob_path(victim.digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    (place / "problem.json").unlink()
    again = run(place.parent)
    assert again.returncode == 0, again.stderr
    assert "of an earlier demo were there" in " ".join(again.stdout.split())
    assert {path.name for path in place.iterdir()} - FROM_DISK == LEFT_BEHIND
    assert Store.open(place / "store").verify().ok


def test_a_strange_folder_is_refused(tmp_path, capsys):
    """One line on standard error, exit status 2, nothing written."""
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(SystemExit) as exited:
        main(["demo", "--dir", str(tmp_path)])
    assert exited.value.code == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_interrupt_ends_it_with_a_word(tmp_path, capsys, monkeypatch):
    """Ctrl-C: no traceback, exit status 130, and how to go on."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "train", interrupted)
    with pytest.raises(SystemExit) as exited:
        main(["demo", "--quick", "--dir", str(tmp_path / "demo")])
    assert exited.value.code == 130
    said = capsys.readouterr().err
    assert "interrupted" in said
    assert "Traceback" not in said
