"""Sizes and rates as people write and read them: `512MiB`, `2GB`, plain bytes."""

from __future__ import annotations

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
_SIZE: Final = re.compile(r"\s*(\d{1,30}(?:\.\d{1,30})?)\s*([A-Za-z]*)\s*")


def parse_bytes(text: str) -> int:
    """The bytes that a size means: `512MiB`, `2GB`, `1.5 GiB`, `1024`.

    KB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB powers of 1024, and so are K, M, G, T, as
    in `du` and `dd`. A fraction of a byte is dropped.

    Raises:
        InputError: any other text.
    """
    found = _SIZE.fullmatch(text)
    factor = _FACTORS.get(found.group(2).upper()) if found else None
    if found is None or factor is None:
        raise InputError(
            f"size {text!r:.40}: write a number and a unit, as in 512MiB, 2GB or 1000000"
        )
    number = found.group(1)
    return int(number) * factor if "." not in number else int(float(number) * factor)


def format_bytes(size: float) -> str:
    """A size for people, in powers of 1000 and three digits: `43.2 MB`, `512 B`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000.0
    return f"{size:.3g} TB"


def format_seconds(seconds: float) -> str:
    """A time for people, in three digits: `1.35 ms`, `740 µs`, `2.10 s`."""
    if abs(seconds) >= 0.9995:
        return f"{seconds:.3g} s"
    if abs(seconds) >= 0.9995e-3:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds * 1e6:.0f} µs"
