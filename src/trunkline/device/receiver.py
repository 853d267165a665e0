"""The thread that receives: it always drains the socket, whatever the forward does.

Where the connection breaks it asks again for the rest, from the byte where it broke. Where the
server does not know the transfer any more (it was started anew), it opens another, of what has not
come yet; a block of which only a part had come is then sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Final

import urllib3
from urllib3.exceptions import HTTPError

from trunkline.device.incoming import Expected, Incoming
from trunkline.device.keeper import Keeper
from trunkline.device.server import StreamServer, Transfer, lost
from trunkline.errors import StreamError, StreamUnavailableError
from trunkline.runtime.arrivals import Arrivals
from trunkline.runtime.bringing import Bringer
from trunkline.store import StoredBlock, StoredModel
from trunkline.store.header import Header
from trunkline.store.manifest import Layer
from trunkline.store.receiving import Reception

PIECE_BYTES: Final = 2**17
PROGRESS_BYTES: Final = 2**20
"""A try that brought so much, or a block, counts as progress, and patience begins anew."""

_OTHER: Final = frozenset({200, 404, 410, 416})
"""Statuses that say that the transfer is not the one that was opened."""


class Receiver(Thread):
    """Receives the blocks of one model and delivers each when its content was checked.

    Args:
        transfer: opened already.
        reopen: opens another, since the server knows the first no more.
        reception: the model's place in the store.
        lacking: the blocks that are to come.
        bringer, arrivals, keeper: where they go.
    """

    def __init__(
        self,
        server: StreamServer,
        transfer: Transfer,
        reopen: Callable[[], Transfer],
        reception: Reception,
        lacking: Mapping[str, Layer],
        bringer: Bringer,
        arrivals: Arrivals,
        keeper: Keeper,
    ) -> None:
        super().__init__(name="trunkline-receive", daemon=True)
        self.model: Future[StoredModel] = Future()
        self.transfer = transfer
        self.received = self.cuts = self.reopened = 0
        self._server = server
        self._reopen = reopen
        self._reception = reception
        self._lacking = dict(lacking)
        self._bringer = bringer
        self._arrivals = arrivals
        self._keeper = keeper
        self._headers: dict[str, Header] = {}
        self._blocks: dict[str, StoredBlock] = {}
        self._read_s = 0.0
        self._kept = 0  # bytes of blocks that are whole
        self._halt = Event()
        self._lock = Lock()
        self._response: urllib3.BaseHTTPResponse | None = None

    @property
    def done(self) -> bool:
        """Whether all has come."""
        return not self._lacking

    def stop(self) -> None:
        """End soon, also where the server is silent."""
        self._halt.set()
        with self._lock, suppress(ValueError, RuntimeError, OSError):  # it has just ended by itself
            if self._response is not None:
                self._response.shutdown()

    def run(self) -> None:
        """Receive all; what goes wrong is told to whoever waits for a block."""
        try:
            if not self._lacking:
                self.model.set_result(self._reception.model({}))
            self._receive()
            self._server.end(self.transfer)  # at once: others can have its share of the link
        except BaseException as error:  # whoever waits has to be told, whatever it is
            if not self.model.done():
                self.model.set_exception(error)
            self._arrivals.fail(error)

    def _receive(self) -> None:
        tried, since, blocks = 0, 0, len(self._lacking)
        incoming: Incoming | None = self._incoming()
        while self._lacking:
            try:
                if incoming is None:
                    incoming = self._anew()
                self._once(incoming)
            except StreamError as error:
                if self._halt.is_set():
                    raise StreamError("the transfer was given up") from None
                again = isinstance(error, StreamUnavailableError)
                if not again and error.status not in _OTHER:
                    raise
                here = self._kept + (incoming.begun if incoming is not None else 0)
                if here >= since + PROGRESS_BYTES or len(self._lacking) < blocks:
                    tried, since, blocks = 0, max(since, here), len(self._lacking)
                tried += 1
                self._wait(tried, error)
                self.cuts += 1
                if not again:
                    incoming = None

    def _anew(self) -> Incoming:
        """Another transfer, of what has not come yet."""
        try:
            self.transfer = self._reopen()
        except StreamUnavailableError:
            raise
        except StreamError as error:  # its status is none of the transfer's
            raise StreamError(str(error)) from None
        self.reopened += 1
        return self._incoming()

    def _wait(self, tried: int, error: StreamError) -> None:
        as_lost = StreamUnavailableError(str(error), error.status)
        if isinstance(error, StreamUnavailableError):
            as_lost = error
        delay_s = self._server.patience.delay_s(tried, as_lost)
        if delay_s is None or self._halt.wait(delay_s):
            raise error

    def _incoming(self) -> Incoming:
        expected = Expected(
            self.transfer.size, self.transfer.manifest, dict(self._lacking), self._server.url
        )
        return Incoming(expected, self._describe, self._take)

    def _once(self, incoming: Incoming) -> None:
        """One request, as far as it goes."""
        with self._server.stream(self.transfer, incoming.at) as response:
            with self._lock:
                self._response = response
            try:
                self._drain(response, incoming)
            finally:
                with self._lock:
                    self._response = None

    def _drain(self, response: urllib3.BaseHTTPResponse, incoming: Incoming) -> None:
        while incoming.left and not self._halt.is_set():
            try:
                piece = response.read1(PIECE_BYTES)
            except (HTTPError, OSError) as error:
                place = f" at byte {incoming.at} of {self.transfer.size}"
                raise lost(self._server.url, error, place) from None
            self._read_s = self._arrivals.clock()
            if not piece:
                break
            self.received += len(piece)
            incoming.feed(piece)
        if incoming.left:
            raise StreamUnavailableError(
                f"{self._server.url} ended the stream at byte {incoming.at} of {self.transfer.size}"
            )

    def _describe(self, headers: Mapping[str, Header]) -> None:
        """The header of a stream was read; of one that goes on for another, it says the same."""
        if self.model.done():
            if any(self._headers.get(digest) != header for digest, header in headers.items()):
                raise StreamError(f"{self._server.url} says another thing of a block than before")
            return
        self._headers.update(headers)
        model = self._reception.model(headers)
        self._blocks = {block.digest: block for block in model.blocks}
        self.model.set_result(model)

    def _take(self, digest: str, content: bytearray) -> None:
        arrived_s = self._read_s
        block = self._blocks[digest]
        made = self._bringer.from_bytes(block, memoryview(content))
        del self._lacking[digest]
        self._kept += len(content)
        self._arrivals.deliver(made, block.bytes, arrived_s)
        self._keeper.put(digest, content)
