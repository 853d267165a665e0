"""A profile: what loading and computing cost on one machine, as measured, and how well it fits.

Light on purpose: reading a profile needs no torch. `trunkline.runtime.measure` makes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from trunkline.documents import Identifier, NonNegative, Positive, PositiveInt, Raw, decode, read
from trunkline.errors import DocumentError, MemoryBudgetError, ProfileError
from trunkline.files import write_json
from trunkline.links import Link, Stage
from trunkline.store import InputSpec, StoredModel
from trunkline.units import shorten, size

FORMAT = "trunkline/profile/1"

Cache = Literal["warm", "cold"]
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class LoadingFit:
    """V as fitted to real partial loads: `overhead_s + bytes / bytes_per_s`.

    Attributes:
        stage: the fit, from the store to where the model computes.
        median_relative_error: of single loads against the fit.
        loads: how many were measured.
        smallest_bytes, largest_bytes: the sizes they had.
    """

    stage: Stage
    median_relative_error: float
    loads: int
    smallest_bytes: int
    largest_bytes: int

    @property
    def link(self) -> Link:
        """The fit as a link."""
        return Link((self.stage,))


@dataclass(frozen=True, slots=True)
class ComputingFit:
    """What a forward costs for all models of one architecture and input.

    Computing depends on the architecture and not on the values of the weights, so its models share
    one measurement.

    Attributes:
        key: of architecture, input and the weights' types (`computing_key`).
        label: the architecture, for people.
        seconds_per_batch, seconds_per_task: beta and mu of equation (9).
        median_relative_error: of single forwards against the fit.
        bytes_per_batch, bytes_per_task: peak of the memory that a forward allocates, as a line
            over the batch size.
        seconds: batch size -> median seconds.
        peak_bytes: batch size -> peak bytes.
        input, weights: the input and the types of the weights, for people (`3x32x32:float32`,
            `F32+I64`).
    """

    key: str
    label: str
    seconds_per_batch: float
    seconds_per_task: float
    median_relative_error: float
    bytes_per_batch: float
    bytes_per_task: float
    seconds: Mapping[int, float]
    peak_bytes: Mapping[int, int]
    input: str = ""
    weights: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """A machine as a loading planner needs to know it.

    Attributes:
        machine: what it was measured on (processor, cpus, threads, versions), for people.
        device: where models compute.
        warm: loads with the store's files in the page cache.
        cold: loads from the disk; None where the system does not let go of cached files.
        computing: one entry for each architecture and input.
        memory_bytes: what weights and activations of one batch may take together.
        largest_batch: no batch is planned larger than this.
        notes: what could not be measured, and why.
    """

    machine: Mapping[str, str | int]
    device: str
    warm: LoadingFit
    cold: LoadingFit | None
    computing: tuple[ComputingFit, ...]
    memory_bytes: int
    largest_batch: int
    notes: tuple[str, ...] = ()

    def loading(self, cache: Cache) -> LoadingFit:
        """The fit for a warm or a cold page cache (ProfileError if cold was not measured)."""
        found = self.warm if cache == "warm" else self.cold
        if found is None:
            raise ProfileError("the profile has no loads with a cold page cache")
        return found

    def computing_of(self, model: StoredModel) -> ComputingFit:
        """The entry that holds for a model.

        Raises:
            ProfileError: no model of its architecture and input was measured.
        """
        key = computing_key(model)
        for one in self.computing:
            if one.key == key:
                return one
        raise ProfileError(
            f"the profile has no model of the architecture and input of {model.name!r}: measure "
            "it with `trunkline profile`"
        )

    def max_batch(self, model: StoredModel) -> int:
        """b_max: the most tasks whose activations fit beside the model's weights in the memory.

        Raises:
            MemoryBudgetError: not even one does.
            ProfileError: the model was not measured.
        """
        fit = self.computing_of(model)
        room = self.memory_bytes - model.bytes - fit.bytes_per_batch
        most = room // fit.bytes_per_task if fit.bytes_per_task > 0 else self.largest_batch
        if room < 0 or most < 1:
            needed = model.bytes + fit.bytes_per_batch + fit.bytes_per_task
            raise MemoryBudgetError(
                f"model {model.name!r} needs {size(needed)} of memory for a batch of one "
                f"({size(model.bytes)} of it weights); the profile allows {size(self.memory_bytes)}"
            )
        return int(min(most, self.largest_batch))

    def to_dict(self) -> dict[str, Any]:
        """The profile as a `trunkline/profile/1` document."""
        return {
            "format": FORMAT,
            "machine": dict(self.machine),
            "device": self.device,
            "loading": {
                "warm": _loading_to_dict(self.warm),
                "cold": None if self.cold is None else _loading_to_dict(self.cold),
            },
            "computing": [
                {
                    **asdict(one),
                    "seconds": {str(batch): value for batch, value in one.seconds.items()},
                    "peak_bytes": {str(batch): value for batch, value in one.peak_bytes.items()},
                }
                for one in self.computing
            ],
            "memory_bytes": self.memory_bytes,
            "largest_batch": self.largest_batch,
            "notes": list(self.notes),
        }

    def save(self, path: str | Path) -> None:
        """Write the document (InputError if that cannot be done)."""
        write_json(path, self.to_dict())


def computing_key(model: StoredModel) -> str:
    """What decides how long a forward takes: architecture, input, and the weights' types.

    Raises:
        ProfileError: the model was imported without an architecture or an input.
    """
    if model.architecture is None or model.input is None:
        lacks, option = ("an input", "--input") if model.architecture else ("an arch", "--factory")
        raise ProfileError(
            f"model {model.name!r} was imported without {lacks.replace('arch', 'architecture')}; "
            f"import it with {option}"
        )
    return f"{model.architecture.key[:32]}/{input_label(model.input)}/{weights_label(model)}"


def input_label(spec: InputSpec) -> str:
    """An input in short: `3x32x32:float32`, `128:int64:30522` with the bound of its values."""
    shape = "x".join(map(str, spec.shape))
    return f"{shape}:{spec.dtype}" + ("" if spec.high is None else f":{spec.high}")


def weights_label(model: StoredModel) -> str:
    """The types of a model's weights: `F32+I64`."""
    return "+".join(sorted({spec.dtype for block in model.blocks for spec in block.tensors}))


