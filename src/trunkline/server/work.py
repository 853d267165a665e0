"""What passes between the parts of a server: requests, answers, refusals, records of batches.

Times are seconds of `time.monotonic()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from trunkline.errors import Reason
from trunkline.store import StoredModel

if TYPE_CHECKING:  # a store is served without it
    import torch


@dataclass(slots=True, eq=False)
class Answer:
    """What a model answered.

    Attributes:
        outputs: by name, in the model's order, in host memory.
        queue_s: from arrival to the moment when its batch was next.
        load_s: what the batch waited for its blocks after that.
        compute_s: what the batch computed.
        batch: samples in the batch, this request's included.
    """

    outputs: Mapping[str, torch.Tensor]
    queue_s: float
    load_s: float
    compute_s: float
    batch: int


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output: the protocol's datatype, and a shape where -1 stands for any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class State(StrEnum):
    """Whether a model is served, in the words of the protocol's repository extension."""

    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that the server knows.

    Attributes:
        inputs: what it takes, as far as is known (not known: empty, and anything may be tried).
        outputs: what it returned when it last ran; empty before that.
        resident_bytes: of its blocks, shared ones included, those in memory.
    """

    stored: StoredModel
    state: State
    reason: str = ""
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    resident_bytes: int = 0
    waiting: int = 0

    @property
    def name(self) -> str:
        """Its name in the store."""
        return self.stored.name


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """Blocks that came into memory for a model, whether or not a batch of it follows.

    Attributes:
        bytes: of the blocks that came.
        planned_s: what the scheduler expected it to take.
    """

    model: str
    bytes: int
    begin_s: float
    end_s: float
    planned_s: float


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """What became of a batch.

    Attributes:
        model: whose it was; of a batch that mixed adapters, the one that was next.
        requests, samples: how many it had.
        bytes_moved: what was loaded last for its model since that last computed. Blocks that were
            loaded and left again before are not in it; `LoadRecord` has all.
        bytes_asked: the bytes of the whole model, or of the models, each whole.
        load_begin_s, load_end_s: equal if nothing was loaded. The load may have run beside the
            computing of the batch before; the last one, where several models were loaded for it.
        compute_begin_s, compute_end_s: of the forward.
        planned_load_s, planned_compute_s: what the scheduler expected.
        decision_s: what the decision took.
        error: what went wrong, empty for nothing.
        others: the other models that had requests in it.
    """

    model: str
    requests: int
    samples: int
    bytes_moved: int
    bytes_asked: int
    load_begin_s: float
    load_end_s: float
    compute_begin_s: float
    compute_end_s: float
    planned_load_s: float
    planned_compute_s: float
    decision_s: float
    error: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The server at one moment, for its status page.

    Attributes:
        resident: digests of the blocks in memory.
        computing: the model that computes, None if none does.
        loading: the model that is being loaded, None if none is.
        stuck: how many forwards were given up on and still run.
    """

    now_s: float
    models: Sequence[ServedModel]
    resident: frozenset[str]
    resident_bytes: int
    memory_bytes: int | None
    device: str
    computing: str | None = None
    loading: str | None = None
    draining: bool = False
    stuck: int = 0


class Observer(Protocol):
    """Told of everything that happens; called from several threads, and must be quick."""

    def received(self, model: str) -> None:
        """A request came in (before it is known whether it is refused)."""

    def answered(self, model: str, wait_s: float, in_time: bool) -> None:
        """A request was answered, `wait_s` after it came."""

    def refused(self, model: str, reason: Reason) -> None:
        """A request was not answered. received = answered + refused + in flight, always."""

    def loaded(self, record: LoadRecord) -> None:
        """A load ended well."""

    def batch(self, record: BatchRecord) -> None:
        """A batch ended, well or not."""

    def decided(self, seconds: float, waiting: int) -> None:
        """The scheduler took a decision with so many requests waiting."""


