"""The page on the pulling evaluation holds what the command left, and nothing typed by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import pulling_page

ROOT = Path(__file__).parent.parent


def test_its_tables_are_the_results():
    """Every table on the page is made from the files in docs/results/pulling, to the letter."""
    page = pulling_page.PAGE.read_text(encoding="utf-8")
    assert pulling_page.with_tables(page) == page
    for name in pulling_page.TABLES:
        assert f"<!-- {name} -->\n\n" in page


@pytest.mark.parametrize("page", [pulling_page.PAGE, ROOT / "docs" / "pulling.md"])
def test_its_pictures_are_there(page):
    """Every picture that the pages show is a file."""
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert pictures
    for picture in pictures:
        assert (ROOT / "docs" / picture).stat().st_size > 0


def test_a_missing_place_is_an_error():
    """A table without its place on the page is not dropped silently."""
    page = pulling_page.PAGE.read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="0 places for the table 'shared'"):
        pulling_page.with_tables(page.replace("<!-- shared -->", ""))
