"""Blocks that came are written to the store beside the computing, in a thread of their own."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Thread

from trunkline.errors import StoreError
from trunkline.store.receiving import Reception


class Keeper(Thread):
    """Writes blocks whose content is right.

    A store that cannot be written to keeps no model from running: the first error is told at the
    end, and nothing more is written.
    """

    def __init__(self, reception: Reception) -> None:
        super().__init__(name="trunkline-keep", daemon=True)
        self._reception = reception
        self._waiting: SimpleQueue[tuple[str, bytearray] | None] = SimpleQueue()
        self._error: StoreError | None = None

    def put(self, digest: str, content: bytearray) -> None:
        """Write a block some time soon."""
        self._waiting.put((digest, content))

    def finish(self) -> StoreError | None:
        """Wait until all is written; what kept it from being so."""
        self._waiting.put(None)
        self.join()
        return self._error

    def run(self) -> None:
        """Write what comes until there is no more."""
        while (one := self._waiting.get()) is not None:
            if self._error is None:
                try:
                    self._reception.keep(one[0], [memoryview(one[1])])
                except StoreError as error:
                    self._error = error
