"""One blob from a registry into the store: streamed, hashed on the way, resumed where it broke."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import urllib3
from urllib3.exceptions import HTTPError

from trunkline.errors import RegistryError, RegistryUnavailableError
from trunkline.store.layout import Layout
from trunkline.store.manifest import Layer
from trunkline.store.partial import Partial, open_partial
from trunkline.store.registry.failures import why_lost
from trunkline.store.registry.repository import Repository
from trunkline.store.registry.transport import WORKERS

PIECE_BYTES: Final = 2**18
PROGRESS_BYTES: Final = 2**20
"""A try that brought so much counts as progress, and patience begins anew."""

_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_RANGE: Final = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)")

Arrived = Callable[[int], None]
"""Told of bytes that are in the store now; of less than none where some were thrown away."""


class Interrupted(Exception):
    """Another thread failed or the user interrupted; what is here stays."""


class Fetcher:
    """Brings blobs from repositories into a store; used by several threads.

    Args:
        layout: the store's files; the caller holds `layout.importing()`.
        arrived: told of progress.
        requests: blobs on their way at once; more threads may wait for the disk meanwhile.
    """

    def __init__(self, layout: Layout, arrived: Arrived, requests: int = WORKERS) -> None:
        self._layout = layout
        self._arrived = arrived
        self._stop = threading.Event()
        self._requests = threading.Semaphore(requests)
        self._lock = threading.Lock()
        self._reading: set[urllib3.BaseHTTPResponse] = set()
        self._left: set[Repository] = set()
        self.received = 0
        self.resumed = 0

    def fetch(self, layer: Layer, holders: Sequence[Repository]) -> None:
        """Bring a blob from the first holder that has it right.

        Raises:
            RegistryError: no holder brought it; of the last one.
            StoreError: the store cannot be written to.
            Interrupted: `stop` was called.
        """
        with open_partial(self._layout, layer.digest, layer.size, self._pause) as partial:
            if partial is None:
                self._arrived(layer.size)
                return
            partial.read_back(self._stop.is_set)
            self._arrived(partial.done)
            with self._requests:
                self._from_any(holders, partial)
            with self._lock:
                self.resumed += partial.resumed
            partial.publish()

    def stop(self) -> None:
        """End every fetch with `Interrupted`, also one that waits for a silent registry."""
        self._stop.set()
        with self._lock:
            for response in self._reading:
                with suppress(ValueError, RuntimeError, OSError):  # it has just ended by itself
                    response.shutdown()

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Interrupted

    def _from_any(self, holders: Sequence[Repository], partial: Partial) -> None:
        for holder in holders[:-1]:
            if holder in self._left:
                continue
            try:
                return self._from(holder, partial)
            except RegistryError as error:
                if error.status != 404:  # it is gone, or lies: none of the others asks it
                    self._left.add(holder)
        self._from(holders[-1], partial)

    def _from(self, holder: Repository, partial: Partial) -> None:
        """All that is missing from one holder, its digest compared."""
        while True:
            begun = partial.done
            self._to_the_end(holder, partial)
            if partial.content == partial.digest:
                return
            found = partial.content
            self._restart(partial)
            if not begun:  # else what was here before may have been wrong
                raise RegistryError(
                    f"{holder} sent {found} as the blob {partial.digest}; nothing of it was kept"
                )

    def _to_the_end(self, holder: Repository, partial: Partial) -> None:
        tried, since = 0, partial.done
        while partial.done < partial.size:
            if self._stop.is_set():
                raise Interrupted
            try:
                self._once(holder, partial)
            except RegistryUnavailableError as error:
                if self._stop.is_set():
                    raise Interrupted from None
                if partial.done >= since + PROGRESS_BYTES:
                    tried, since = 0, partial.done
                tried += 1
                holder.transport.wait(tried, error, self._stop)

    def _once(self, holder: Repository, partial: Partial) -> None:
        """One request, as far as it goes."""
        try:
            response = holder.open_blob(partial.digest, partial.done)
        except RegistryError:
            if self._stop.is_set():  # another thread's error came first, and is the one to be told
                raise Interrupted from None
            raise
        with self._lock:
            self._reading.add(response)
        try:
            if self._stop.is_set():  # before `stop` could see it
                raise Interrupted
            if response.status == 416 or (response.status == 200 and partial.done):
                self._restart(partial)  # it knows no ranges, or not this one
            if response.status == 416:
                return
            if response.status == 206:
                _check_range(response, partial, holder)
            _check_length(response, partial, holder)
            self._stream(response, partial, holder)
        finally:
            with self._lock:
                self._reading.discard(response)
            response.close()

    def _stream(
        self, response: urllib3.BaseHTTPResponse, partial: Partial, holder: Repository
    ) -> None:
        while not self._stop.is_set():
            left = partial.size - partial.done
            try:
                piece = response.read1(min(PIECE_BYTES, left + 1))
            except (HTTPError, OSError) as error:
                raise RegistryUnavailableError(
                    f"the connection to {holder} broke at byte {partial.done} of {partial.size} "
                    f"of {partial.digest}: {why_lost(error)}"
                ) from None
            if len(piece) > left:
                raise _too_much(partial, holder)
            if not piece:
                break
            partial.append(piece)
            with self._lock:
                self.received += len(piece)
            self._arrived(len(piece))
        if self._stop.is_set():
            raise Interrupted
        if partial.done < partial.size:
            raise RegistryUnavailableError(
                f"{holder} ended {partial.digest} at byte {partial.done} of {partial.size}"
            )

    def _restart(self, partial: Partial) -> None:
        self._arrived(-partial.done)
        partial.restart()


def _check_range(response: urllib3.BaseHTTPResponse, partial: Partial, holder: Repository) -> None:
    told = response.headers.get("Content-Range", "")
    found = _RANGE.fullmatch(told)
    sizes = ("*", str(partial.size))
    if found is None or found[1] != str(partial.done) or found[2] not in sizes:
        raise RegistryError(
            f"{holder} answers for another range ({told!r:.60}) than byte {partial.done} on of the "
            f"{partial.size} of {partial.digest}"
        )


def _check_length(response: urllib3.BaseHTTPResponse, partial: Partial, holder: Repository) -> None:
    told = response.headers.get("Content-Length", "")
    if not _LENGTH.fullmatch(told):
        return
    there = partial.done + int(told)
    if there > partial.size:
        raise _too_much(partial, holder)
    if there < partial.size:
        raise RegistryError(
            f"{holder} has {there} bytes of the blob {partial.digest}, its manifest says "
            f"{partial.size}"
        )


def _too_much(partial: Partial, holder: Repository) -> RegistryError:
    return RegistryError(
        f"{holder} sends more than the {partial.size} bytes that the manifest says of the blob "
        f"{partial.digest}"
    )
