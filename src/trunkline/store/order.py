"""An order of names that reads digits as numbers."""

from __future__ import annotations

import re
from typing import Final

_DIGITS: Final = re.compile(r"([0-9]+)")


def natural_key(name: str) -> tuple[tuple[int | str, ...], str]:
    """A sort key under which `layer.2` comes before `layer.10`; ties fall to the text itself."""
    parts: list[int | str] = []
    for i, part in enumerate(_DIGITS.split(name)):
        # Odd positions are runs of digits, so numbers only ever meet numbers. Python converts up
        # to 4,300 digits; runs beyond a thousand count as equal and fall to the text.
        parts.append((int(part) if len(part) < 1000 else 10**999) if i % 2 else part)
    return tuple(parts), name
