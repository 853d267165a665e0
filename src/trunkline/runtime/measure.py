"""Measuring a profile: rehearse what a run does, and fit lines to what it took.

Loads and forwards are measured in turn, as in a run: a forward right after a switch (whose bytes
have just passed through the processor's caches), a switch right after a forward, now and then after
a pause as an upload makes it. Measured in a hot loop, both would look faster than they are; in an
order that mixes all architectures, slower.
"""

from __future__ import annotations

import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from trunkline.errors import ProfileError
from trunkline.links import LineFit, Stage, fit_line
from trunkline.runtime.cache import drop_cached
from trunkline.runtime.device import available_bytes
from trunkline.runtime.inputs import generated
from trunkline.runtime.peak import peak_bytes
from trunkline.runtime.profile import ComputingFit, LoadingFit, Profile, computing_key
from trunkline.runtime.runtime import Runtime
from trunkline.store import Store, StoredModel

Tell = Callable[[str, int, int], None]
"""Told what is being done, how many steps are done, and how many there are."""

LONGEST_PAUSE_S = 0.004
COLD_LOADS = 24
WHOLE_SHARE = 0.2
PART_SHARE = 0.25
"""How many of the loads are of whole models, and of the others, of a random part of one."""
LEAST_ROUNDS = 3
LEAST_SIZES = 4
"""With fewer batch sizes than this, none is left out of the line."""
NOTED_ERROR = 0.25
"""A batch size that is off the line by more than this part is told of."""


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
    """

    batches: tuple[int, ...] = (1, 2, 4, 8)
    rounds: int = 7
    limit_s: float = 45.0
    memory_bytes: int | None = None
    largest_batch: int = 32
    cold: bool = True
    seed: int = 0


@dataclass
class _Group:
    """The models of one architecture and input, and what their forwards took."""

    key: str
    models: list[StoredModel]
    batches: dict[int, torch.Tensor]
    seconds: dict[int, list[float]] = field(default_factory=dict)
    peaks: dict[int, int] = field(default_factory=dict)
    turns: int = 0


def measure(
    store: Store,
    names: Sequence[str] | None = None,
    device: str = "cpu",
    settings: Settings = Settings(),
    tell: Tell | None = None,
) -> Profile:
    """Measure a profile of this machine for models of a store.

    Args:
        names: the models; None for all that can run (imported with architecture and input).
        tell: told of the progress.

    Raises:
        NotInStoreError: no such model.
        ProfileError: a model named cannot be measured, or none can.
    """
    notes = _busy()
    models = _runnable(store, names, notes)
    tell = tell or (lambda what, done, of: None)
    with Runtime(store, device) as runtime:
        groups = _groups(models, settings)
        _warm_up(runtime, groups, tell)
        rehearsal = _Rehearsal(runtime, groups, random.Random(settings.seed))
        rehearsal.run(settings, tell)
        warm = _loading_fit(rehearsal.loads)
        cold = None
        if settings.cold:
            tell("cold loads", 0, 1)
            cold = _cold(rehearsal, notes)
        else:
            notes.append("loads with a cold page cache were not measured, as asked")
        for group in groups:
            for size, batch in group.batches.items():
                runtime.switch(group.models[0].name)
                group.peaks[size] = peak_bytes(runtime, group.models[0].name, batch)
        computing = tuple(_computing_fit(group, notes) for group in groups)
        return Profile(
            machine=_machine(device),
            device=device,
            warm=warm,
            cold=cold,
            computing=computing,
            memory_bytes=settings.memory_bytes or _free_bytes(runtime.device) // 2,
            largest_batch=settings.largest_batch,
            notes=tuple(notes),
        )


def _runnable(store: Store, names: Sequence[str] | None, notes: list[str]) -> list[StoredModel]:
    found, left_out = [], []
    for name in store.names() if names is None else names:
        model = store.model(name)
        try:
            computing_key(model)
        except ProfileError as error:
            if names is not None:
                raise
            left_out.append(str(error))
            continue
        found.append(model)
    if not found:
        reason = f": {left_out[0]}" if left_out else ""
        raise ProfileError(f"the store at {store.path} has no model that can be measured{reason}")
    notes += [f"left out: {reason}" for reason in left_out]
    return found


def _groups(models: Sequence[StoredModel], settings: Settings) -> list[_Group]:
    groups: dict[str, _Group] = {}
    for model in models:
        key = computing_key(model)
        if key not in groups and model.input is not None:
            inputs = [generated(model.input, i) for i in range(max(settings.batches))]
            batches = {size: torch.stack(inputs[:size]) for size in settings.batches}
            groups[key] = _Group(key, [], batches, {size: [] for size in batches})
        groups[key].models.append(model)
    return list(groups.values())


def _warm_up(runtime: Runtime, groups: Sequence[_Group], tell: Tell) -> None:
    """Build skeletons, read every block once (into the page cache, too), run every batch size."""
    total = sum(len(group.models) for group in groups)
    done = 0
    for group in groups:
        for model in group.models:
            tell("reading all weights once", done, total)
            runtime.switch(model.name)
            done += 1
        name = group.models[-1].name
        for batch in group.batches.values():
            for _ in range(2):
                _try(runtime, name, batch)


def _try(runtime: Runtime, name: str, batch: torch.Tensor) -> None:
    try:
        runtime.infer(name, batch)
        runtime.synchronize()
    except Exception as error:  # a forward may raise anything
        raise ProfileError(
            f"model {name!r} does not run on a batch of shape {list(batch.shape)}: "
            f"{type(error).__name__}: {error}"
        ) from error


class _Rehearsal:
    """Switches and forwards in random order, timed; `loads` has (bytes, seconds)."""

    def __init__(self, runtime: Runtime, groups: list[_Group], rng: random.Random) -> None:
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
            tell("switching and computing", turn * a_round, settings.rounds * a_round)
            # As plans order them: the variants of one architecture, then those of the next.
            for group in self.rng.sample(self.groups, len(self.groups)):
                for size in self.rng.sample(list(group.batches), len(group.batches)):
                    self._step(group, size)

    def _step(self, group: _Group, size: int) -> None:
        name = self._next(group)
        self.loads.append(self.load(name))
        started = time.perf_counter()
        self.runtime.infer(name, group.batches[size])
        self.runtime.synchronize()
        group.seconds[size].append(time.perf_counter() - started)

    def _next(self, group: _Group) -> str:
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
    return _loading_fit(loads)


def _loading_fit(loads: Sequence[tuple[int, float]]) -> LoadingFit:
    moved = [(size, seconds) for size, seconds in loads if size > 0]
    if not moved:
        raise ProfileError("the models have no weights to load")
    sizes = [float(size) for size, _ in moved]
    fit = fit_line(sizes, [seconds for _, seconds in moved])
    if fit.slope_s <= 0:  # all of one size, or too small for the bytes to show
        fit = LineFit(0.0, statistics.median(s / b for b, s in moved), 0.0, len(moved))
    error = statistics.median(abs(fit.seconds(size) - s) / s for size, s in moved)
    stage = Stage(1.0 / fit.slope_s, fit.intercept_s)
    return LoadingFit(stage, error, len(moved), int(min(sizes)), int(max(sizes)))


def _computing_fit(group: _Group, notes: list[str]) -> ComputingFit:
    """beta and mu from the medians; the error is that of single forwards."""
    architecture = group.models[0].architecture
    label = architecture.label if architecture else group.key
    medians = {size: statistics.median(times) for size, times in group.seconds.items()}
    fit = _line(medians)
    for size, median in medians.items():
        if abs(fit.seconds(size) - median) > NOTED_ERROR * median:
            notes.append(
                f"{label}: a batch of {size} takes {median * 1e3:.3g} ms, the line through the "
                f"batch sizes says {fit.seconds(size) * 1e3:.3g}"
            )
    points = [(size, s) for size, times in group.seconds.items() for s in times]
    peaks = {size: max(1, peak) for size, peak in group.peaks.items()}
    memory = fit_line(list(peaks), list(peaks.values()))
    return ComputingFit(
        key=group.key,
        label=label,
        seconds_per_batch=fit.intercept_s,
        seconds_per_task=fit.slope_s,
        median_relative_error=statistics.median(abs(fit.seconds(b) - s) / s for b, s in points),
        bytes_per_batch=memory.intercept_s,
        bytes_per_task=memory.slope_s,
        seconds=medians,
        peak_bytes=group.peaks,
    )


def _line(medians: dict[int, float]) -> LineFit:
    """The line through batch sizes; without the smallest where the others lie on one and it does
    not (kernels take another way for a single image, often twice as fast as the line says)."""
    sizes, seconds = list(medians), list(medians.values())
    whole = fit_line(sizes, seconds)
    if len(sizes) < LEAST_SIZES:
        return whole
    rest = fit_line(sizes[1:], seconds[1:])
    straight = rest.median_relative_error < whole.median_relative_error / 2
    return rest if straight else whole


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return available_bytes()


def _busy() -> list[str]:
    """A note if other processes use the machine now."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    cpus = os.cpu_count() or 1
    if load <= 0.75 * cpus:
        return []
    return [f"the machine was busy: load average {load:.1f} on {cpus} processors at the start"]


def _machine(device: str) -> dict[str, str | int]:
    found: dict[str, str | int] = {
        "processor": _processor(),
        "cpus": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if device.startswith("cuda"):
        found["accelerator"] = torch.cuda.get_device_name(device)
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
