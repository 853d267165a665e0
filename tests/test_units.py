"""Sizes, times and counts as people write and read them."""

from __future__ import annotations

import pytest

from trunkline.errors import InputError
from trunkline.units import (
    count,
    decimals,
    parse_bits_per_s,
    parse_bytes,
    seconds,
    shorten,
    size,
)


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


@pytest.mark.parametrize("text", ["1" + 18 * "0" + "1", "1000001TB", "9" * 30])
def test_sizes_beyond_every_document_are_refused(text: str) -> None:
    """More than 10^18 bytes is more than a document may hold."""
    with pytest.raises(InputError, match="more than"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1e3, "1.00 kB"),
        (999_994, "999.99 kB"),
        (999_996, "1.00 MB"),
        (1.2345e9, "1.23 GB"),
        (4.2e12, "4,200.00 GB"),
    ],
)
def test_sizes_are_written_in_the_unit_that_fits(value: float, text: str) -> None:
    """Powers of 1000, and never 1,000 of a unit below the largest."""
    assert size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (8.704e-4, "870 us"),
        (0.0123, "12.3 ms"),
        (0.9994, "999 ms"),
        (0.9996, "0.9996 s"),
        (61.5, "61.5 s"),
    ],
)
def test_times_are_written_in_the_unit_that_fits(value: float, text: str) -> None:
    """Microseconds, milliseconds, seconds."""
    assert seconds(value) == text


def test_one_and_many() -> None:
    """The noun follows the number, also where the plural has a syllable more."""
    assert [count(n, "batch") for n in (0, 1, 2)] == ["0 batches", "1 batch", "2 batches"]
    assert [count(n, "block") for n in (1, 1600)] == ["1 block", "1,600 blocks"]


def test_long_texts_lose_their_middle() -> None:
    """Both ends stay, the length is what was asked for, and short texts are untouched."""
    assert shorten("abc" * 9, 27) == "abc" * 9
    short = shorten("a" * 500 + "z" * 500, 21)
    assert short == "aaaaaaaaa...zzzzzzzzz"


def test_columns_have_the_decimals_of_their_largest() -> None:
    """Three digits that count: 0.0123, 1.23, 12.3, 123, 1235."""
    assert [decimals(value) for value in (0.01234, 1.234, 12.34, 123.4, 1234.5, 0)] == [
        *(4, 2, 1, 0, 0, 0),
    ]


@pytest.mark.parametrize(
    ("text", "bits_per_s"),
    [("100Mbit", 1e8), ("1.5 Gbit/s", 1.5e9), ("64kbit", 64e3), ("9600bit/s", 9600.0)],
)
def test_rates_are_read(text: str, bits_per_s: float) -> None:
    """Bits a second, with prefixes that are powers of 1000."""
    assert parse_bits_per_s(text) == bits_per_s


@pytest.mark.parametrize(
    "text", ["", "100", "0Mbit", "-1Mbit", "1e3Mbit", "10MB", "10Tbit", "nanbit", "9" * 20 + "Gbit"]
)
def test_other_rates_are_refused(text: str) -> None:
    """Anything else is an InputError that shows the text."""
    with pytest.raises(InputError, match="write a number over 0 and a unit"):
        parse_bits_per_s(text)
