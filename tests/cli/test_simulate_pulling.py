"""`trunkline simulate pulling`: its figures, its files, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli.commands import Run, runner
from trunkline.experiments.bandits import Setting, compete


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `trunkline simulate pulling` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    call = runner(capsys)
    return lambda *words: call("simulate", "pulling", *words)


def test_the_figures(run: Run) -> None:
    """They are those of the comparison that the library makes, of learners that can play there."""
    words = ("--rounds", "200", "--seeds", "2", "--learners", "exp4-rc,ucb1,vaw", "--seed", "3")
    status, out, err = run(*words, "--json")
    assert (status, err) == (0, "")
    rows = json.loads(out)["results"]
    assert [(row["environment"], row["learner"]) for row in rows] == [
        ("stationary", "exp4-rc"), ("stationary", "ucb1"),
        ("edge", "exp4-rc"), ("edge", "ucb1"), ("edge", "vaw"),
    ]  # fmt: skip
    expected = compete(Setting("edge", 200, seed=3), ["ucb1"], 2)[0].to_dict()
    assert rows[3] == expected
    assert rows[0]["bound"] > 0
    assert rows[1]["bound"] is None


def test_the_tables_fit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is wider than 80 columns, and sharing is named where it is off."""
    monkeypatch.setenv("COLUMNS", "80")
    chosen = "exp4-rc-anytime,linucb-random,eps-greedy-0.1,never-pull"
    status, out, _ = run("--rounds", "50", "--seeds", "2", "--no-sharing", "--learners", chosen)
    assert status == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "edge, no sharing: 50 rounds, 2 runs" in out
    assert "never-pull" in out


def test_the_files(run: Run, tmp_path: Path) -> None:
    """The tables hold every checkpoint and every run, and the sidecar the settings."""
    words = ("--rounds", "100", "--seeds", "2", "--learners", "exp4-rc,oracle", "-o", "out")
    status, out, _ = run(*words, "--environment", "edge", "--xi", "0.3")
    assert status == 0
    names = ["csv", "json", "png", "svg"]
    folder = tmp_path / "out"
    files = {f"pulling-online.{suffix}" for suffix in names} | {"pulling-online-runs.csv"}
    assert {path.name for path in folder.iterdir()} == files
    assert all(name in out for name in files)
    with (folder / "pulling-online.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["measure"] for row in rows} == {"regret", "mean_loss", "bound"}
    assert {row["learner"] for row in rows if row["measure"] == "bound"} == {"exp4-rc"}
    with (folder / "pulling-online-runs.csv").open() as file:
        assert [row["run"] for row in csv.DictReader(file)] == ["0", "1", "0", "1"]
    sidecar = json.loads((folder / "pulling-online.json").read_text())
    assert sidecar["settings"][0]["accuracy_weight"] == 0.3


def test_one_run_has_no_interval(run: Run) -> None:
    """A single run is told without an interval, and its JSON holds no number that is none."""
    words = ("--rounds", "30", "--seeds", "1", "--learners", "tsrc", "--environment", "edge")
    status, out, _ = run(*words)
    assert status == 0
    assert "±" not in out
    assert json.loads(run(*words, "--json")[1])["results"][0]["regret_half_95"] is None


def test_the_names(run: Run) -> None:
    """`--list` prints every learner."""
    status, out, _ = run("--list")
    assert status == 0
    assert "exp4-rc-anytime" in out
    assert "never-pull" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--learners", "exp5"], "no learner 'exp5'; there are exp4-rc"),
        (["--learners", ","], "names no learner"),
        (["--learners", "vaw", "--environment", "stationary"], "none of them can play"),
        (["--features", "2"], "--features 2: at least 3"),
        (["--read", "9"], "--read 9: 0 to all 4 features"),
        (["--read", "0"], "--read 0"),
        (["--features", "40", "--read", "20"], "more than 20,000"),
        (["--storage", "much"], "--storage: size 'much'"),
        (["--xi", "1.5"], "at most 1"),
        (["--xi", "nan"], "a number"),
        (["--shared", "-1"], "at least 0"),
        (["--rounds", "0"], "'--rounds'"),
        (["--rounds", "1000000", "--seeds", "1000"], "more than 100,000,000"),
        (["--jobs", "0"], "--jobs 0"),
        (["extra"], "unexpected extra argument"),
        (["--output", "taken"], "is not a folder"),
    ],
)
def test_bad_options(run: Run, tmp_path: Path, words: list[str], said: str) -> None:
    """Each is refused before any work, with status 2 and the option's name."""
    (tmp_path / "taken").write_text("")
    status, out, err = run(*words)
    assert status == 2
    assert said in " ".join(err.replace("│", " ").split())
    assert out == ""


def test_a_trace_is_still_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`simulate` with another first word is the replay of a trace, as before."""
    status, _, err = runner(capsys)("simulate", tmp_path / "pulling")
    assert status == 2
    assert "--problem" in err


def test_a_folder_that_cannot_be_made(run: Run, tmp_path: Path) -> None:
    """A folder below a file is refused before any work."""
    (tmp_path / "file").write_text("")
    status, _, err = run("--output", "file/below")
    assert status == 2
    assert "file/below" in err
    assert len(err.splitlines()) == 1
