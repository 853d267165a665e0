"""Loading a model from the store while its forward runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any

from torch import nn

from trunkline.runtime.arrivals import Arrivals
from trunkline.runtime.device import Job, Memory
from trunkline.runtime.known import Known
from trunkline.runtime.overlap import LayerRun, Overlap
from trunkline.runtime.resident import ResidentBlock, Residents
from trunkline.runtime.switch import Switch
from trunkline.runtime.waiting import Waiting, prepare
from trunkline.store import StoredBlock, StoredModel
from trunkline.store.orders import Orders


@dataclass(frozen=True)
class Overlapped:
    """A forward that ran while its model was loaded, or after it.

    Attributes:
        output: what the forward returned.
        switch: what was moved; its seconds hold the forward, too, if that ran meanwhile.
        overlap: layer by layer; one layer, and `download_first`, where the forward ran after the
            load. On an accelerator the times of layers are those of their launches.
    """

    output: Any
    switch: Switch
    overlap: Overlap


def after_loading(
    model: StoredModel, load: Callable[[], Switch], forward: Callable[[], Any]
) -> Overlapped:
    """A load of a model, and a forward after it."""
    zero_s = time.perf_counter()
    switch = load()
    begun_s = time.perf_counter() - zero_s
    output = forward()
    ended_s = time.perf_counter() - zero_s
    times = begun_s, begun_s, begun_s, begun_s, ended_s
    digests = tuple(block.digest for block in model.blocks)
    layer = LayerRun("all blocks", digests, model.bytes, switch.bytes_moved, *times)
    return Overlapped(output, switch, Overlap((layer,), begun_s, ended_s, download_first=True))


class Overlapping:
    """One forward of a model whose missing blocks are read meanwhile, in the order of use.

    The caller holds the runtime's locks for making it and for `end`, has made room, and lets nobody
    else load before the end.

    Args:
        known: the model.
        residents: the blocks in memory; the missing ones count from now on.
        memory: where they go.
        orders: of the store; if it does not know the model's, it does so afterwards.
    """

    def __init__(self, known: Known, residents: Residents, memory: Memory, orders: Orders) -> None:
        prepare()
        zero_s = time.perf_counter()
        self._known = known
        self._residents = residents
        self._memory = memory
        self._orders = orders
        self._versions = 0
        known.skeleton.clear()
        self._jobs = residents.begin(known.blocks)
        self._arrivals = Arrivals(lambda: time.perf_counter() - zero_s)
        place = {block.digest: n for n, block in enumerate(orders.blocks(known.model))}
        in_order = sorted(self._jobs, key=lambda job: place[job.block.digest])
        self._reader = _Reader(memory, in_order, self._arrivals)
        for digest in known.blocks:
            if digest in residents:
                self._arrivals.deliver(residents[digest], 0, 0.0)
        self._waiting = Waiting(
            known.skeleton.module,
            known.skeleton.slots,
            known.binding,
            self._arrivals,
            memory.device,
            known.model.blocks,
        )

    def run(self, forward: Callable[[nn.Module], Any]) -> Any:
        """What `forward` makes of the module, when all blocks are there, too."""
        self._reader.start()
        self._arrivals.expect(self._reader)
        with self._waiting:
            before = self._resident_version()
            result = self._waiting.run(lambda: forward(self._known.skeleton.module))
            self._waiting.fill()
            self._memory.synchronize()
        self._orders.note(self._known.model, self.report.used)
        self._versions = self._resident_version() - before
        return result

    def end(self) -> None:
        """Make the blocks resident; after an error, give their memory back."""
        if self._reader.ident is not None:
            self._reader.join()
        for slot in self._known.skeleton.slots:  # whoever runs it next assigns what is resident
            slot.release()
        if self._reader.whole:
            self._residents.adopt(one for one, _ in self._reader.made)
        else:
            self._residents.cancel(self._jobs)

    @property
    def read(self) -> Sequence[StoredBlock]:
        """The blocks that were missing."""
        return [job.block for job in self._jobs]

    @property
    def replaced(self) -> dict[str, str]:
        """Blocks of which the forward put another tensor in the place of one, and that one's
        name."""
        return self._waiting.replaced

    @property
    def written(self) -> bool:
        """Whether something may have been written into the model's blocks."""
        return self._versions != 0 or any(
            one.buffer.tensor._version != version for one, version in self._reader.made
        )

    @property
    def report(self) -> Overlap:
        """What was measured."""
        return self._waiting.overlap()

    def _resident_version(self) -> int:
        missing = {job.block.digest for job in self._jobs}
        return self._residents.version(self._known.blocks.keys() - missing)


class _Reader(Thread):
    """Reads blocks in an order and delivers each."""

    def __init__(self, memory: Memory, jobs: Sequence[Job], arrivals: Arrivals) -> None:
        super().__init__(name="trunkline-read-ahead", daemon=True)
        self.whole = False
        self.made: list[tuple[ResidentBlock, int]] = []  # with their buffers' versions
        self._memory = memory
        self._jobs = jobs
        self._arrivals = arrivals

    def run(self) -> None:
        """Read, and tell what went wrong in place of the rest."""
        try:
            self._memory.load(self._jobs, there=self._deliver)
            self.whole = True
        except BaseException as error:  # whoever waits has to be told, whatever it is
            self._arrivals.fail(error)

    def _deliver(self, job: Job) -> None:
        """Called by several threads."""
        arrived_s = self._arrivals.clock()
        made = ResidentBlock(job.block, job.placement, job.buffer)
        self.made.append((made, job.buffer.tensor._version))
        self._arrivals.deliver(made, job.block.bytes, arrived_s)
