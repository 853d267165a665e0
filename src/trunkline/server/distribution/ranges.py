"""Which bytes of a blob a request wants (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import Final

_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class UnsatisfiableError(Exception):
    """A range that begins behind the end."""


def read_range(text: str | None, size: int) -> tuple[int, int] | None:
    """First byte and count of a single range of `size` bytes; None where the whole is to be sent:
    no range, one that breaks the grammar, or several.

    Raises:
        UnsatisfiableError: none of its bytes is there.
    """
    found = None if text is None else _RANGE.fullmatch(text.replace(" ", ""))
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:  # the last so many bytes
        count = min(int(last), size)
        if count == 0:
            raise UnsatisfiableError
        return size - count, count
    begin = int(first)
    if last and int(last) < begin:
        return None
    if begin >= size:
        raise UnsatisfiableError
    end = min(int(last), size - 1) if last else size - 1
    return begin, end - begin + 1
