"""The bodies of requests: read within a time and a size, unpacked, and counted together."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from types import TracebackType
from typing import Final

from starlette.types import Receive

from trunkline.errors import HttpError, InputError, Reason, RefusedError
from trunkline.server.headers import text, whole
from trunkline.server.work import Limits

WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""What zlib is told for each `Content-Encoding`; deflate means the zlib format (RFC 9110)."""

DEFLATE_RATIO: Final = 1032
"""No byte of a deflate stream stands for more (zlib's technical details)."""

BESIDE_BYTES: Final = 2**12
"""Packed bodies longer than this are unpacked in a thread, not in the event loop."""


class ClientGone(Exception):
    """The client hung up; there is nobody to answer."""


class Held:
    """The bytes that the body of one request takes out of those that all may have, until the
    context ends."""

    __slots__ = ("_intake", "bytes")

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.bytes = 0

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release(self.bytes)

    def add(self, size: int) -> None:
        """Take so many more (RefusedError: there are none left)."""
        if self._intake.bytes + size > self._intake.limits.bodies_bytes:
            raise RefusedError(
                Reason.QUEUE_FULL, "the requests that wait take all the memory for requests", 1.0
            )
        self._change(size)

    def release(self, size: int) -> None:
        """Give so many back."""
        self._change(-size)

    def _change(self, size: int) -> None:
        self.bytes += size
        self._intake.bytes += size


class Intake:
    """Reads bodies, and counts the bytes of those whose requests have not ended.

    For the event loop only.

    Attributes:
        bytes: of the bodies that are held.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.bytes = 0

    def hold(self) -> Held:
        """Room for one body, none of it taken yet."""
        return Held(self)

    async def body(self, headers: Mapping[bytes, bytes], receive: Receive, held: Held) -> bytearray:
        """The unpacked body of a request, which `held` has from then on.

        Raises:
            HttpError: 413 too large, packed or unpacked; 408 too slow; 415 an unknown encoding.
            InputError: it is not packed as it says.
            RefusedError: all bodies together are too large.
            ClientGone: the client hung up.
        """
        encoding = (text(headers, b"content-encoding") or "identity").lower()
        if encoding != "identity" and encoding not in WINDOW_BITS:
            raise HttpError(
                415,
                f"Content-Encoding {encoding[:40]!r}: gzip, deflate or none",
                **{"Accept-Encoding": "gzip, deflate"},
            )
        declared = whole(text(headers, b"content-length") or "0")
        if declared is None:
            raise HttpError(400, "Content-Length: no whole number")
        if declared > self.limits.body_bytes:
            raise self._too_large()
        packed = await self._in_time(receive, held)
        return packed if encoding == "identity" else await self._unpack(packed, encoding, held)

    async def _in_time(self, receive: Receive, held: Held) -> bytearray:
        """What comes within `body_s`. As `asyncio.timeout` does it, in a fifth of its time."""
        task, late = asyncio.current_task(), False
        assert task is not None

        def end() -> None:
            nonlocal late
            late = True
            task.cancel()

        timer = asyncio.get_running_loop().call_later(self.limits.body_s, end)
        try:
            return await self._collect(receive, held)
        except asyncio.CancelledError:
            if not late or task.uncancel() > 0:  # the server ends
                raise
            raise HttpError(
                408,
                f"the body did not arrive within {self.limits.body_s:g} s",
                Connection="close",
            ) from None
        finally:
            timer.cancel()

    async def _collect(self, receive: Receive, held: Held) -> bytearray:
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            if len(body) + len(chunk) > self.limits.body_bytes:
                raise self._too_large()
            held.add(len(chunk))
            body += chunk
            more = message.get("more_body", False)
        return body

    async def _unpack(self, packed: bytearray, encoding: str, held: Held) -> bytearray:
        unpacker = zlib.decompressobj(WINDOW_BITS[encoding])
        most = self.limits.body_bytes

        def unpack() -> bytearray:
            return bytearray(unpacker.decompress(packed, most + 1))

        reserved = min(most + 1, DEFLATE_RATIO * len(packed))
        held.add(reserved)
        try:
            small = len(packed) <= BESIDE_BYTES
            found = unpack() if small else await asyncio.to_thread(unpack)
        except zlib.error as problem:
            raise InputError(f"body: not packed as {encoding}: {problem}") from None
        if len(found) > most:
            raise self._too_large()
        if not unpacker.eof or unpacker.unused_data:
            raise InputError(f"body: not one whole {encoding} stream")
        held.release(reserved - len(found))
        return found

    def _too_large(self) -> HttpError:
        return HttpError(413, f"body: more than {self.limits.body_bytes} bytes")
