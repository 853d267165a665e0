"""The headers of an HTTP request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.types import Scope

from trunkline.errors import HttpError

ONCE: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"host",
        b"inference-header-content-length",
        b"origin",
        b"trunkline-timeout-ms",
    }
)
"""Headers that decide something: two of them are an attempt to be read in two ways."""


def read(scope: Scope, most_bytes: int) -> Mapping[bytes, bytes]:
    """The headers by name in lower case.

    Raises:
        HttpError: more bytes than `most_bytes`, or a header of `ONCE` twice.
    """
    found: dict[bytes, bytes] = {}
    size = len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        if name in found and name in ONCE:
            raise HttpError(400, f"header {name.decode()}: twice")
        found[name] = value
    if size > most_bytes:
        raise HttpError(431, f"headers of {size} bytes, limit {most_bytes}")
    return found


def text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    """A header's value without the white space around it, None if it did not come."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1").strip()


def whole(value: str) -> int | None:
    """A whole number of at most 18 digits, None if the text is none."""
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None
