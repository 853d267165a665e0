"""The HTTP calls of streams: open one, read it (from anywhere on), end it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec
from starlette.types import Receive, Scope, Send

from trunkline.server import paths
from trunkline.server.bodies import Intake
from trunkline.server.ranges import ranged
from trunkline.server.replies import JSON, Reply
from trunkline.server.streams.counting import StreamMetrics
from trunkline.server.streams.layout import Layout
from trunkline.server.streams.offering import Offer
from trunkline.server.streams.sending import send_stream
from trunkline.server.streams.transfers import MOST, StreamLimits, Transfer, Transfers
from trunkline.server.streams.wish import BODY_BYTES, Wish, read_wish
from trunkline.server.work import Limits
from trunkline.store import Store

BODIES: Final = 8
"""So many bodies of the largest size are taken at once."""


class Streams:
    """Answers the calls.

    Args:
        offer: the models.
        limits: of the server.
        streams: of the streams.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        offer: Offer,
        limits: Limits,
        streams: StreamLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._offer = offer
        both = replace(limits, body_bytes=BODY_BYTES, bodies_bytes=BODIES * BODY_BYTES)
        self._intake = Intake(both)
        self._clock = clock
        self.transfers = Transfers(streams or StreamLimits(), clock)
        self.metrics = StreamMetrics(self.transfers)

    async def open(self, model: str, headers: Mapping[bytes, bytes], receive: Receive) -> Reply:
        """Open a stream of a model.

        Raises:
            UnknownModelError: none of that name is offered.
            InputError, HttpError: the body cannot be used, is too large or too slow.
            RefusedError: the model is damaged, too many streams are open, or the deadline cannot be
                met beside those of others.
        """
        with self._intake.hold() as held:
            body = await self._intake.body(headers, receive, held)
            wish, layout, documents = await asyncio.to_thread(self._prepare, model, body)
        transfer = self.transfers.open(layout, wish)
        content = {
            "id": transfer.id,
            "model": layout.model,
            "manifest": layout.manifest,
            "bytes": layout.bytes,
            "etag": layout.etag,
            "rate_bytes_per_s": self.transfers.rate(transfer),
            "admitted": transfer.reserved,
            "blocks": [one.document() for one in layout.blocks],
            "documents": documents,
        }
        where = {**JSON, "Location": paths.STREAMS + transfer.id}
        return Reply(201, [msgspec.json.encode(content)], where)

    def _prepare(self, model: str, body: bytearray) -> tuple[Wish, Layout, dict[str, Any]]:
        wish = read_wish(body)
        stored = self._offer.model(model)
        wish.compute_of(len(stored.blocks))  # before anything is read
        have = frozenset(wish.have)
        layout = self._offer.layout(stored, have)
        compute_s: float | list[float] = wish.compute_s
        if isinstance(compute_s, list):  # in the order of the manifest, and so to be rearranged
            each = {one.digest: s for one, s in zip(stored.blocks, compute_s, strict=True)}
            compute_s = [each[one.block.digest] for one in layout.blocks]
        # nobody needs the digests any more, and they may be many
        wish = msgspec.structs.replace(wish, have=[], compute_s=compute_s)
        return wish, layout, self._offer.documents(stored, have)

    def close(self, id: str) -> Reply:
        """End a stream (HttpError: 404, there is none such)."""
        self.transfers.close(self.transfers.get(id))
        return Reply(204, [], {})

    async def read(
        self, id: str, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, send: Send
    ) -> Reply | None:
        """Send a stream, or a range of it; a reply where there is nothing to send.

        Raises:
            HttpError: 404, there is none such; 416, the range begins behind its end.
        """
        transfer = self.transfers.get(id)
        status, answer, (begin, end) = _answer(transfer, scope["method"], headers)
        lines = [(key.lower().encode(), value.encode()) for key, value in answer.items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return None
        reader = self._offer.reader(transfer.layout)
        await send_stream(
            self.transfers, transfer, reader, (begin, end), (scope, receive, send), self._clock
        )
        return None


def streams_of(
    store: Store,
    limits: Limits,
    only: Collection[str] | None = None,
    link_bytes_per_s: float | None = None,
    most: int | None = None,
) -> Streams:
    """What offers the models of a store (those named by `only`) as streams.

    Args:
        link_bytes_per_s: the rate that they share; None to send as fast as it goes.
        most: streams that are open at once; None for the default.
    """
    streams = StreamLimits(link_bytes_per_s, MOST if most is None else most)
    return Streams(Offer(store, only), limits, streams)


def _answer(
    transfer: Transfer, method: str, headers: Mapping[bytes, bytes]
) -> tuple[int, dict[str, str], tuple[int, int]]:
    """Status, headers, and the first byte and the one behind the last."""
    layout = transfer.layout
    status, answer, begin, count = ranged(method, headers, "stream", layout.bytes, layout.etag)
    answer |= {"Content-Type": "application/octet-stream", "Cache-Control": "no-store"}
    return status, answer, (begin, begin + count)
