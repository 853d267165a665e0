"""A stream on its way through a connection: read in pieces, and paced."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from starlette.types import Receive, Scope, Send

from trunkline.errors import StoreError
from trunkline.server.connections import CLOSE
from trunkline.server.streams.pacing import Bucket
from trunkline.server.streams.reading import StreamReader
from trunkline.server.streams.transfers import Transfer, Transfers

log = logging.getLogger(__name__)

READ_BYTES: Final = 2**18
"""Read at a time; a client takes one such piece of memory, and what its connection holds."""
POLL_S: Final = 0.05
"""The rate may have changed after this."""
BLOCKED_S: Final = 0.2
"""A reader that lets a piece wait so long takes nothing."""


class StreamEnded(Exception):
    """The client is gone, or reads the transfer over another connection, or has ended it."""


class Sender:
    """Sends bytes of one transfer to one client."""

    def __init__(
        self,
        transfers: Transfers,
        transfer: Transfer,
        turn: int,
        gone: asyncio.Future[None],
        clock: Callable[[], float],
    ) -> None:
        self._transfers = transfers
        self._transfer = transfer
        self._turn = turn
        self._gone = gone
        self._clock = clock

    async def send(self, reader: StreamReader, begin: int, end: int, send: Send) -> None:
        """Send the bytes from `begin` to before `end`.

        Raises:
            StreamEnded: nobody reads them any more.
            StoreError: a blob is gone or damaged.
        """
        try:
            while begin < end:
                count = min(READ_BYTES, end - begin)
                try:
                    piece = reader.read(begin, count, wait=False)  # a thread takes longer to wake
                except BlockingIOError:
                    piece = await asyncio.to_thread(reader.read, begin, count)
                await self._send_piece(memoryview(piece), begin, end, send)
                begin += count
                await asyncio.sleep(0)  # others' turn, however fast this one reads
        finally:
            reader.close()

    async def _send_piece(self, piece: memoryview, begin: int, end: int, send: Send) -> None:
        """Send what was read, at the transfer's pace."""
        bucket, loop = self._transfer.bucket, asyncio.get_running_loop()
        at = 0
        while at < len(piece):
            count = len(piece) - at
            if bucket is not None:
                count = await self._wait(bucket, count)
            self._check()
            blocked = loop.call_later(BLOCKED_S, self._transfers.block, self._transfer)
            try:
                part = piece[at : at + count]  # a view: nothing is copied
                more = begin + at + count < end
                await send({"type": "http.response.body", "body": part, "more_body": more})
            finally:
                blocked.cancel()
            self._check()
            at += count
            self._transfers.sent(self._transfer, begin + at, count)

    async def _wait(self, bucket: Bucket, most: int) -> int:
        """How many bytes may go, once they may; the rate may change meanwhile."""
        while True:
            count = min(most, bucket.piece_bytes)
            delay = bucket.wait_s(count, self._clock())
            if delay <= 0:
                return count
            await asyncio.wait([self._gone], timeout=min(delay, POLL_S))
            self._check()

    def _check(self) -> None:
        if self._gone.done() or self._transfer.turn != self._turn:
            raise StreamEnded


async def send_stream(
    transfers: Transfers,
    transfer: Transfer,
    reader: StreamReader,
    span: tuple[int, int],
    channel: tuple[Scope, Receive, Send],
    clock: Callable[[], float],
) -> None:
    """Send a span (begin, end) of a transfer, whose response has begun, and let go of its share.

    Where that fails the connection is closed, and the client sees less than was promised.
    """
    begin, end = span
    scope, receive, send = channel
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        with transfers.reading(transfer, begin) as turn:
            sender = Sender(transfers, transfer, turn, gone, clock)
            await sender.send(reader, begin, end, send)
    except (StreamEnded, StoreError) as error:
        if isinstance(error, StoreError):
            log.error("stream of %r: %s", transfer.layout.model, error)
        if close := scope.get("extensions", {}).get(CLOSE):
            close["close"]()
            await gone
    finally:
        gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