def load_profile(source: str | Path | Mapping[str, Any]) -> Profile:
    """The profile that a document states.

    Raises:
        DocumentError: the document cannot be used; the message names the path inside it.
    """
    raw = read(source)
    if raw.get("format") != FORMAT:
        found = f", got {raw['format']!r:.60}" if "format" in raw else ""
        raise DocumentError(
            "$.format", f"expected {FORMAT!r}, as `trunkline profile -o` saves{found}", raw.source
        )
    document = decode(raw, _Document)
    return Profile(
        machine=document.machine,
        device=document.device,
        warm=_loading(document.loading.warm),
        cold=None if document.loading.cold is None else _loading(document.loading.cold),
        computing=tuple(
            _computing(raw, one, f"$.computing[{index}]")
            for index, one in enumerate(document.computing)
        ),
        memory_bytes=document.memory_bytes,
        largest_batch=document.largest_batch,
        notes=tuple(document.notes),
    )


def _by_batch(raw: Raw, values: Mapping[str, V], place: str) -> dict[int, V]:
    """JSON has batch sizes as text."""
    found = {}
    for batch, value in values.items():
        if not (batch.isascii() and batch.isdigit() and len(batch) < 10 and int(batch)):
            problem = f"a batch size is a whole number, got {shorten(batch)!r}"
            raise DocumentError(place, problem, raw.source)
        found[int(batch)] = value
    return found


def _computing(raw: Raw, one: _Computing, place: str) -> ComputingFit:
    fields: dict[str, Any] = {name: getattr(one, name) for name in one.__struct_fields__}
    fields["seconds"] = _by_batch(raw, one.seconds, f"{place}.seconds")
    fields["peak_bytes"] = _by_batch(raw, one.peak_bytes, f"{place}.peak_bytes")
    return ComputingFit(**fields)


def _loading_to_dict(fit: LoadingFit) -> dict[str, Any]:
    return {
        "overhead_s": fit.stage.overhead_s,
        "bytes_per_s": fit.stage.bytes_per_s,
        "median_relative_error": fit.median_relative_error,
        "loads": fit.loads,
        "smallest_bytes": fit.smallest_bytes,
        "largest_bytes": fit.largest_bytes,
    }


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Fit(_Strict):
    overhead_s: NonNegative
    bytes_per_s: Positive
    median_relative_error: NonNegative
    loads: PositiveInt
    smallest_bytes: PositiveInt
    largest_bytes: PositiveInt


class _Loading(_Strict):
    warm: _Fit
    cold: _Fit | None = None


class _Computing(_Strict):
    key: Identifier
    label: str
    seconds_per_batch: NonNegative
    seconds_per_task: NonNegative
    median_relative_error: NonNegative
    bytes_per_batch: NonNegative
    bytes_per_task: NonNegative
    seconds: dict[str, NonNegative]
    peak_bytes: dict[str, Annotated[int, msgspec.Meta(ge=0)]]
    input: str = ""
    weights: str = ""


class _Document(_Strict):
    format: Literal["trunkline/profile/1"]
    machine: dict[str, str | int]
    device: str
    loading: _Loading
    computing: list[_Computing]
    memory_bytes: PositiveInt
    largest_batch: PositiveInt
    notes: list[str] = msgspec.field(default_factory=list)


def _loading(fit: _Fit) -> LoadingFit:
    return LoadingFit(
        Stage(fit.bytes_per_s, fit.overhead_s),
        fit.median_relative_error,
        fit.loads,
        fit.smallest_bytes,
        fit.largest_bytes,
    )
