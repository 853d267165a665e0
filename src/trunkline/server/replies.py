"""What goes back over HTTP: documents, tensors, and every error as `{"error": ...}`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.types import Send

from trunkline.errors import (
    HttpError,
    InputError,
    ModelFailedError,
    Reason,
    RefusedError,
    TrunklineError,
    UnknownModelError,
)

JSON: Final = {"Content-Type": "application/json"}

ONE_WRITE_BYTES: Final = 2**18
"""Smaller bodies are joined: a copy costs less than another write to the socket."""

LONGEST_MESSAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: its status, the pieces of its body, and its headers."""

    status: int
    pieces: Sequence[bytes | memoryview]
    headers: Mapping[str, str]

    @property
    def size(self) -> int:
        """Bytes of its body."""
        return sum(map(len, self.pieces))

    def own_lines(self) -> list[tuple[bytes, bytes]]:
        """Its headers, without the length of its body."""
        return [(key.lower().encode(), value.encode()) for key, value in self.headers.items()]

    def lines(self) -> list[tuple[bytes, bytes]]:
        """Its headers, the length of its body among them."""
        headers = self.own_lines()
        if self.status != 204:  # which has no body, and may not say so
            headers.append((b"content-length", str(self.size).encode()))
        return headers

    async def send(self, send: Send) -> None:
        """Write it to the client."""
        start = {"type": "http.response.start", "status": self.status, "headers": self.lines()}
        await send(start)
        if self.size <= ONE_WRITE_BYTES:
            await send({"type": "http.response.body", "body": b"".join(self.pieces)})
            return
        for piece in self.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Heads:
    """How responses begin, up to their length: the same for most that are sent in one second."""

    def __init__(self) -> None:
        self._for: tuple[object, int, Mapping[str, str]] = (None, 0, {})
        self._bytes = b""

    def of(self, reply: Reply, line: bytes, always: Sequence[tuple[bytes, bytes]]) -> bytes:
        """The status line, the headers that every response has (another object when they change),
        and the reply's own."""
        always_, status, headers = self._for
        if always_ is not always or status != reply.status or headers != reply.headers:
            together = (*always, *reply.own_lines())
            lines = [name + b": " + value + b"\r\n" for name, value in together]
            self._for = always, reply.status, reply.headers
            self._bytes = b"".join([line, *lines])
        return self._bytes


def document(content: Any) -> Reply:
    """A JSON document, status 200."""
    return Reply(200, [msgspec.json.encode(content)], JSON)


def error(status: int, message: str, reason: str = "", **headers: str) -> Reply:
    """An error as the protocol wants it, with our machine-readable reason where there is one."""
    if len(message) > LONGEST_MESSAGE:
        message = message[:LONGEST_MESSAGE] + "..."
    content = {"error": message.encode(errors="replace").decode()}
    if reason:
        content["reason"] = reason
    return Reply(status, [msgspec.json.encode(content)], {**JSON, **headers})


def of_error(found: TrunklineError) -> Reply:
    """The response for an error that was raised on purpose.

    404 for a model that there is not, 400 for an input that cannot be used, 503 for a refusal, with
    `Retry-After` (504 if the batch had begun), 500 for a model's own fault. Any other says that the
    model cannot be served as it is: 409.
    """
    text = str(found)
    if isinstance(found, HttpError):
        return error(found.status, text, **found.headers)
    if isinstance(found, UnknownModelError):
        return error(404, text)
    if isinstance(found, InputError):
        return error(400, text)
    if isinstance(found, ModelFailedError):
        return error(500, text, Reason.FAILED)
    if isinstance(found, RefusedError):
        if found.reason is Reason.LATE:
            return error(504, text, found.reason)
        again = math.ceil(max(1.0, found.retry_after_s or 0.0))
        return error(503, text, found.reason, **{"Retry-After": str(again)})
    return error(409, text)
