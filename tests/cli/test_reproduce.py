"""`trunkline reproduce`, run as a user runs it (in a tiny setting)."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from importlib import util
from pathlib import Path

import msgspec
import pytest

from tests.cli.commands import trunkline
from tests.experiments.tiny import tiny_preset
from trunkline.experiments.preset import SET_A_FILE, load_preset


@pytest.fixture
def tiny(tmp_path):
    """A preset document of a user's own."""
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(msgspec.to_builtins(tiny_preset())))
    return path


def simulate(tiny: Path, folder: Path, *more: object) -> subprocess.CompletedProcess[str]:
    """A run of the tiny setting in one process."""
    return trunkline("reproduce", "loading", "--preset", tiny, "--dir", folder, "--jobs", 1, *more)


def test_it_leaves_figures_tables_and_the_comparison(tiny, tmp_path):
    """Each figure's table and picture, and the paper's numbers beside ours, also on the screen."""
    done = simulate(tiny, tmp_path / "out", "--runs", 3, "--figures", "6,9")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "comparison.csv", "figure-6.csv", "figure-6.png", "figure-9.csv", "figure-9.png", "parts",
    }  # fmt: skip
    with (tmp_path / "out" / "comparison.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == 10 + 8
    assert "in each of 3 realisations" in done.stdout
    assert "Gen - Ind" in done.stdout
    assert done.stdout.count("optimal: proven in every realisation") == 2


def test_a_second_call_computes_nothing_anew(tiny, tmp_path):
    """The same command again takes the parts that are there, and leaves the same tables."""
    first = simulate(tiny, tmp_path / "out", "--runs", 3, "--figures", "6")
    parts = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.npy")}
    table = (tmp_path / "out" / "figure-6.csv").read_bytes()
    assert first.returncode == 0
    assert parts
    simulate(tiny, tmp_path / "out", "--runs", 3, "--figures", "6")
    assert parts == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.npy")}
    assert table == (tmp_path / "out" / "figure-6.csv").read_bytes()


def test_the_preset_can_be_printed_and_used(tmp_path):
    """`--print-preset` prints set A with its comments, and nothing else."""
    done = trunkline("reproduce", "loading", "--print-preset")
    assert done.stdout == SET_A_FILE.read_text()
    path = tmp_path / "copy.yaml"
    path.write_text(done.stdout)
    assert load_preset(path) == load_preset()


BAD = {
    "no such figure": (["--figures", "6,10"], "no figure '10'; there are 6, 7, 8, 9"),
    "no such preset": (["--preset", "missing.yaml"], "missing.yaml: cannot be read"),
    "no processes": (["--jobs", "0"], "--jobs 0: a number of processes"),
    "a folder that is a file": (["--dir", __file__, "--figures", "9"], "test_reproduce.py"),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case)
def test_bad_input_is_one_line_and_status_2(case, tmp_path, monkeypatch):
    """The message names what and where; no traceback."""
    monkeypatch.chdir(tmp_path)
    options, message = BAD[case]
    done = trunkline("reproduce", "loading", *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_needs_a_missing_package_is_left_out_unless_it_is_named(tiny, tmp_path, monkeypatch):
    """Without torch the simulations run, and the others say what they need."""
    find = util.find_spec

    def without_torch(name, *more):
        return None if name == "torch" else find(name, *more)

    monkeypatch.setattr(util, "find_spec", without_torch)
    named = simulate(tiny, tmp_path / "out", "--figures", "1")
    assert named.returncode == 2
    assert "figure 1 needs torch: pip install 'trunkline[demo]'" in named.stderr
    everything = simulate(tiny, tmp_path / "out", "--runs", 2)
    assert everything.returncode == 0, everything.stderr
    assert "left out: figure 2 needs torch" in everything.stdout
    assert (tmp_path / "out" / "sensitivity.csv").exists()


def test_a_setting_that_cannot_be_planned_is_one_line(tmp_path):
    """What a planner refuses in another process is said like any bad input."""
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(msgspec.to_builtins(tiny_preset(slot_s=1e-9))))
    done = trunkline(
        "reproduce", "loading", "--preset", path, "--dir", tmp_path / "out", "--runs", 2,
        "--jobs", 2, "--figures", "6",
    )  # fmt: skip
    assert done.returncode == 2
    assert "over 100000 slots" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def is_gone(group: int) -> bool:
    """Whether a group of processes ends within some seconds."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_an_interrupted_run_says_how_to_go_on(tiny, tmp_path):
    """Control-C ends with status 130 and one line, leaves no process behind, and keeps parts."""
    command = [sys.executable, "-m", "trunkline", "reproduce", "loading", "--preset", str(tiny)]
    command += ["--dir", str(tmp_path / "out"), "--runs", "200000", "--figures", "6", "--jobs", "2"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "LOKY_MAX_CPU_COUNT": "2"},
    )
    try:
        limit = time.monotonic() + 60
        while not list(tmp_path.rglob("*.npy")) and time.monotonic() < limit:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted. What is done is in" in err
    assert "Traceback" not in err
    assert list(tmp_path.rglob("*.npy"))
    assert is_gone(process.pid)
