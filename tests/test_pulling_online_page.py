"""The page on online pulling: what its text claims stands in the tables that it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "pulling-online.md").read_text(encoding="utf-8")

Row = dict[str, float]


def table(name: str, title: str) -> dict[str, Row]:
    """The rows of a table in docs/results by learner; intervals are left out."""
    text = (DOCS / "results" / f"{name}.txt").read_text(encoding="utf-8")
    lines = text[text.index(title) :].splitlines()
    heads = re.split(r"\s{2,}", lines[1].strip())
    if "param." in heads:
        heads = lines[1].split()
    rows = {}
    for line in lines[3:]:
        cells = re.sub(r" ± +[\d.,]+", "", line).replace(",", "").replace("%", "").split()
        if not cells or cells[0] in ("n", "edge:", "edge"):  # what follows the table
            break
        if "bound" in heads and not cells[0].startswith("exp4-rc"):
            cells.insert(heads.index("bound"), "nan")
        numbers = [float("nan") if cell == "-" else float(cell) for cell in cells[1:]]
        rows[cells[0]] = dict(zip(heads[1:], numbers, strict=True))
    return rows


def test_the_stationary_claims() -> None:
    """EXP4-RC is under its bound with an exponent of at most .6, UCB1's is at least .85, and a
    tuned epsilon-greedy is better."""
    rows = table("pulling-online-stationary", "stationary:")
    for name in ("exp4-rc", "exp4-rc-anytime", "exp4-rc-tuned"):
        assert rows[name]["regret"] <= rows[name]["bound"]
        assert rows[name]["exponent"] <= 0.6
    assert rows["ucb1"]["exponent"] >= 0.85
    assert rows["ucb1"]["regret"] > rows["exp4-rc"]["bound"]
    for name in ("eps-greedy", "eps-greedy-0.1"):
        assert rows[name]["regret"] < rows["exp4-rc-tuned"]["regret"] < rows["exp4-rc"]["regret"]
    assert rows["eps-greedy-0.5"]["exponent"] > 0.9


@pytest.mark.parametrize("name", re.findall(r"\]\((pictures/[^)]+)\)", PAGE))
def test_the_pictures(name: str) -> None:
    """Every picture of the page is there."""
    assert (DOCS / name).stat().st_size > 0


def test_the_edge_claims() -> None:
    """There EXP4-RC, though below its bound, loses more than every other kind of learner, and than
    what does not learn; LinUCB loses least, and less than the oracle."""
    rows = table("pulling-online-edge", "edge:")
    ours = rows["exp4-rc"]
    assert ours["regret"] <= ours["bound"]
    better = ("tsrc", "linucb-best", "vaw", "eps-greedy-0.5", "ucb1", "lru", "never-pull")
    assert all(rows[name]["loss"] < ours["loss"] for name in better)
    assert rows["eps-greedy"]["loss"] < 0.5 * ours["loss"]
    assert rows["linucb-oracle"]["loss"] < rows["oracle"]["loss"]
    assert min(rows, key=lambda name: rows[name]["loss"]).startswith("linucb")
    assert rows["lru"]["loss"] == rows["lfu"]["loss"]


def test_sharing_claims() -> None:
    """Without sharing everybody who pulls loses more, pull on demand most of all."""
    shared, apart = table("pulling-online-edge", "edge:"), table("pulling-online-apart", "edge,")
    for name in ("exp4-rc", "tsrc", "eps-greedy", "ucb1", "lru"):
        assert apart[name]["loss"] > shared[name]["loss"]
    more = {name: apart[name]["loss"] - shared[name]["loss"] for name in apart}
    assert max(more, key=lambda name: more[name]) in ("lru", "lfu")
    assert max(more["vaw"], more["never-pull"]) < 0.002
    moved = (
        table("pulling-online-edge", "edge: means"),
        table("pulling-online-apart", "edge, no sharing: means"),
    )
    assert moved[1]["lru"]["pulled GB"] > 10 * moved[0]["lru"]["pulled GB"]
