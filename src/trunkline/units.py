"""Sizes, times and counts as people write and read them: `512MiB`, `12.3 ms`, `1 batch`."""

from __future__ import annotations

import math
import re
from typing import Final

from trunkline.errors import InputError

_FACTORS: Final = {
    "": 1,
    "B": 1,
    "K": 2**10,
    "M": 2**20,
    "G": 2**30,
    "T": 2**40,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
MAX_BYTES: Final = 10**18
"""No size is larger, here and in documents."""

MAX_BITS_PER_S: Final = 1e15

_BITS: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_RATE: Final = re.compile(
    r"\s*(\d{1,30}(?:\.\d{1,30})?)\s*([kmg]?)bit(?:/s)?\s*", re.IGNORECASE | re.ASCII
)
_SIZE: Final = re.compile(r"\s*(\d{1,30}(?:\.\d{1,30})?)\s*([A-Za-z]*)\s*")


def parse_bytes(text: str) -> int:
    """The bytes that a size means: `512MiB`, `2GB`, `1.5 GiB`, `1024`.

    KB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB powers of 1024, and so are K, M, G, T, as
    in `du` and `dd`. A fraction of a byte is dropped.

    Raises:
        InputError: any other text, or more than `MAX_BYTES`.
    """
    found = _SIZE.fullmatch(text)
    factor = _FACTORS.get(found.group(2).upper()) if found else None
    if found is None or factor is None:
        raise InputError(
            f"size {shorten(text, 40)!r}: write a number and a unit, as in 512MiB, 2GB or 1000000"
        )
    number = found.group(1)
    size_bytes = int(number) * factor if "." not in number else int(float(number) * factor)
    if size_bytes > MAX_BYTES:
        raise InputError(f"size {shorten(text, 40)!r}: more than {size(MAX_BYTES)}")
    return size_bytes


def parse_bits_per_s(text: str) -> float:
    """The bits a second that a rate means: `100Mbit`, `1.5 Gbit/s`; powers of 1000, as for `tc`.

    Raises:
        InputError: any other text, 0, or more than a million Gbit.
    """
    found = _RATE.fullmatch(text)
    rate = float(found.group(1)) * _BITS[found.group(2).lower()] if found else 0.0
    if not 0 < rate <= MAX_BITS_PER_S:
        raise InputError(
            f"rate {shorten(text, 40)!r}: write a number over 0 and a unit, as in 100Mbit or 1Gbit"
        )
    return rate


def size(value: float) -> str:
    """A number of bytes in the unit a person would use, powers of 1000: `1.20 MB`."""
    unit, scale = unit_of_size(value)
    return f"{value:.4g} B" if scale == 1.0 else f"{value / scale:,.2f} {unit}"


def unit_of_size(largest_bytes: float) -> tuple[str, float]:
    """The unit for sizes of which `largest_bytes` is the largest, and its bytes: ("MB", 1e6)."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if largest_bytes >= 0.999995 * scale:
            return unit, scale
    return "B", 1.0


def seconds(value: float) -> str:
    """A time in the unit a person would use: `870 us`, `12.3 ms`, `1.24 s`."""
    if value == 0:
        return "0"
    unit, scale = unit_of_time(value)
    return f"{value:.4g} s" if scale == 1.0 else f"{value / scale:.3g} {unit}"


def unit_of_time(longest_s: float) -> tuple[str, float]:
    """The unit for times of which `longest_s` is the longest, and its seconds: ("ms", 0.001)."""
    for unit, scale in (("us", 1e-6), ("ms", 1e-3)):
        if longest_s < 999.5 * scale:
            return unit, scale
    return "s", 1.0


def decimals(largest: float) -> int:
    """Decimals for a column of numbers so that the largest has three digits that count."""
    return 0 if largest <= 0 else max(0, 2 - math.floor(math.log10(largest)))


def count(number: int, noun: str) -> str:
    """So many of something: `1 batch`, `2 batches`, `1,600 tasks`."""
    ending = "" if number == 1 else "es" if noun.endswith(("ch", "s", "sh", "x")) else "s"
    return f"{number:,} {noun}{ending}"


def shorten(text: str, most: int = 80) -> str:
    """A text of at most `most` characters: a longer one loses its middle to `...`."""
    if len(text) <= most:
        return text
    kept = max(most - 3, 2)
    return f"{text[: kept - kept // 2]}...{text[len(text) - kept // 2 :]}"
