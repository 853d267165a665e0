"""HTTP connections that cannot be held open, or filled, by clients that send or read too slowly.

uvicorn with httptools waits for ever for the head of a request, takes heads of any length, and
keeps what a client does not read. Here each has its limit; the body's is the app's (`bodies`).
"""

from __future__ import annotations

import asyncio
from typing import ClassVar, Final, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from trunkline.server.work import Limits

CLOSE: Final = "trunkline.close"
"""An ASGI extension: `scope["extensions"][CLOSE]["close"]()` ends the connection at once, for a
response that cannot be completed. (Without it uvicorn ends it, too, and logs an error.)"""


def guarded(
    limits: Limits, protocol: type[GuardedProtocol] | None = None
) -> type[asyncio.Protocol]:
    """The protocol for uvicorn's `http` setting, with these limits."""
    base = protocol or GuardedProtocol
    return cast(type[asyncio.Protocol], type("Guarded", (base,), {"limits": limits}))


class GuardedProtocol(HttpToolsProtocol):
    """A connection. It is closed when a head takes longer than `head_s` or more than `head_bytes`,
    when nothing of an answer is read for `idle_s`, or when there are too many connections."""

    limits: ClassVar[Limits] = Limits()

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_message = False
    _in_body = False
    _ended = 0
    _read_timer: asyncio.TimerHandle | None = None
    _unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or close it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(503, "too many connections")
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._await_no_head()
        self._unset_keepalive_if_required()
        if self._read_timer is not None:
            self._read_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and see that a head does not grow or take for ever."""
        if self.transport.is_closing():
            return
        in_body, ended = self._in_body, self._ended
        super().data_received(data)
        if self.transport.is_closing() or not self._between():
            return
        # a request that was answered at once, or the rest of a body that was refused, is no head
        if not (in_body or self._in_body) and self._ended == ended:
            self._head_bytes += len(data)
        if self._head_bytes > self.limits.head_bytes:
            self._refuse(431, f"headers of more than {self.limits.head_bytes} bytes")
        elif self._head_timer is None:
            self._await_head()

    def on_message_begin(self) -> None:
        """The first byte of a request is there."""
        self._in_message = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request begins."""
        self._await_no_head()
        self._head_bytes = 0
        self._in_body = True
        super().on_headers_complete()
        self.scope["extensions"] = {CLOSE: {"close": self.transport.abort}}

    def on_message_complete(self) -> None:
        """A request is there as a whole."""
        self._in_message = self._in_body = False
        self._ended += 1
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request was answered."""
        super().on_response_complete()
        self._await_reader()

    def pause_writing(self) -> None:
        """The client does not read as fast as answers come."""
        super().pause_writing()
        self._await_reader()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(400, msg)

    def _between(self) -> bool:
        """Whether no request is being answered."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.head_s, self._head_is_late)

    def _await_no_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._between():
            self.transport.close()

    def _await_reader(self) -> None:
        """Look again in `idle_s` whether the client has read any of what is still here."""
        self._unread = self.transport.get_write_buffer_size()
        if self._unread and self._read_timer is None:
            self._read_timer = self.loop.call_later(self.limits.idle_s, self._has_it_read)

    def _has_it_read(self) -> None:
        self._read_timer = None
        if self.transport.get_write_buffer_size() >= self._unread > 0:
            self.transport.abort()
        else:
            self._await_reader()

    def _refuse(self, status: int, message: str) -> None:
        body = msgspec.json.encode({"error": message})
        head = (
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self._await_no_head()
        self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()
