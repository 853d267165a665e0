"""Switching between models by moving only the blocks that are missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import RLock
from typing import Any

import torch

from trunkline.errors import ArchitectureError, InputError
from trunkline.runtime.checking import Checked
from trunkline.runtime.device import open_memory
from trunkline.runtime.gain import gains
from trunkline.runtime.known import Known, architecture_of
from trunkline.runtime.outputs import applied
from trunkline.runtime.overlapping import Overlapped, Overlapping, after_loading
from trunkline.runtime.resident import Residents, digest_of, next_uses, own, owner_of
from trunkline.runtime.skeleton import Holding
from trunkline.runtime.skeletons import Skeletons
from trunkline.runtime.switch import Switch
from trunkline.store import Store, StoredBlock, StoredModel
from trunkline.store.trust import factory_names

_Batch = torch.Tensor | Mapping[str, Any]


class Runtime:
    """Models of a store, run on one device.

    Args:
        store: where the models are.
        device: `cpu` or `cuda[:n]`.
        memory_bytes: the most payload that may be resident at once. None: after a switch only the
            blocks of the model switched to are resident (PartialLoading, equation (8)).
        partial: False loads every model whole, and lets it go whole, as a server without
            parameter sharing would: nothing is shared in memory.
        trust: factories (`package.module:callable`) that may build models of this store, besides
            those that were named on this machine (`trunkline import --factory`, `trunkline trust`).
        threads: how many threads read at once into host memory (default: the CPUs, at most 4).
        copy: copy every block, also where it could be used in the pages of its file (`mapping`).

    A model is looked up once; use a new runtime (or `forget`) after a model was replaced in the
    store. Calls may come from several threads; each is done whole before the next begins, but for
    `prefetch`, which runs beside `infer`. The modules and tensors that `module` and `tensors` hand
    out are not covered by that: they hold these weights until the next switch or eviction, and must
    not be written to.
    """

    def __init__(
        self,
        store: Store,
        device: str | torch.device = "cpu",
        memory_bytes: int | None = None,
        partial: bool = True,
        threads: int | None = None,
        trust: Iterable[str] = (),
        copy: bool = False,
    ) -> None:
        self.store = store
        self.partial = partial
        self._memory = open_memory(device, threads, copy)
        self._residents = Residents(store, self._memory, memory_bytes)
        self._checked = Checked(store.blob_path)
        self._known: dict[str, Known] = {}
        self._skeletons = Skeletons(self.device, factory_names(trust))
        self._current: str | None = None
        self._turn = RLock()  # one forward at a time; taken before `_link`
        self._link = RLock()  # one load at a time; taken before `_lock`
        self._lock = RLock()  # what is where in memory
        self._computing: list[Known] = []  # what forwards use now: two only if one is stuck

    @property
    def device(self) -> torch.device:
        """The device that models run on."""
        return self._memory.device

    @property
    def memory_bytes(self) -> int | None:
        """The budget for resident payload, None for the previous model's alone."""
        return self._residents.budget_bytes

    @property
    def current(self) -> str | None:
        """The model that was switched to last."""
        return self._current

    @property
    def resident(self) -> set[str]:
        """Digests of the blocks in memory."""
        return self._residents.digests

    @property
    def resident_bytes(self) -> int:
        """Their payload; never more than the budget."""
        return self._residents.bytes

    def stored(self, name: str) -> StoredModel:
        """The model as the store has it (looked up once); with whole-model loading, the digests of
        its blocks tell whose they are."""
        with self._lock:
            return self._look_up(name).model

    def prepare(self, name: str) -> None:
        """Build the skeleton and check that the weights fit it, without loading anything. Other
        models run meanwhile.

        Raises:
            NotInStoreError: no such model.
            UntrustedFactoryError: its factory was not named on this machine; no code of it ran.
            ArchitectureError: it was imported without an architecture, cannot be built, or its
                weights don't fit.
        """
        with self._lock:
            if name in self._known:
                return
        self.build(name)
        with self._lock:
            self._look_up(name)

    def build(self, name: str) -> None:
        """Build the skeleton of a model as the store has it now, whatever was looked up before: to
        look it up anew then takes no time. Other models run meanwhile. Errors as `prepare`."""
        self._skeletons.build(architecture_of(self.store.model(name)), name)

    def skeleton(self, name: str) -> torch.nn.Module:
        """The module that models of this one's architecture take turns in, whatever it holds; to
        look at, not to call. Errors as `prepare`."""
        with self._lock:
            return self._look_up(name).skeleton.module

    def switch(
        self, name: str, keep: Iterable[str] = (), next_use: Sequence[str] | None = None
    ) -> Switch:
        """Make a model ready to run.

        Args:
            name: the model.
            keep: models (by name) and blocks (by digest) that must stay resident beside it.
            next_use: the models that come after it, in order: blocks that are needed latest leave
                first. Without it, the least recently used leave first.

        Raises:
            NotInStoreError, ArchitectureError: as `prepare`.
            MemoryBudgetError: the model (with what must be kept) is larger than the budget.
            CorruptBlobError, StoreError: a block cannot be read. Nothing of the model is loaded
                then, and the models whose blocks had to go are not resident any more.
        """
        started = time.perf_counter()
        with self._turn, torch.inference_mode(False):  # weights are tensors like any others
            with self._lock:
                if self._residents.budget_bytes is not None and self._is_there(name):
                    return self._point(name, started)
            with self._link, self._lock:
                known, evicted = self._make_room(name, keep, next_use)
                self._current = None
                changed = 0

                def assign() -> None:
                    nonlocal changed
                    changed = known.skeleton.assign(known.binding, self._residents)

                try:
                    moved = self._residents.bring(known.blocks, assign)
                except BaseException:  # its slots may point at memory that was given back
                    known.skeleton.clear()
                    raise
                self._current = name
                return self._switched(known, moved, evicted, changed, started)

    def prefetch(
        self, name: str, keep: Iterable[str] = (), next_use: Sequence[str] | None = None
    ) -> Switch:
        """Make a model's blocks resident, without switching to it: beside `infer`, whose model
        stays resident. A `switch` to the model then moves nothing.

        Args and errors as for `switch`; MemoryBudgetError also where the model does not fit beside
        the one that computes.
        """
        started = time.perf_counter()
        with self._link, torch.inference_mode(False):
            with self._lock:
                known, evicted = self._make_room(name, keep, next_use)
                jobs = self._residents.begin(known.blocks)
            try:
                self._residents.read(jobs)
            except BaseException:
                with self._lock:
                    self._residents.cancel(jobs)
                raise
            with self._lock:
                self._residents.finish(jobs)
                return self._switched(known, [job.block for job in jobs], evicted, 0, started)

    def verify(self, name: str) -> int:
        """Compare a model's blobs that are not resident with their digests, unless that was done
        and their files are as they were; returns the bytes that were read for it.

        Loading alone compares lengths: hashing takes longer. So this costs much before the first
        load of a block, and next to nothing before the next ones.

        Raises:
            NotInStoreError, ArchitectureError: as `prepare`.
            CorruptBlobError, StoreError: a blob is not what its digest says, or cannot be read.
        """
        with self._lock:
            missing = self._residents.missing(self._look_up(name).blocks)
        return self._checked.check((digest_of(one), one) for one in missing)

    def evict(self, digests: Iterable[str]) -> int:
        """Let blocks go, as a plan says; returns their bytes. What isn't resident doesn't count,
        and what a forward uses at this moment stays."""
        with self._lock:
            return self._let_go(set(digests) - self._in_use)

    def clear(self) -> None:
        """Let all blocks go; their memory stays for the next ones."""
        with self._turn, self._lock:
            self._let_go(self.resident - self._in_use)

    def abandon(self) -> None:
        """Give up on the forward that runs now in another thread, if one does: others run beside
        it from now on. Its blocks stay resident until it ends, if ever; models of its architecture
        get another skeleton. One in `infer_while_loading` also has the link: what is resident can
        be used, and other loads wait."""
        with self._lock:
            self._turn = RLock()
            for stuck in self._computing:
                self._skeletons.drop(stuck.skeleton)
                for name, known in list(self._known.items()):
                    if known.skeleton is stuck.skeleton:
                        del self._known[name]

    def bring(self, digests: Iterable[str]) -> None:
        """Load blocks of models that were looked up (`prepare`), whatever is resident, without
        switching: the state that a plan starts from.

        Raises:
            InputError: no model that was looked up has such a block.
            MemoryBudgetError: they are larger than the budget.
            CorruptBlobError, StoreError: a block cannot be read.
        """
        with self._turn, self._link, self._lock, torch.inference_mode(False):
            there = {d: b for known in self._known.values() for d, b in known.blocks.items()}
            wanted: dict[str, StoredBlock] = {}
            for digest in digests:
                if digest not in there:
                    raise InputError(f"no model that was prepared has the block {digest}")
                wanted[digest] = there[digest]
            self._let_go(self._residents.victims("(blocks)", wanted, self.resident))
            self._residents.bring(wanted)
            self._residents.touch(wanted)

    def module(self, name: str) -> torch.nn.Module:
        """The model's module in eval mode. It is the architecture's: after a switch to another
        variant it holds that one's weights.

        Raises:
            InputError: the model is not resident; `switch` to it first.
        """
        with self._turn, self._lock:
            return self._module(name)

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """The model's resident tensors by name (InputError if some are not resident).

        They are views of memory that other blocks get when these leave: copy what must stay.
        """
        with self._lock:
            found: dict[str, torch.Tensor] = {}
            for digest in self._ready(name).blocks:
                found.update(self._residents[digest].tensors)
            return found

    def infer(self, name: str, batch: _Batch) -> Any:
        """Run a resident model on a batch: one tensor, or keyword arguments.

        Returns whatever its `forward` returns, on the runtime's device. Tensors in it (and in its
        lists, tuples, mappings and dataclasses) that are views of the weights are copied, so that
        they outlast the next switch.

        Raises:
            InputError: the model is not resident.
            ArchitectureError: its forward changed its weights or buffers. Other models share
                them, so the blocks changed are not resident any more.
        """
        with self._turn, self._forward(name) as (module, known):
            return self._call(module, known.skeleton, [known], batch)

    def infer_while_loading(
        self,
        name: str,
        batch: _Batch,
        keep: Iterable[str] = (),
        next_use: Sequence[str] | None = None,
        at_once: bool | None = None,
    ) -> Overlapped:
        """`switch` to a model and `infer`, each layer waiting for its own blocks while the next are
        read (`Store.orders`); other loads wait meanwhile. Errors, and other args, as for both.

        Args:
            at_once: False loads first; None does so where nothing would be gained (`gains`).
        """
        started = time.perf_counter()
        if not (self._gains(name) if at_once is None else at_once):
            with self._turn, self._link:
                load = partial(self.switch, name, keep, next_use)
                return after_loading(self.stored(name), load, partial(self.infer, name, batch))
        with self._turn, self._link, torch.inference_mode(False):
            with self._lock:
                known, evicted = self._make_room(name, keep, next_use)
                self._current = None
                there, orders = self._residents, self.store.orders
                overlapping = Overlapping(known, there, self._memory, orders)
                self._computing.append(known)
            try:
                try:
                    with torch.inference_mode():
                        result = overlapping.run(lambda m: applied(m, batch, self._memory))
                finally:
                    with self._lock:
                        overlapping.end()
                with self._lock:
                    changed = known.skeleton.assign(known.binding, self._residents)
                    self._current = name
                    switch = self._switched(known, overlapping.read, evicted, changed, started)
                if overlapping.written or overlapping.replaced:
                    self._refuse_writes(known, overlapping.replaced)
            finally:  # till here nobody evicts its blocks
                self._computing.remove(known)
        return Overlapped(result, switch, overlapping.report)

    def synchronize(self) -> None:
        """Wait until the device has done everything that was started."""
        self._memory.synchronize()

    def forget(self, name: str) -> None:
        """Look a model up anew when it is next used."""
        with self._lock:
            self._known.pop(name, None)

    def tidy(self) -> None:
        """Let go of networks and notes that serve no model that is looked up, nor a forward."""
        with self._lock:
            used = [*self._known.values(), *self._computing]
            self._skeletons.keep([one.skeleton for one in used])
            blocks = [block for one in used for block in one.blocks.values()]
            self._residents.keep_places({block.digest for block in blocks})
            self._checked.keep({digest_of(block) for block in blocks})

    def close(self) -> None:
        """Let all blocks, threads and pinned memory go."""
        with self._turn, self._link, self._lock:
            self._let_go(self.resident - self._in_use)
            self._memory.close()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- inside ----

    @property
    def _in_use(self) -> set[str]:
        return {digest for known in list(self._computing) for digest in known.blocks}

    @contextmanager
    def _forward(self, name: str) -> Iterator[tuple[torch.nn.Module, Known]]:
        """The module of a resident model, whose blocks stay until the end."""
        with self._lock:
            module, known = self._module(name), self._known[name]
            self._computing.append(known)
        try:
            yield module, known
        finally:  # not under the lock: a prefetch may hold it for long
            self._computing.remove(known)

    def _module(self, name: str) -> torch.nn.Module:
        with torch.inference_mode(False):
            known = self._ready(name)
            if not known.skeleton.holds(known.binding, self._residents):
                known.skeleton.assign(known.binding, self._residents)
            return known.skeleton.module

    def _call(
        self, module: Callable[..., Any], holds: Holding, known: Sequence[Known], batch: _Batch
    ) -> Any:
        """What a module that holds the weights of these models makes of a batch."""
        blocks = {digest for one in known for digest in one.blocks}
        before = self._residents.version(blocks)
        with torch.inference_mode():
            result = applied(module, batch, self._memory)
        replaced = holds.replaced()
        if replaced or self._residents.version(blocks) != before:
            for one in known:
                self._refuse_writes(one, replaced)
        return result

    def _gains(self, name: str) -> bool:
        with self._lock:
            return gains(self._look_up(name).blocks, self._residents, self.device)

    def _is_there(self, name: str) -> bool:
        known = self._known.get(name)
        return known is not None and not self._residents.missing(known.blocks)

    def _point(self, name: str, started: float) -> Switch:
        """Switch to a model that is resident."""
        known = self._known[name]
        changed = known.skeleton.assign(known.binding, self._residents)
        self._current = name
        return self._switched(known, [], 0, changed, started)

    def _make_room(
        self, name: str, keep: Iterable[str], next_use: Sequence[str] | None
    ) -> tuple[Known, int]:
        known = self._look_up(name)
        named = ((one,) if one.startswith("sha256:") else self._look_up(one).blocks for one in keep)
        kept = self._in_use.union(*named)
        return known, self._let_go(self._victims(known, kept, next_use))

    def _switched(
        self,
        known: Known,
        moved: Collection[StoredBlock],
        evicted: int,
        changed: int,
        started: float,
    ) -> Switch:
        self._residents.touch(known.blocks)
        return Switch(
            model=known.model.name,
            bytes_moved=sum(block.bytes for block in moved),
            blocks_moved=len(moved),
            bytes_evicted=evicted,
            bytes_resident=self._residents.bytes,
            tensors_assigned=changed,
            seconds=time.perf_counter() - started,
        )

    def _ready(self, name: str) -> Known:
        known = self._look_up(name)
        if self._residents.missing(known.blocks):
            raise InputError(f"model {name!r} is not resident: switch to it first")
        return known

    def _let_go(self, digests: Collection[str]) -> int:
        self._skeletons.release(digests)
        current = None if self._current is None else self._known.get(self._current)
        if current is None or not current.blocks.keys().isdisjoint(digests):
            self._current = None
        return self._residents.evict(digests)

    def _refuse_writes(self, known: Known, replaced: Mapping[str, str]) -> None:
        """Evict the blocks of a model that its forward changed, and say which tensors they are
        (nothing if it wrote what was there already)."""
        with self._lock:
            changed = {digest: name for digest, name in replaced.items() if digest in known.blocks}
            for digest in known.blocks.keys() - changed.keys():
                changed.update((digest, name) for name in self._residents.changed(digest)[:1])
            self._let_go(changed)
        if changed:
            first = next(iter(changed.values()))
            raise ArchitectureError(
                f"the forward of model {known.model.name!r} writes into its tensor {first!r}, "
                "which other models may share; let it keep its state in a buffer with "
                "persistent=False"
            )

    def _look_up(self, name: str) -> Known:
        known = self._known.get(name)
        if known is None:
            model = self.store.model(name)
            if not self.partial:
                model = replace(model, blocks=tuple(own(block, name) for block in model.blocks))
            skeleton = self._skeletons.get(architecture_of(model), name)
            blocks = {block.digest: block for block in model.blocks}
            known = self._known[name] = Known(model, blocks, skeleton, skeleton.bind(model))
        return known

    def _victims(
        self, known: Known, keep: Collection[str], next_use: Sequence[str] | None
    ) -> Collection[str]:
        uses = None
        if next_use is not None and self.memory_bytes is not None:
            uses = next_uses([self._look_up(one).blocks.keys() for one in next_use])
        chosen = self._residents.victims(known.model.name, known.blocks, keep, uses)
        return chosen if self.partial else self._whole(chosen)

    def _whole(self, digests: Collection[str]) -> Collection[str]:
        """All resident blocks of the models that these blocks are of (nothing is shared)."""
        names = {owner_of(digest) for digest in digests}
        return {digest for digest in self.resident if owner_of(digest) in names}
