"""Running a model of a server while it arrives, and keeping its blocks for the next model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import torch

from trunkline.device.keeper import Keeper
from trunkline.device.receiver import Receiver
from trunkline.device.report import StreamReport
from trunkline.device.server import END_S, StreamServer, Transfer
from trunkline.errors import InputError, StoreError, StreamError, TrunklineError
from trunkline.runtime.arrivals import Arrivals
from trunkline.runtime.bringing import Bringer, Reader
from trunkline.runtime.checking import Checked
from trunkline.runtime.device import Memory, open_memory
from trunkline.runtime.inputs import reason
from trunkline.runtime.outputs import copied
from trunkline.runtime.skeleton import Skeleton
from trunkline.runtime.skeletons import Skeletons
from trunkline.runtime.waiting import Waiting, prepare
from trunkline.store import Architecture, InputSpec, Store, StoredModel
from trunkline.store.manifest import Layer
from trunkline.store.receiving import Reception
from trunkline.store.registry.transport import Patience
from trunkline.store.trust import factory_names, require_trust

Batch = torch.Tensor | Mapping[str, Any]
"""What a forward is called with: one tensor, or keyword arguments."""

MakeBatch = Callable[[InputSpec | None], Batch]
"""Makes a batch, given what the model says it takes."""


PATIENCE: Final = Patience(tries=8, read_s=20.0)
"""A server that is started anew is back within the half minute of eight tries."""


@dataclass(frozen=True)
class Streamed:
    """What came of streaming a model.

    Attributes:
        output: what its forward returned, on the client's device.
        module: it, with all its weights; until the next model of its architecture is streamed.
        report: what was measured.
    """

    output: Any
    module: torch.nn.Module
    report: StreamReport


@dataclass(frozen=True)
class Wish:
    """What is asked of a server, and how.

    Attributes:
        model: its name at the server.
        name: what it is to be called in the store.
        replace: whether another model of that name may give way.
        deadline_s: seconds until the output must be there; None for any time.
        compute_s: what the server is told of the computing: of the whole forward, or of each block.
        download_first: compute only when all blocks are there, for comparison.
    """

    model: str
    name: str
    replace: bool = False
    deadline_s: float | None = None
    compute_s: float | Sequence[float] | None = None
    download_first: bool = False


class StreamClient:
    """Models of a server, each run on this device while it arrives.

    Args:
        url: the server (`trunkline serve`).
        store: where blocks are kept; what is there is not sent.
        device: `cpu` or `cuda[:n]`.
        token: that the server wants, if it does.
        trust: factories that may build models, besides those that were named on this machine. What
            a server says makes no code trusted.
        patience: how long one read may take, and how often a lost connection is tried again
            (default: 20 s, 8 times without progress).

    Skeletons are kept: the second model of an architecture is not built again. One model at a time.

    Raises:
        InputError: no such address, device or factory.
    """

    def __init__(
        self,
        url: str,
        store: Store,
        *,
        device: str | torch.device = "cpu",
        token: str | None = None,
        trust: Iterable[str] = (),
        patience: Patience | None = None,
    ) -> None:
        self.store = store
        self._server = StreamServer(url, token, patience or PATIENCE)
        self._device = device
        self._trust = factory_names(trust)
        self._skeletons = Skeletons(open_memory(device).device, self._trust)
        self._checked = Checked(store.blob_path)  # of the blocks that the store holds
        prepare()

    def infer(
        self,
        model: str,
        batch: Batch | MakeBatch,
        *,
        name: str | None = None,
        replace: bool = False,
        deadline_s: float | None = None,
        compute_s: float | Sequence[float] | None = None,
        download_first: bool = False,
    ) -> Streamed:
        """Stream a model and run its forward meanwhile.

        Args:
            model: its name at the server.
            batch: one tensor, or keyword arguments; or what makes them, given the model's input.
            name: what it is to be called in the store (default: as at the server).
            replace: whether another model of that name may give way.
            deadline_s: seconds from now until the output must be there. A server that cannot keep
                it refuses at once.
            compute_s: what computing takes here, where that is known (`StreamReport.compute_s`),
                of the whole forward or of each block; the server shares its link by it.
            download_first: compute only when all blocks are there, for comparison.

        Raises:
            StreamError: the server refuses, cannot be reached for long, or sends what was not
                promised. No weight was used that was not compared with its digest; blocks that
                came serve the next try.
            StoreError: the store cannot be used, a block that it holds is not what its digest says,
                or the name is taken by another model.
            UntrustedFactoryError: the model's factory was not named on this machine.
            ArchitectureError: the model cannot be built, or its tensors do not fit.
            InputError: the forward does not take the batch; or a name that is refused.
        """
        wish = Wish(
            model, name or model, replace, deadline_s, compute_s, download_first=download_first
        )
        with ExitStack() as stack:
            return _Run(self, wish, stack).carry_out(batch)

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def __enter__(self) -> StreamClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Run:
    """One model, from the first request to the last byte; `stack` ends what was begun."""

    def __init__(self, client: StreamClient, wish: Wish, stack: ExitStack) -> None:
        zero_s = time.perf_counter()
        self._wish = wish
        self._stack = stack
        self._store = client.store
        self._server = client._server
        self._skeletons = client._skeletons
        self._trust = client._trust
        self._arrivals = Arrivals(lambda: time.perf_counter() - zero_s)
        self._memory: Memory = open_memory(client._device)
        stack.callback(self._memory.close)
        self._bringer = Bringer(self._memory, client.store, client._checked)
        self._begin = stack.enter_context(client.store.receiving())
        self._transfer: Transfer | None = None
        self._receiving = False
        stack.callback(self._give_up)

    def carry_out(self, batch: Batch | MakeBatch) -> Streamed:
        """Open, receive, run, keep."""
        transfer, reception = self._opened()
        architecture = self._trusted(reception)
        keeper = Keeper(reception)
        receiver = self._receiver(transfer, reception, keeper)
        keeper.start()
        receiver.start()
        self._receiving = True  # and so the transfer is the receiver's
        self._stack.callback(self._end, receiver, keeper)
        self._arrivals.expect(receiver)
        skeleton = self._skeletons.get(architecture, self._wish.model)
        given = batch(reception.details.input) if callable(batch) else batch
        model = receiver.model.result()
        self._read_held(model, transfer)
        waiting = self._waiting(skeleton, model)
        with waiting, torch.inference_mode():
            output = self._forward(waiting, skeleton, given)
            waiting.fill()
        receiver.join()
        not_kept = self._keep(keeper, reception)
        report = self._report(receiver, model, waiting, transfer, not_kept)
        return Streamed(output, skeleton.module, report)

    # ---- opening ----

    def _opened(self) -> tuple[Transfer, Reception]:
        """A transfer of what the store lacks, and the model's place in the store."""
        transfer = self._open(self._store.digests())
        wish, where = self._wish, f"{self._server.url}: {self._wish.model}"
        reception = self._begin(
            wish.name, transfer.manifest, transfer.documents, wish.replace, where
        )
        spoilt = {one.digest for one in _lacking(reception)} - transfer.sends
        if spoilt:  # files of another length than their blocks; they are sent, too
            self._server.end(transfer)
            digests = (digest for digest in self._store.digests() if digest not in spoilt)
            transfer = self._same(self._open(digests), transfer)
        return transfer, reception

    def _open(self, have: Iterator[str]) -> Transfer:
        wish, left_s = self._wish, None
        if wish.deadline_s is not None:
            left_s = max(wish.deadline_s - self._arrivals.clock(), 0.0) or None
        opened = self._server.open(wish.model, have, deadline_s=left_s, compute_s=wish.compute_s)
        if not self._receiving:
            self._transfer = opened
        return opened

    def _give_up(self) -> None:
        """End a transfer that nobody receives."""
        if self._transfer is not None and not self._receiving:
            self._server.end(self._transfer)

    def _same(self, transfer: Transfer, before: Transfer) -> Transfer:
        """The transfer, if it is of the very model that the one before was of."""
        if transfer.manifest != before.manifest:
            self._server.end(transfer)
            raise StreamError(
                f"{self._server.url}: the model {self._wish.model!r} has become another one "
                "meanwhile; stream it again"
            )
        return transfer

    def _trusted(self, reception: Reception) -> Architecture:
        """How the model is built, if its factory may run here."""
        architecture = reception.details.architecture
        if architecture is None:
            raise StreamError(
                f"the model {self._wish.model!r} cannot be run: the server's store does not say "
                "how it is built"
            )
        require_trust(architecture, self._wish.model, self._trust)
        return architecture

    def _receiver(self, transfer: Transfer, reception: Reception, keeper: Keeper) -> Receiver:
        blocks = {one.digest: one for one in reception.manifest.blocks}
        if not transfer.sends <= blocks.keys():
            raise StreamError(f"{self._server.url} sends blocks that its manifest does not name")

        def reopen() -> Transfer:
            came = (one for one in blocks if self._arrivals.get(one) is not None)
            have = [one for one in blocks if one not in transfer.sends]
            return self._same(self._open(chain(came, have)), transfer)

        return Receiver(
            self._server,
            transfer,
            reopen,
            reception,
            {digest: blocks[digest] for digest in transfer.sends},
            self._bringer,
            self._arrivals,
            keeper,
        )

    # ---- running ----

    def _read_held(self, model: StoredModel, transfer: Transfer) -> None:
        """Read what the store holds already, beside what comes over the link."""
        place = {digest: n for n, digest in enumerate(transfer.blocks)}
        held = [block for block in model.blocks if block.digest not in transfer.sends]
        held.sort(key=lambda block: place.get(block.digest, len(place)))
        if held:
            reader = Reader(self._bringer, held, self._arrivals)
            reader.start()
            self._arrivals.expect(reader)
            self._stack.callback(_stopped, reader)

    def _waiting(self, skeleton: Skeleton, model: StoredModel) -> Waiting:
        return Waiting(
            skeleton.module,
            skeleton.slots,
            skeleton.bind(model),
            self._arrivals,
            self._memory.device,
            model.blocks,
            self._memory.synchronize,
        )

    def _forward(self, waiting: Waiting, skeleton: Skeleton, batch: Batch) -> Any:
        if self._wish.download_first:
            waiting.wait_for_all()
        device = self._memory.device
        try:
            if isinstance(batch, Mapping):
                given = {key: _to(value, device) for key, value in batch.items()}
                return waiting.run(lambda: copied(skeleton.module(**given), lambda _: False))
            one = _to(batch, device)
            return waiting.run(lambda: copied(skeleton.module(one), lambda _: False))
        except TrunklineError:
            raise
        except Exception as error:  # a forward may raise anything
            raise InputError(
                f"the forward of model {self._wish.model!r} failed: {reason(error)}"
            ) from error

    # ---- ending ----

    def _keep(self, keeper: Keeper, reception: Reception) -> str:
        """Name the model in the store; why it could not be, if so."""
        try:
            if (error := keeper.finish()) is not None:
                raise error
            reception.publish()
        except StoreError as error:
            return str(error)
        return ""

    def _end(self, receiver: Receiver, keeper: Keeper) -> None:
        if not receiver.done:
            receiver.stop()
            receiver.join(END_S)  # it may wait for a silent server; it ends with the process
            self._server.end(receiver.transfer)
        keeper.finish()

    def _report(
        self,
        receiver: Receiver,
        model: StoredModel,
        waiting: Waiting,
        transfer: Transfer,
        not_kept: str,
    ) -> StreamReport:
        overlap = waiting.overlap(self._wish.download_first)
        sent = [one for block in model.blocks if (one := self._arrivals.get(block.digest))]
        learnt = not not_kept and self._store.orders.note(model, overlap.used)
        return StreamReport(
            model=self._wish.model,
            name=self._wish.name,
            manifest=transfer.manifest,
            bytes=model.bytes,
            received_bytes=receiver.received,
            held_bytes=model.bytes - sum(one.sent_bytes for one in sent),
            rate_bytes_per_s=transfer.rate_bytes_per_s,
            deadline_s=self._wish.deadline_s,
            cuts=receiver.cuts,
            reopened=receiver.reopened,
            complete_s=self._arrivals.clock(),
            not_kept=not_kept,
            learnt=learnt,
            overlap=overlap,
        )


def _lacking(reception: Reception) -> Iterator[Layer]:
    return (one for one in reception.manifest.blocks if not reception.holds(one))


def _stopped(reader: Reader) -> None:
    reader.stop()
    reader.join()


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value
