"""Sweeps that can be killed and go on."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.tiny import tiny_preset
from trunkline.errors import InputError
from trunkline.experiments import sweep as module
from trunkline.experiments.cells import RATIO, Cell, Scene, Table
from trunkline.experiments.lines import gen, independent, optimal
from trunkline.experiments.sweep import PART, sweep

ROOT = Path(__file__).parent.parent.parent


LINES = (optimal("sum"), gen(("sum", "slots")))


def table(lines=LINES) -> Table:
    """A small table."""
    preset = tiny_preset()
    scene = Scene(preset, "bottom", 6, preset.point)
    return Table(Cell(scene, line) for line in lines)


def ratios(results):
    """What does not depend on the machine's speed."""
    return results.values[:, :, RATIO].tolist()


def counting(monkeypatch):
    """The parts that are computed from here on, as a list that grows."""
    computed: list[int] = []
    part = module.part

    def counted(table, start, seed, part_runs):
        computed.append(start)
        return part(table, start, seed, part_runs)

    monkeypatch.setattr(module, "part", counted)
    return computed


def test_parts_that_are_there_are_not_computed_again(tmp_path, monkeypatch):
    """More realisations add parts and fewer take from them; every run stays what it was."""
    computed = counting(monkeypatch)
    some = sweep(table(), PART + 3, tmp_path, jobs=1)
    assert computed == [0, PART]
    more = sweep(table(), 3 * PART, tmp_path, jobs=1)
    assert computed == [0, PART, 2 * PART]
    few = sweep(table(), 5, tmp_path, jobs=1)
    assert len(computed) == 3
    assert (some.runs, more.runs, few.runs) == (PART + 3, 3 * PART, 5)
    assert ratios(more)[: PART + 3] == ratios(some)
    assert ratios(few) == ratios(some)[:5]


def test_a_damaged_part_is_computed_again(tmp_path):
    """Half a file, an empty file, or something else in its place: the values are the same."""
    right = ratios(sweep(table(), PART, tmp_path, jobs=1))
    (file,) = tmp_path.rglob("*.npy")
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"something else"):
        file.write_bytes(content)
        assert ratios(sweep(table(), PART, tmp_path, jobs=1)) == right
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [file.name]


@pytest.mark.parametrize(
    "other",
    [
        {"table": table(lines=(optimal("sum"), independent(("sum", "slots"))))},
        {"table": table(lines=(optimal("max"), gen(("sum", "slots"))))},
        {"seed": 1},
    ],
)
def test_other_cells_or_seeds_have_parts_of_their_own(tmp_path, monkeypatch, other):
    """Nothing of one experiment is ever taken for another's."""
    sweep(table(), 2, tmp_path, jobs=1)
    computed = counting(monkeypatch)
    sweep(other.get("table", table()), 2, tmp_path, jobs=1, seed=other.get("seed", 0))
    assert computed == [0]


def test_other_code_computes_anew(tmp_path, monkeypatch):
    """Parts of an older version of the planners are not taken."""
    sweep(table(), 2, tmp_path, jobs=1)
    computed = counting(monkeypatch)
    monkeypatch.setattr(module, "_code", lambda: "another version")
    sweep(table(), 2, tmp_path, jobs=1)
    assert computed == [0]


def test_processes_make_no_difference(tmp_path):
    """Two processes give the values of one, in the order of the realisations."""
    one = sweep(table(), 3 * PART, tmp_path / "one", jobs=1)
    two = sweep(table(), 3 * PART, tmp_path / "two", jobs=2)
    assert ratios(one) == ratios(two)
    assert np.isfinite(two.values).all()


def test_progress_is_told(tmp_path):
    """First what is there, then every part; the end is the whole."""
    sweep(table(), PART, tmp_path, jobs=1)
    told = []
    sweep(table(), 2 * PART, tmp_path, jobs=1, tell=lambda done, total: told.append((done, total)))
    assert told == [(PART, 2 * PART), (2 * PART, 2 * PART)]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    """It is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        sweep(table(), 2, tmp_path / "file", jobs=1)


def test_a_killed_sweep_goes_on(tmp_path):
    """Killed in the middle, it keeps its finished parts, and the rest gives the same values."""
    code = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from tests.experiments.test_sweep import table
        from trunkline.experiments.sweep import sweep
        sweep(table(), 100000, Path({str(tmp_path)!r}), jobs=1)
    """)
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.rglob("*.npy"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    kept = len(list(tmp_path.rglob("*.npy")))
    assert kept >= 2
    resumed = sweep(table(), 3 * PART, tmp_path, jobs=1)
    fresh = sweep(table(), 3 * PART, tmp_path / "fresh", jobs=1)
    assert ratios(resumed) == ratios(fresh)
