"""Measuring a profile: rehearse what a run does, and fit lines to what it took.

Loads and forwards are measured in turn, as in a run: a forward right after a switch (whose bytes
have just passed through the processor's caches), a switch right after a forward, now and then after
a pause as an upload makes it. Measured in a hot loop, both would look faster than they are; in an
order that mixes all architectures, slower.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from trunkline.errors import MemoryBudgetError
from trunkline.runtime import machine
from trunkline.runtime.cache import drop_cached
from trunkline.runtime.device import available_bytes
from trunkline.runtime.fits import fit_computing, fit_loading
from trunkline.runtime.inputs import infer
from trunkline.runtime.measurable import Group, LeftOut, Tell, groups_of, measurable, warm_up
from trunkline.runtime.pages import can_map
from trunkline.runtime.peak import peak_bytes
from trunkline.runtime.profile import LoadingFit, Profile
from trunkline.runtime.runtime import Runtime
from trunkline.store import Store, StoredModel

LONGEST_PAUSE_S = 0.004
COLD_LOADS = 24
WHOLE_SHARE = 0.2
PART_SHARE = 0.25
"""How many of the loads are of whole models, and of the others, of a random part of one."""
LEAST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Attributes:
        batches: batch sizes to compute, increasing.
        rounds: how often each batch size of each architecture is computed.
        limit_s: no new round is begun after this many seconds (three are always done).
        memory_bytes: what weights and activations may take; None for half of what is free.
        largest_batch: the most tasks that any batch is planned with.
        cold: whether to measure loads from the disk too.
        seed: of the order in which things are done.
        copy: copy every block, also where it could be used in the pages of its file.
    """

    batches: tuple[int, ...] = (1, 2, 4, 8)
    rounds: int = 7
    limit_s: float = 45.0
    memory_bytes: int | None = None
    largest_batch: int = 32
    cold: bool = True
    seed: int = 0
    copy: bool = False


def measure(
    store: Store,
    names: Sequence[str] | None = None,
    device: str = "cpu",
    settings: Settings = Settings(),
    tell: Tell | None = None,
) -> Profile:
    """Measure a profile of this machine for models of a store.

    Args:
        names: the models; None for all that can run. A model that cannot be measured (imported
            without architecture or input, damaged, too large for the memory, failing on its input)
            is an error where it was named, and is left out with a note where none was.
        tell: told of the progress.

    Raises:
        NotInStoreError: no such model.
        TrunklineError: why a model that was named cannot be measured.
        ProfileError: none can be.
    """
    busy, left_out = machine.busy(), LeftOut(named=names is not None)
    models = measurable(store, names, settings.memory_bytes, left_out)
    tell = tell or (lambda done, total, at: None)
    notes = [] if busy is None else [busy]
    with Runtime(store, device, copy=settings.copy) as runtime:
        groups = warm_up(runtime, groups_of(models), settings.batches, left_out, tell)
        if not groups:
            raise left_out.all_of(store)
        notes += [f"left out: {reason}" for reason in left_out.reasons]
        rehearsal = _Rehearsal(runtime, groups, random.Random(settings.seed))
        rehearsal.run(settings, tell)
        warm = fit_loading(rehearsal.loads)
        cold = None
        if settings.cold:
            tell(0, 1, "cold loads")
            cold = _cold(rehearsal, notes)
        else:
            notes.append("loads with a cold page cache were not measured, as asked")
        for group in groups:
            for size, batch in group.batches.items():
                runtime.switch(group.models[0].name)
                group.peaks[size] = peak_bytes(runtime, group.models[0].name, batch)
        found = Profile(
            machine=_machine(device, settings.copy),
            device=device,
            warm=warm,
            cold=cold,
            computing=tuple(
                fit_computing(one.key, one.models[0], one.seconds, one.peaks, notes)
                for one in groups
            ),
            memory_bytes=settings.memory_bytes or _free_bytes(runtime.device) // 2,
            largest_batch=settings.largest_batch,
        )
        notes += _too_large(found, [model for group in groups for model in group.models])
        return replace(found, notes=tuple(notes))


