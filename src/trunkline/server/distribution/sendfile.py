"""Files sent by the kernel, without a copy through Python: ASGI's Zero Copy Send extension.

Source: ASGI specification, extensions, "Zero Copy Send".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import IO, Any, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from trunkline.server.connections import GuardedProtocol

EXTENSION: Final = "http.response.zerocopysend"

PIECE_BYTES: Final = 2**20
"""A client has `idle_s` for each piece. The socket's own buffer takes most of one."""

Send = Callable[[Any], Awaitable[None]]


class SendfileProtocol(GuardedProtocol):
    """A connection that offers the extension where the kernel can do it: not over TLS."""

    def on_headers_complete(self) -> None:
        """A request begins."""
        super().on_headers_complete()
        if self.scheme == "http":
            self.scope.setdefault("extensions", {})[EXTENSION] = {}
            cycle = self.cycle
            plain: Send = cycle.send

            async def send(message: Any) -> None:
                if message["type"] != EXTENSION:
                    await plain(message)
                    return
                await self._send_file(cycle, message["file"], message["offset"], message["count"])
                if not message.get("more_body", False) and not cycle.disconnected:
                    await plain({"type": "http.response.body"})

            cycle.send = send  # type: ignore[method-assign]

    async def _send_file(
        self, cycle: RequestResponseCycle, file: IO[bytes], offset: int, count: int
    ) -> None:
        """Send part of a file; a client that is gone or too slow, or a file that is shorter, ends
        the connection."""
        end = offset + count
        try:
            while offset < end and not cycle.disconnected:
                size = min(PIECE_BYTES, end - offset)
                async with asyncio.timeout(self.limits.idle_s):
                    sent = await self.loop.sendfile(
                        self.transport, file, offset, size, fallback=False
                    )
                if sent < size:
                    raise EOFError
                offset += sent
                cycle.expected_content_length -= sent
        except (OSError, RuntimeError, EOFError, TimeoutError):
            cycle.disconnected = True
            self.transport.abort()
