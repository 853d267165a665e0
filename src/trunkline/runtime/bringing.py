"""Single blocks into the memory of a device: from bytes that were received, or from the store."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Event, Lock, Thread

import torch

from trunkline.runtime.arrivals import Arrivals
from trunkline.runtime.checking import Checked
from trunkline.runtime.device import Memory
from trunkline.runtime.placement import place
from trunkline.runtime.resident import ResidentBlock
from trunkline.store import Store, StoredBlock


class Bringer:
    """Puts blocks into memory; used by several threads.

    Args:
        memory: where they go.
        store: where those are that lie on disk.
        checked: compares those with their digests.
    """

    def __init__(self, memory: Memory, store: Store, checked: Checked | None = None) -> None:
        self.memory = memory
        self._checked = checked or Checked(store.blob_path)
        self._store = store
        self._lock = Lock()  # memory is handed out by one at a time
        self._reading = Lock()

    def from_bytes(self, block: StoredBlock, content: memoryview) -> ResidentBlock:
        """A block whose file's bytes are here (and were compared with its digest)."""
        placement = place(block)
        with self._lock, torch.inference_mode(False):
            made = ResidentBlock(block, placement, self.memory.allocate(placement.size))
        target = made.buffer.tensor
        source = torch.frombuffer(content, dtype=torch.uint8)
        for piece in placement.pieces:
            begin, end = piece.file_offset, piece.file_offset + piece.bytes
            target[piece.offset : piece.offset + piece.bytes].copy_(source[begin:end])
        return made

    def from_store(self, block: StoredBlock) -> ResidentBlock:
        """A block that the store holds, compared with its digest.

        Raises:
            NotInStoreError, CorruptBlobError, StoreError: it cannot be read, or is another.
        """
        self._checked.check([(block.digest, block)])
        path = str(self._store.blob_path(block.digest))
        with self._lock, torch.inference_mode(False):
            job = self.memory.job(path, block, self.memory.place(block))
            made = ResidentBlock(job.block, job.placement, job.buffer)
        with self._reading:
            self.memory.load([job])
        return made


class Reader(Thread):
    """Reads blocks of the store one after the other and delivers each.

    Args:
        blocks: in the order in which they are needed.
    """

    def __init__(self, bringer: Bringer, blocks: Iterable[StoredBlock], arrivals: Arrivals) -> None:
        super().__init__(name="trunkline-read-ahead", daemon=True)
        self._bringer = bringer
        self._blocks = tuple(blocks)
        self._arrivals = arrivals
        self._halt = Event()

    def stop(self) -> None:
        """Read no further."""
        self._halt.set()

    def run(self) -> None:
        """Read, and tell what went wrong in place of the rest."""
        try:
            for block in self._blocks:
                if self._halt.is_set():
                    return
                made = self._bringer.from_store(block)
                self._arrivals.deliver(made, 0, self._arrivals.clock())
        except BaseException as error:  # whoever waits has to be told, whatever it is
            self._arrivals.fail(error)
