"""The parameters of the pulling evaluation as one named document (`presets/eua.yaml`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from trunkline.documents import NonNegative, Positive, PositiveInt, Raw, decode, read
from trunkline.errors import DocumentError
from trunkline.experiments.pulling.backbones import BACKBONES
from trunkline.experiments.pulling.eua import stations, users

PRESET_FILE: Final = Path(__file__).parent.parent / "presets" / "eua.yaml"
"""The default preset, with a comment on the origin of every value."""

MOST_MODELS: Final = 200
"""So many are drawn; a scenario has the first of them."""

MOST_TASKS: Final = 1000

QUICK_SITES: Final = 20
QUICK_REQUESTS: Final = 40

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Gain = Annotated[float, msgspec.Meta(ge=-1, le=1)]
Load = Annotated[float, msgspec.Meta(ge=0, le=2)]
Range = tuple[Positive, Positive]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a preset: unknown fields are errors."""


class BackbonePart(_Part, frozen=True):
    """A backbone and the accuracy of the untuned model on every task."""

    network: str
    accuracy: Share


class TokensPart(_Part, frozen=True):
    """Demand, lognormal: `median * exp(sigma * N(0, 1))`."""

    median: Positive
    sigma: Annotated[float, msgspec.Meta(ge=0, le=5)]


class NetworkPart(_Part, frozen=True):
    """Rates and latencies; stations hang on hubs, hubs on each other and on the data centre."""

    hubs: PositiveInt
    station_bytes_per_s: Positive
    hub_bytes_per_s: Positive
    centre_bytes_per_s: Positive
    centre_latency_s: NonNegative
    hop_latency_s: NonNegative


class SitePart(_Part, frozen=True):
    """Sites; pairs are the ends of a uniform draw, and `resident` is a probability."""

    flop_per_s: Range
    capacity_flop_per_s: Range
    period_s: Positive
    queue_load: tuple[Load, Load]
    queue_service_s: Positive
    resident: Share
    compute_w: NonNegative
    transfer_w: NonNegative


class CentrePart(_Part, frozen=True):
    """The data centre."""

    flop_per_s: Positive
    queue_load: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    queue_service_s: Positive
    compute_w: NonNegative
    transfer_w: NonNegative


class Point(_Part, frozen=True):
    """What the sweeps vary.

    Attributes:
        sites: stations that have a cloudlet.
        requests: each by another user.
        models: untuned backbones first, then models tuned from them in turns.
        storage_bytes: mean of the sites'.
        accuracy: mean need of the requests.
        shared: mean fraction of its backbone's layers that a model keeps, from the bottom.
    """

    sites: PositiveInt
    requests: PositiveInt
    models: PositiveInt
    storage_bytes: NonNegative
    accuracy: Share
    shared: Share


RANGES: Final = (
    "tuned_gain", "other_gain", "input_bytes", "output_bytes", "flop_per_s", "capacity_flop_per_s",
    "queue_load",
)  # fmt: skip
"""The fields that are the two ends of a uniform draw."""

COORDINATES: Final = ("sites", "requests", "models", "storage_bytes", "accuracy", "shared")
"""What can be swept, in the figures' order."""


class SweepsPart(_Part, frozen=True):
    """The values of each coordinate of `Point`, the others as in `point`."""

    sites: Annotated[tuple[PositiveInt, ...], msgspec.Meta(min_length=1)]
    requests: Annotated[tuple[PositiveInt, ...], msgspec.Meta(min_length=1)]
    models: Annotated[tuple[PositiveInt, ...], msgspec.Meta(min_length=1)]
    storage_bytes: Annotated[tuple[NonNegative, ...], msgspec.Meta(min_length=1)]
    accuracy: Annotated[tuple[Share, ...], msgspec.Meta(min_length=1)]
    shared: Annotated[tuple[Share, ...], msgspec.Meta(min_length=1)]


class Preset(_Part, frozen=True):
    """A setting for the figures; `presets/eua.yaml` explains every field."""

    format: Literal["trunkline/pulling-preset/1"]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    backbones: Annotated[tuple[BackbonePart, ...], msgspec.Meta(min_length=1)]
    bytes_per_parameter: Positive
    flop_per_parameter: Positive
    tasks: Annotated[int, msgspec.Meta(ge=1, le=MOST_TASKS)]
    tuned_gain: tuple[Gain, Gain]
    other_gain: tuple[Gain, Gain]
    shared_spread: Share
    tokens: TokensPart
    input_bytes: Range
    output_bytes: Range
    reach: PositiveInt
    accuracy_spread: Share
    network: NetworkPart
    site: SitePart
    centre: CentrePart
    seconds_per_joule: NonNegative
    point: Point
    sweeps: SweepsPart

    @property
    def digest(self) -> str:
        """A short digest of all values but the name: equal settings have equal results."""
        unnamed = msgspec.structs.replace(self, name="-")
        return hashlib.sha256(msgspec.json.encode(unnamed)).hexdigest()[:12]

    def points(self, coordinate: str) -> tuple[Point, ...]:
        """The points along one sweep."""
        values = getattr(self.sweeps, coordinate)
        return tuple(msgspec.structs.replace(self.point, **{coordinate: v}) for v in values)


def quick(preset: Preset) -> Preset:
    """The preset at a small point, with the first and the middle value of every sweep."""
    sweeps = {
        name: tuple(dict.fromkeys((values[0], values[len(values) // 2])))
        for name, values in msgspec.structs.asdict(preset.sweeps).items()
    }
    point = msgspec.structs.replace(
        preset.point,
        sites=min(preset.point.sites, QUICK_SITES),
        requests=min(preset.point.requests, QUICK_REQUESTS),
    )
    return msgspec.structs.replace(
        preset, name=f"{preset.name}, quick", point=point, sweeps=SweepsPart(**sweeps)
    )


def load_preset(source: str | Path | Mapping[str, Any] = PRESET_FILE) -> Preset:
    """The preset that a file or a dict states; `eua` by default.

    Raises:
        DocumentError: it states none; the message names the place.
    """
    raw = read(source)
    preset = decode(raw, Preset)
    for n, part in enumerate(preset.backbones):
        if part.network not in BACKBONES:
            problem = f"{part.network!r} is none of {', '.join(BACKBONES)}"
            raise DocumentError(f"$.backbones[{n}].network", problem, raw.source)
    _check_counts(preset, raw)
    _check_ranges(preset, raw)
    return preset


def _check_counts(preset: Preset, raw: Raw) -> None:
    """No point has more than there is."""
    limits = {
        "sites": (len(stations()[0]), "EUA has"),
        "requests": (len(users()), "EUA has users for"),
        "models": (MOST_MODELS, "there are"),
    }
    for name, (most, said) in limits.items():
        places = [(f"$.point.{name}", getattr(preset.point, name))]
        swept = enumerate(getattr(preset.sweeps, name))
        places += [(f"$.sweeps.{name}[{n}]", value) for n, value in swept]
        for path, value in places:
            if value > most:
                raise DocumentError(path, f"{said} {most} at most, got {value}", raw.source)


def _check_ranges(preset: Preset, raw: Raw) -> None:
    """The ends of every uniform draw are in order."""
    for path, part in (("$", preset), ("$.site", preset.site)):
        for name, value in msgspec.structs.asdict(part).items():
            if isinstance(value, tuple) and name in RANGES and value[0] > value[1]:
                problem = f"the first of two ends is the lower one, got {list(value)}"
                raise DocumentError(f"{path}.{name}", problem, raw.source)
