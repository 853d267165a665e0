"""The paper's numbers beside ours."""

from __future__ import annotations

import csv
import math

from trunkline.experiments.cells import Estimate
from trunkline.experiments.figures import Claim
from trunkline.experiments.figures.comparison import COLUMNS, comparison_rows, write_comparison
from trunkline.experiments.lines import READINGS

NONE = math.nan


def row(claim):
    """The row of one claim as a dict."""
    (only,) = comparison_rows([claim])
    return dict(zip(COLUMNS, only, strict=True))


def test_the_first_reading_is_judged():
    """As printed, the difference has a sign, and within 3 points counts as reproduced."""
    ours = {reading: Estimate(n + 20.04, 0.5) for n, reading in enumerate(READINGS)}
    found = row(Claim("6(a)", "Spec - Ind", "points", 23.0, ours))
    assert (found["paper"], found["ours"]) == ("23", "20.0 +- 0.5")
    assert (found["difference"], found["within 3"]) == ("-3.0", "yes")
    assert found["sum, continuous"] == "23.0 +- 0.5"
    assert row(Claim("6(a)", "", "points", 23.1, ours))["within 3"] == "no"


def test_times_and_shares_are_shown_but_not_judged():
    """Another machine's times are no reproduction; a number without readings has one column."""
    found = row(Claim("9(a)", "Spec's time", "ms", 5.6, {READINGS[0]: Estimate(0.5678, NONE)}))
    assert (found["ours"], found["difference"], found["within 3"]) == ("0.57", "", "")
    assert found["sum, slots"] == ""
    found = row(Claim("9(a)", "ratio", "times", 3681.0, {READINGS[0]: Estimate(21.04, NONE)}))
    assert (found["paper"], found["ours"]) == ("3,681", "21")


def test_the_table_is_written(tmp_path):
    """A CSV file with the columns and a row for each claim."""
    claims = [Claim("1", "share", "percent", 88.94, {READINGS[0]: Estimate(40.0, NONE)})] * 2
    path = write_comparison(tmp_path, claims)
    with path.open(newline="") as file:
        found = list(csv.reader(file))
    assert found[0] == list(COLUMNS)
    assert len(found) == 3
