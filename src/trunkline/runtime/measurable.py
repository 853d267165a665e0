"""Which models can be measured, in groups that share a measurement, warmed up for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from trunkline.errors import (
    InputError,
    MemoryBudgetError,
    ProfileError,
    StoreError,
    TrunklineError,
)
from trunkline.runtime.inputs import generated, highest, infer
from trunkline.runtime.profile import computing_key
from trunkline.runtime.runtime import Runtime
from trunkline.store import Store, StoredModel
from trunkline.units import count, size

Tell = Callable[[int, int, str], None]
"""Told how many steps are done, how many there are, and what is being done."""

MOST_REASONS = 3
"""So many reasons are given where no model can be measured."""


@dataclass
class Group:
    """The models of one architecture and input, and what their forwards took."""

    key: str
    models: list[StoredModel]
    batches: dict[int, torch.Tensor] = field(default_factory=dict)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    peaks: dict[int, int] = field(default_factory=dict)
    turns: int = 0


@dataclass
class LeftOut:
    """What becomes of models that cannot be measured: an error where they were named, else a note.

    Attributes:
        named: whether they were.
        reasons: why models were left out, each with the model's name.
    """

    named: bool
    reasons: list[str] = field(default_factory=list)

    def add(self, model: str, error: TrunklineError) -> None:
        """Raise the error of a model that was named; else remember it."""
        if self.named:
            raise error
        text = str(error)
        self.reasons.append(text if repr(model) in text else f"model {model!r}: {text}")

    def all_of(self, store: Store) -> ProfileError:
        """The error that no model is left."""
        found = self.reasons[:MOST_REASONS]
        if len(self.reasons) > MOST_REASONS:
            found.append(f"and {len(self.reasons) - MOST_REASONS} more")
        why = f": {'; '.join(found)}" if found else ", nor any other"
        return ProfileError(f"the store at {store.path} has no model that can be measured{why}")


def measurable(
    store: Store, names: Sequence[str] | None, memory_bytes: int | None, left_out: LeftOut
) -> list[StoredModel]:
    """The models named, or all, that may be measured as far as can be told without running them.

    Raises:
        StoreError: the store cannot be read, or a model that was named is not there.
        TrunklineError: why one that was named cannot be measured.
    """
    found = []
    for name in dict.fromkeys(store.names() if names is None else names):
        try:
            model = store.model(name)
            computing_key(model)
            if memory_bytes is not None and model.bytes > memory_bytes:
                raise MemoryBudgetError(
                    f"model {name!r} has {size(model.bytes)} of weights and does not fit into the "
                    f"memory of {size(memory_bytes)}"
                )
        except (StoreError, ProfileError, MemoryBudgetError) as error:
            left_out.add(name, error)
        else:
            found.append(model)
    return found


def groups_of(models: Sequence[StoredModel]) -> list[Group]:
    """The models by what decides how long they compute."""
    groups: dict[str, Group] = {}
    for model in models:
        key = computing_key(model)
        groups.setdefault(key, Group(key, [])).models.append(model)
    return list(groups.values())


def warm_up(
    runtime: Runtime,
    groups: Sequence[Group],
    sizes: Sequence[int],
    left_out: LeftOut,
    tell: Tell,
) -> list[Group]:
    """Build skeletons, read every block once (into the page cache, too), run every model once and
    every batch size twice. Returns the groups with the models that run."""
    total = sum(len(group.models) for group in groups)
    done = 0
    for group in groups:
        running: list[StoredModel] = []
        for model in group.models:
            tell(done, total, f"reading the weights of {count(total, 'model')} once")
            done += 1
            try:
                runtime.switch(model.name)
                if not running:
                    group.batches = _batches(model, sizes, runtime)
                _try(runtime, model, group, all_sizes=not running)
            except TrunklineError as error:
                left_out.add(model.name, error)
            else:
                running.append(model)
        group.models = running
        group.seconds = {batch_size: [] for batch_size in group.batches}
    return [group for group in groups if group.models]


def _try(runtime: Runtime, model: StoredModel, group: Group, all_sizes: bool) -> None:
    """Run a model on its smallest batch, or on all, and on the greatest values of its input."""
    if model.input is not None and model.input.high is not None:
        infer(runtime, model.name, highest(model.input)[None])
    batches = list(group.batches.values())
    for batch in batches if all_sizes else batches[:1]:
        for _ in range(2 if all_sizes else 1):
            infer(runtime, model.name, batch)


def _batches(model: StoredModel, sizes: Sequence[int], runtime: Runtime) -> dict[int, torch.Tensor]:
    """A generated batch of every size."""
    if model.input is None:
        raise ProfileError(f"model {model.name!r} was imported without an input")
    try:
        inputs = [generated(model.input, i) for i in range(max(sizes))]
        return {batch: torch.stack(inputs[:batch]) for batch in sizes}
    except (InputError, RuntimeError, MemoryError) as error:
        raise InputError(f"model {model.name!r}: {error}") from None
