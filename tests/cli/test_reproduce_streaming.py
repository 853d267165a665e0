"""`trunkline reproduce streaming`, run as a user runs it."""

from __future__ import annotations

import pytest

from tests.cli.commands import trunkline


def test_it_leaves_tables_and_says_what_they_come_to(tmp_path):
    """A sweep's table, the picture, rho and gains on the screen, and what is not known."""
    run = trunkline(
        "reproduce", "streaming", "--runs", 2, "--figures", "batch", "--jobs", 1, "--dir", tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "streaming-batch.csv").exists()
    assert (tmp_path / "streaming-computing.png").exists()
    assert "30 values in each of 2 realisations" in run.stdout
    assert "'significantly improves task throughput'" in run.stdout
    assert "only its abstract was" in run.stdout


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--figures", "6"], "no figure '6'; there are bandwidth, deadline, users"),
        (["--print-preset"], "streaming has no preset"),
        (["--jobs", "0"], "--jobs 0"),
        (["--dir", __file__, "--figures", "batch"], "test_reproduce_streaming.py"),
    ],
)
def test_bad_options_end_with_one_line(options, error):
    """What cannot be done is refused with status 2."""
    run = trunkline("reproduce", "streaming", *options)
    assert run.returncode == 2
    assert error in run.stderr
    assert "Traceback" not in run.stderr
