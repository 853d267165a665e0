"""The models that a server knows, and whether it can serve each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from trunkline.errors import NotInStoreError, TrunklineError
from trunkline.runtime import Runtime
from trunkline.server.batching import Shape, Tensors
from trunkline.server.signature import Signature, signature_of
from trunkline.server.work import ServedModel, State, TensorInfo
from trunkline.store import StoredModel
from trunkline.units import size

FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 60.0

MOST_SHAPES: Final = 64
"""So many shapes of requests are remembered of a model: clients may think of any others."""


@dataclass(eq=False)
class Served:
    """A model as the server keeps it.

    Attributes:
        signature: how it is called; None for a model that cannot be served at all.
        reason: why it cannot be served now; empty if it can.
        retry_s: when a request is let through to see whether it can again; None for never.
        outputs: what it returned when it last ran.
        alone: names of inputs with which requests run alone: some output had no row for each sample
            (a loss, say, that comes with labels).
        rows: numbers of samples for which that was so. An output of four rows proves nothing after
            a batch of four, unless another number of samples had as many rows, too.
        waiting: requests in the queue.
        fitting: shapes of requests that fitted.
    """

    stored: StoredModel
    signature: Signature | None = None
    reason: str = ""
    retry_s: float | None = None
    outputs: tuple[TensorInfo, ...] = ()
    alone: set[frozenset[str]] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)
    waiting: int = 0
    fitting: set[Shape] = field(default_factory=set)
    _pause_s: float = FIRST_RETRY_S

    @property
    def name(self) -> str:
        """Its name."""
        return self.stored.name

    def check(self, inputs: Tensors, shape: Shape | None) -> None:
        """Refuse inputs that cannot fit (InputError); of a shape that fitted before, only where
        their values matter, too."""
        signature = self.signature
        if signature is None or shape in self.fitting:
            return
        signature.check(inputs)
        if shape is not None and signature.bound is None and len(self.fitting) < MOST_SHAPES:
            self.fitting.add(shape)

    def batches(self, inputs: Collection[str]) -> bool:
        """Whether requests with inputs of these names may run together."""
        return self._known(inputs) not in self.alone

    def separate(self, inputs: Collection[str]) -> None:
        """Let requests with inputs of these names run alone."""
        self.alone.add(self._known(inputs))

    def _known(self, inputs: Collection[str]) -> frozenset[str]:
        """Those that its forward knows: clients may think of any others."""
        return frozenset(inputs).intersection(self.signature.parameters if self.signature else ())

    def fail(self, reason: str, now_s: float) -> None:
        """Serve it no longer, for a while: longer each time."""
        self.reason = reason
        self.retry_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_RETRY_S)

    def stop(self, reason: str) -> None:
        """Serve it no longer, until somebody says so."""
        self.reason, self.retry_s = reason, None

    def recover(self) -> None:
        """Its blocks were read: all is well."""
        self.reason, self.retry_s, self._pause_s = "", None, FIRST_RETRY_S

    def is_open(self, now_s: float) -> bool:
        """Whether a request may be let through."""
        return not self.reason or (self.retry_s is not None and now_s >= self.retry_s)

    def describe(self, resident: frozenset[str] | set[str]) -> ServedModel:
        """It, for others."""
        ready = self.signature is not None and not self.reason
        return ServedModel(
            self.stored,
            State.READY if ready else State.UNAVAILABLE,
            self.reason,
            () if self.signature is None else self.signature.inputs,
            self.outputs,
            sum(block.bytes for block in self.stored.blocks if block.digest in resident),
            self.waiting,
        )


def look_up(runtime: Runtime, name: str) -> Served:
    """A model of the store, with the reason if it cannot be served.

    Raises:
        NotInStoreError: the store has no such model.
    """
    if name not in runtime.store.names():
        raise NotInStoreError(f"no model {name!r} in the store at {runtime.store.path}")
    try:
        runtime.forget(name)
        runtime.prepare(name)
        stored = runtime.stored(name)
    except TrunklineError as error:
        return Served(_as_far_as_known(runtime, name), reason=str(error))
    budget = runtime.memory_bytes
    if budget is not None and stored.bytes > budget:
        reason = f"it needs {size(stored.bytes)}; the memory budget is {size(budget)}"
        return Served(stored, reason=reason)
    return Served(stored, signature_of(stored, runtime.skeleton(name)))


def _as_far_as_known(runtime: Runtime, name: str) -> StoredModel:
    try:
        return runtime.store.model(name)
    except TrunklineError:
        return StoredModel(name, (), None, None, 0)
