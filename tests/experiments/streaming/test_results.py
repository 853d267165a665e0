"""Means, intervals and gains of the streaming sweeps, and their files."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from trunkline.experiments.streaming.results import ALL, HEADER, compute, ratio, write


def test_ratio_by_hand():
    """(3 + 6)/(2 + 4) = 1.5 with no spread around it, since both runs have that ratio."""
    found = ratio(np.array([3.0, 6.0]), np.array([2.0, 4.0]))
    assert (found.mean, found.half) == (1.5, 0.0)
    # (2 + 4)/(2 + 2) = 1.5: residuals -1 and 1, 1.96 * sqrt(2)/sqrt(2) / 2.
    found = ratio(np.array([2.0, 4.0]), np.array([2.0, 2.0]))
    assert found.half == pytest.approx(0.98)
    assert np.isnan(ratio(np.ones(2), np.zeros(2)).mean)


def test_tables_and_a_picture_are_written(tmp_path):
    """One table a sweep and one picture a kind, and gains are over downloading first."""
    sweeps = [sweep for sweep in ALL if sweep.name in ("batch", "multicast")]
    lines = compute(sweeps, 2, jobs=1)
    names = {path.name for path in write(tmp_path, lines)}
    assert names == {
        *("streaming-batch.csv", "streaming-multicast.csv"),
        *("streaming-computing.png", "streaming-sharing.png"),
    }
    with (tmp_path / "streaming-batch.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == HEADER
    assert len(rows) == 5 * 6
    first = next(row for row in rows if row["scheme"] == "optimal")
    assert float(first["predicted_gain"]) == pytest.approx(1 / (1 - float(first["rho"])), rel=1e-5)
    base = [row for row in rows if row["scheme"] == "download-first"]
    assert {row["gain"] for row in base} == {"1"}
    assert all(line.predicted_gain is None for line in lines if line.sweep.name == "multicast")
