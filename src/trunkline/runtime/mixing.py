"""A runtime that also runs batches for several adapters of one base."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from trunkline.errors import InputError
from trunkline.runtime.adapters import Seats, base_of
from trunkline.runtime.known import Known
from trunkline.runtime.runtime import Runtime


class MixingRuntime(Runtime):
    """A `Runtime` (arguments as there) with batches whose samples belong to different adapters."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._seats: dict[str, Seats] = {}  # by architecture
        self._keys: dict[str, tuple[Known, tuple[str, str]]] = {}

    def mixing_key(self, name: str) -> Hashable | None:
        """Models with equal keys may run in one batch: adapters of one base with equal settings.
        None for a model that has no adapter. Errors as `prepare`."""
        with self._lock:
            known = self._look_up(name)
            architecture = known.model.architecture
            if architecture is None or architecture.kind != "peft":
                return None
            found = self._keys.get(name)
            if found is None or found[0] is not known:
                found = self._keys[name] = known, (architecture.key, base_of(known))
            return found[1]

    def prepare_mixed(self, name: str) -> None:
        """Build the module that such batches run in, unless there is one (errors as `prepare`)."""
        with self._lock:
            self._seats_for(self._look_up(name))

    def infer_mixed(
        self, names: Sequence[str], batch: torch.Tensor | Mapping[str, torch.Tensor]
    ) -> Any:
        """Run a batch whose sample i is for the model `names[i]`, as `infer` does for one model.

        Raises:
            InputError: more models than seats, one that is not resident, or models that do not mix.
            ArchitectureError: as `infer` and `prepare`.
        """
        distinct = list(dict.fromkeys(names))
        with self._turn, self._mixed_forward(distinct) as (seats, sitting, known):
            adapters = [sitting[name] for name in names]

            def forward(*args: Any, **inputs: Any) -> Any:
                return seats(*args, **inputs, adapter_names=adapters)

            return self._call(forward, seats, known, batch)

    def forget(self, name: str) -> None:
        """Look a model up anew when it is next used."""
        with self._lock:
            self._keys.pop(name, None)
            super().forget(name)

    def tidy(self) -> None:
        """As `Runtime.tidy`; the modules of mixed batches, too."""
        with self._lock:
            used = [*self._known.values(), *self._computing]
            keys = {one.model.architecture.key for one in used if one.model.architecture}
            self._seats = {key: seats for key, seats in self._seats.items() if key in keys}
            super().tidy()

    def abandon(self) -> None:
        """As `Runtime.abandon`; mixed batches get another module, too."""
        with self._lock:
            for stuck in self._computing:
                if stuck.model.architecture is not None:
                    self._seats.pop(stuck.model.architecture.key, None)
            super().abandon()

    @contextmanager
    def _mixed_forward(
        self, names: Sequence[str]
    ) -> Iterator[tuple[Seats, Mapping[str, str], list[Known]]]:
        """The module with these models seated, whose blocks stay until the end."""
        with self._lock, torch.inference_mode(False):
            keys = {self.mixing_key(name) for name in names}
            if len(keys) != 1 or None in keys:
                raise InputError(f"models {names} are not adapters of one base, equal in settings")
            known = [self._ready(name) for name in names]
            seats = self._seats_for(known[0])
            sitting = seats.place(known, self._residents)
            for one in known:
                self._residents.touch(one.blocks)
            self._computing += known
        try:
            yield seats, sitting, known
        finally:  # not under the lock, as in `_forward`
            for one in known:
                self._computing.remove(one)

    def _seats_for(self, known: Known) -> Seats:
        architecture = known.model.architecture
        assert architecture is not None
        found = self._seats.get(architecture.key)
        if found is None:
            found = self._seats[architecture.key] = Seats(architecture, self.device)
        return found

    def _let_go(self, digests: Collection[str]) -> int:
        for seats in self._seats.values():
            seats.release(digests)
        return super()._let_go(digests)
