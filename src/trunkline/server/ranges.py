"""Which bytes a request wants, of a blob or a stream (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from trunkline.errors import HttpError
from trunkline.server.headers import text

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


def ranged(
    method: str, found: Mapping[bytes, bytes], what: str, size: int, etag: str
) -> tuple[int, dict[str, str], int, int]:
    """The answer to a GET or HEAD of something that may be asked for in part.

    Args:
        found: the request's headers.
        what: it is, for the error: "blob", "stream".
        size, etag: its bytes, and what names them, quotes and all.

    Returns:
        Status (200 or 206), headers, first byte and count of what is to be sent.

    Raises:
        HttpError: 416, none of the bytes that were asked for is there.
    """
    asked = text(found, b"range") if method == "GET" else None
    if (text(found, b"if-range") or etag) != etag:
        asked = None
    try:
        part = read_range(asked, size)
    except UnsatisfiableError:
        raise HttpError(
            416,
            f"range {str(asked)[:60]!r}: the {what} has {size} bytes",
            **{"Content-Range": f"bytes */{size}"},
        ) from None
    begin, count = part or (0, size)
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Length": str(count)}
    if part is not None:
        headers["Content-Range"] = f"bytes {begin}-{begin + count - 1}/{size}"
    return 200 if part is None else 206, headers, begin, count
