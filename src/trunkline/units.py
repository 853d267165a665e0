"""Sizes as people write them: `512MiB`, `2GB`, plain bytes."""

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
