"""The page on the paper's evaluation holds what the command left, and nothing typed by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import reproduction

ROOT = Path(__file__).parent.parent


def test_its_tables_are_the_results():
    """Every table on the page is made from the files in docs/results/loading, to the letter."""
    page = reproduction.PAGE.read_text(encoding="utf-8")
    assert reproduction.with_tables(page) == page
    for name in reproduction.TABLES:
        assert f"<!-- {name} -->\n\n" in page


def test_its_pictures_are_there():
    """Every picture that the page shows is a file."""
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", reproduction.PAGE.read_text(encoding="utf-8"))
    assert len(pictures) == 7
    for picture in pictures:
        assert (ROOT / "docs" / picture).stat().st_size > 0


def test_a_missing_place_is_an_error():
    """A table without its place on the page is not dropped silently."""
    page = reproduction.PAGE.read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="0 places for the table 'rates'"):
        reproduction.with_tables(page.replace("<!-- rates -->", ""))
