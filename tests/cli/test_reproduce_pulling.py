"""`trunkline reproduce pulling`, run as a user runs it (in a tiny setting)."""

from __future__ import annotations

import csv
import json

import pytest

from tests.cli.commands import trunkline
from tests.experiments.pulling.tiny import tiny_document
from trunkline.experiments.pulling.preset import PRESET_FILE


@pytest.fixture
def tiny(tmp_path):
    """A preset document of a user's own."""
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(tiny_document()))
    return path


def reproduce(tiny, folder, *more):
    """A run of the tiny setting in one process."""
    return trunkline("reproduce", "pulling", "--preset", tiny, "--dir", folder, "--jobs", 1, *more)


def rows(path) -> list[dict[str, str]]:
    """The lines of a table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def traces(tmp_path):
    """Options that name a trace of tokens and one of models, of one request each."""
    tokens, asked = tmp_path / "tokens.csv", tmp_path / "asked.csv"
    tokens.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16,10,5\n")
    asked.write_text("checkpoint_model_version_id,num_lora\nM0000,1\n")
    return ["--demand", tokens, "--popularity", asked]


def test_it_leaves_a_table_pictures_and_the_comparison(tiny, traces, tmp_path):
    """A sweep's table and pictures, the comparison, the setting beside them, and a finished part a
    realisation, from which an interrupted run would go on."""
    out = tmp_path / "out"
    done = reproduce(tiny, out, "--runs", 2, "--figures", "storage", "--seed", 3, *traces)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in out.iterdir()} == {
        "comparison.csv", "parts", "setting.json", "storage.csv", "storage.png", "storage.svg",
    }  # fmt: skip
    assert "the paper's abstract" in done.stdout
    assert {row["sweep"] for row in rows(out / "storage.csv")} == {"storage_bytes"}
    setting = json.loads((out / "setting.json").read_text())
    assert (setting["seed"], setting["realisations"]) == (3, 2)
    assert setting["traces"] == ["tokens.csv", "asked.csv"]
    assert setting["preset"] == json.loads(tiny.read_text())
    assert len(list((out / "parts").rglob("*.npy"))) == 2


def test_the_preset_can_be_printed():
    """`--print-preset` prints the default with its comments, and nothing else."""
    assert trunkline("reproduce", "pulling", "--print-preset").stdout == PRESET_FILE.read_text()


def test_a_scenario_can_be_printed_and_planned(tiny, tmp_path):
    """`--print-scenario` prints a document that `trunkline plan` takes."""
    done = trunkline("reproduce", "pulling", "--preset", tiny, "--print-scenario")
    path = tmp_path / "scenario.json"
    path.write_text(done.stdout)
    plan = trunkline("plan", path, "--method", "greedy", "--picture", tmp_path / "map.png")
    assert plan.returncode == 0, plan.stderr


def test_demands_and_popularity_come_from_traces(tiny, traces):
    """All requests have the tokens of the one that was recorded, and ask as it did."""
    done = trunkline("reproduce", "pulling", "--preset", tiny, "--print-scenario", *traces)
    requests = json.loads(done.stdout)["requests"]
    assert {(one["units"], one["type"]) for one in requests} == {(15.0, "task0")}


BAD = {
    "no such figure": (["--figures", "sites,9"], "no figure '9'; there are sites, requests"),
    "no such preset": (["--preset", "missing.yaml"], "missing.yaml: cannot be read"),
    "another preset": (["--preset", "set-a.yaml"], "$.format"),
    "no such trace": (["--demand", "missing.csv"], "missing.csv: cannot be read"),
    "no such popularity": (["--popularity", "missing.csv"], "missing.csv: cannot be read"),
    "no processes": (["--jobs", "0"], "--jobs 0: a number of processes"),
    "a folder that is a file": (["--dir", __file__, "--quick"], "test_reproduce_pulling.py"),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case)
def test_bad_input_is_one_line_and_status_2(case, tmp_path, monkeypatch):
    """The message names what and where; no traceback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set-a.yaml").write_text("format: trunkline/loading-preset/1\n")
    options, said = BAD[case]
    done = trunkline("reproduce", "pulling", *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "option", [["--print-scenario"], ["--demand", "x.csv"], ["--popularity", "x.csv"]]
)
def test_options_of_pulling_are_not_of_loading(option):
    """What only pulling has is refused for loading, not ignored."""
    done = trunkline("reproduce", "loading", *option)
    assert done.returncode == 2
    assert "is for `trunkline reproduce pulling`" in done.stderr
