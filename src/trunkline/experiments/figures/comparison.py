"""The paper's numbers beside ours, as one table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from trunkline.experiments.cells import Estimate
from trunkline.experiments.figures.base import Claim, write_csv
from trunkline.experiments.lines import READINGS

CLOSE = 3.0
"""A served ratio counts as reproduced within this many points of the paper's."""

COLUMNS = (
    "figure",
    "number",
    "unit",
    "paper",
    "ours",
    "difference",
    "within 3",
    *(f"{upload}, {clock}" for upload, clock in READINGS[1:]),
)
"""`ours` is as printed: upload "max", in slots; the last three are the other readings."""


def comparison_rows(claims: Sequence[Claim]) -> list[tuple[str, ...]]:
    """The rows of the table, `COLUMNS`; intervals are 95 % ones; only served ratios are judged."""
    rows = []
    for claim in claims:
        printed = claim.ours[READINGS[0]]
        away = printed.mean - claim.paper
        judged = claim.unit == "points"
        rows.append(
            (
                claim.figure,
                claim.text,
                claim.unit,
                _number(claim.paper),
                _shown(printed),
                f"{away:+.1f}" if judged else "",
                ("yes" if abs(away) <= CLOSE else "no") if judged else "",
                *(
                    _shown(claim.ours[reading]) if reading in claim.ours else ""
                    for reading in READINGS[1:]
                ),
            )
        )
    return rows


def write_comparison(folder: Path, claims: Sequence[Claim]) -> Path:
    """Write `comparison.csv`; returns its path (InputError if it cannot be written)."""
    return write_csv(folder / "comparison.csv", COLUMNS, comparison_rows(claims))


def _shown(value: Estimate) -> str:
    if math.isnan(value.half):
        return _number(value.mean)
    return f"{value.mean:.1f} +- {value.half:.1f}"


def _number(value: float) -> str:
    """At most one decimal, small ones with two digits."""
    return f"{value:.2g}" if abs(value) < 1 else f"{value:,.1f}".removesuffix(".0")