def _too_large(profile: Profile, models: Sequence[StoredModel]) -> list[str]:
    """Notes on models that leave no room for a batch of one."""
    notes = []
    for model in models:
        try:
            profile.max_batch(model)
        except MemoryBudgetError as error:
            notes.append(f"cannot be planned: {error}")
    return notes


class _Rehearsal:
    """Switches and forwards in random order, timed; `loads` has (bytes, seconds)."""

    def __init__(self, runtime: Runtime, groups: list[Group], rng: random.Random) -> None:
        self.runtime = runtime
        self.groups = groups
        self.rng = rng
        self.loads: list[tuple[int, float]] = []

    def run(self, settings: Settings, tell: Tell) -> None:
        """Rounds of all groups and batch sizes, each after a switch."""
        ends = time.perf_counter() + settings.limit_s
        a_round = sum(len(group.batches) for group in self.groups)
        for turn in range(settings.rounds):
            if turn >= LEAST_ROUNDS and time.perf_counter() > ends:
                break
            tell(turn * a_round, settings.rounds * a_round, "switching and computing")
            # As plans order them: the variants of one architecture, then those of the next.
            for group in self.rng.sample(self.groups, len(self.groups)):
                for size in self.rng.sample(list(group.batches), len(group.batches)):
                    self._step(group, size)

    def _step(self, group: Group, size: int) -> None:
        name = self._next(group)
        self.loads.append(self.load(name))
        started = time.perf_counter()
        infer(self.runtime, name, group.batches[size])
        group.seconds[size].append(time.perf_counter() - started)

    def _next(self, group: Group) -> str:
        """The group's models in turn: in a run, too, others were loaded since a model's last time
        (one that was just loaded is read out of the processor's caches)."""
        group.turns += 1
        return group.models[group.turns % len(group.models)].name

    def load(self, name: str, cold: bool = False) -> tuple[int, float]:
        """Switch to a model, at times from nothing or with part of it there; (bytes, seconds)."""
        if self.rng.random() < WHOLE_SHARE:
            self.runtime.clear()
        elif self.runtime.current == name or self.rng.random() < PART_SHARE:
            if self.runtime.current != name:
                self.runtime.switch(name)
            self._evict_part(name)
        if cold:
            drop_cached(self._missing_files(name))
        elif self.rng.random() < 0.5:
            time.sleep(self.rng.uniform(0.0, LONGEST_PAUSE_S))
        started = time.perf_counter()
        switch = self.runtime.switch(name)
        self.runtime.synchronize()
        return switch.bytes_moved, time.perf_counter() - started

    def _evict_part(self, name: str) -> None:
        """The blocks after a random one: what a variant with fewer shared layers would lack."""
        digests = [block.digest for block in self.runtime.stored(name).blocks]
        self.runtime.evict(digests[self.rng.randrange(len(digests)) :])

    def _missing_files(self, name: str) -> list[Path]:
        there = self.runtime.resident
        return [
            self.runtime.store.blob_path(block.digest)
            for block in self.runtime.stored(name).blocks
            if block.digest not in there
        ]


def _cold(rehearsal: _Rehearsal, notes: list[str]) -> LoadingFit | None:
    """A few loads of files that the system was asked to forget."""
    runtime, models = rehearsal.runtime, [m for group in rehearsal.groups for m in group.models]
    first = runtime.stored(models[0].name).blocks
    if not drop_cached([runtime.store.blob_path(block.digest) for block in first if block.bytes]):
        notes.append("the system does not let go of cached files: no loads from the disk")
        return None
    loads = [rehearsal.load(rehearsal.rng.choice(models).name, True) for _ in range(COLD_LOADS)]
    return fit_loading(loads)


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return available_bytes()


def _machine(device: str, copy: bool) -> dict[str, str | int]:
    maps = torch.device(device).type == "cpu" and can_map() and not copy
    found = machine.describe() | {"blocks": "mapped" if maps else "copied"}
    found |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
    if device.startswith("cuda"):
        found["accelerator"] = torch.cuda.get_device_name(device)
    return found