class Engine(Protocol):
    """Models that answer requests by their deadlines; safe to call from any thread."""

    def submit(
        self,
        model: str,
        inputs: Mapping[str, torch.Tensor],
        deadline_s: float,
        more: bool = False,
    ) -> Future[Answer]:
        """Put a request into the queue. The future may be cancelled while the request waits.

        Args:
            more: others follow at once, and then `begin`.

        The future's exception is a RefusedError, a ModelFailedError or an InputError (the inputs do
        not fit the model).

        Raises:
            UnknownModelError: no such model.
            InputError: the inputs do not fit the model.
            RefusedError: at once, where no answer in time is possible, the queue is full, the
                model is unavailable, or the server is stopping.
        """

    def begin(self) -> None:
        """Go on with requests that were put into the queue with `more`."""

    def models(self) -> list[ServedModel]:
        """All models of the store, ready or not, by name."""

    def model(self, name: str) -> ServedModel:
        """One of them (UnknownModelError)."""

    def stored(self, name: str) -> StoredModel:
        """The model behind a name (UnknownModelError); cheap enough for every request."""

    def load(self, name: str) -> None:
        """Serve a model of the store: one that was imported or changed since the start, or was
        unloaded, or became unavailable. Requests of its older version that wait are answered by
        that.

        Raises:
            UnknownModelError: the store has no such model.
            TrunklineError: it cannot be served, and why.
        """

    def unload(self, name: str) -> None:
        """Serve a model no longer; what waits for it is refused (UnknownModelError)."""

    def snapshot(self) -> Snapshot:
        """The server at this moment."""

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""

    @property
    def live(self) -> bool:
        """Whether batches can be computed: not if every thread for it is stuck, or a load hangs."""

    def drain(self, seconds: float) -> bool:
        """Take no more requests, finish those that wait; whether all were within the time."""

    def close(self) -> None:
        """Refuse what waits and let everything go; a second call does nothing."""


LoadAhead = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client cannot make the server do.

    Attributes:
        default_timeout_s: how long a request waits that does not say.
        longest_timeout_s: none waits longer, whatever it says.
        queue: requests that wait at once.
        batch: samples in one batch.
        body_bytes: of one HTTP body.
        elements: of one tensor.
        bodies_bytes: of the bodies of all requests that have not been answered.
        head_bytes: of the first line and the headers of one HTTP request.
        connections: at once.
        head_s: for the head of a request to arrive.
        body_s: for its body to arrive.
        idle_s: a connection is kept open without a request.
        stuck_after: a forward is given up on when it takes so many times what was expected of it,
            and at least `stuck_after_s` (six times that where nothing is known of it); while a load
            takes longer than that, the server is not live.
        load_ahead: whether the next model's blocks load while a batch computes; "auto" where that
            gains anything (`trunkline.server.overlap`).
    """

    default_timeout_s: float = 10.0
    longest_timeout_s: float = 300.0
    queue: int = 1000
    batch: int = 32
    body_bytes: int = 64 * 2**20
    elements: int = 2**26
    bodies_bytes: int = 512 * 2**20
    head_bytes: int = 32 * 2**10
    connections: int = 2000
    head_s: float = 10.0
    body_s: float = 60.0
    idle_s: float = 30.0
    stuck_after: float = 20.0
    stuck_after_s: float = 10.0
    load_ahead: LoadAhead = "auto"

    def longest_s(self, expected_s: float) -> float:
        """How long what was expected to take so long may take before it is called stuck."""
        return max(self.stuck_after_s, self.stuck_after * expected_s)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server is reached, and by whom.

    Attributes:
        token: a bearer token that every call but the health checks must carry; None for none.
        certificate, key: files for TLS; both or neither.
        repository_writes: whether `load` and `unload` may be called over HTTP.
        hosts: names by which browsers may reach it, beside those of the loopback interface.
        drain_s: how long waiting requests may take to finish when the server is told to stop.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    certificate: str | None = None
    key: str | None = None
    repository_writes: bool = False
    hosts: tuple[str, ...] = ()
    drain_s: float = 30.0
    limits: Limits = Limits()
