"""Sizes as people write them."""

from __future__ import annotations

import pytest

from trunkline.errors import InputError
from trunkline.units import parse_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MiB", 512 * 2**20),
        ("2GB", 2 * 10**9),
        ("1.5 GiB", 3 * 2**29),
        ("1024", 1024),
        ("0", 0),
        ("7k", 7 * 1024),
        (" 3 b ", 3),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    """GB is a power of 1000, GiB and a bare G powers of 1024, no unit means bytes."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1e9", "12 parsecs", "1,5GB", "nan", "1.GB"])
def test_other_texts_are_refused(text: str) -> None:
    """Anything else is an InputError that shows the text."""
    with pytest.raises(InputError, match="write a number and a unit"):
        parse_bytes(text)
