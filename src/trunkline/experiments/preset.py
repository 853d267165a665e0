"""The parameters of a simulation of PartialLoading, Section VII, as one named document.

`presets/set-a.yaml` is the default, and says of each value where it comes from; a user copies it,
changes it and passes it on (`trunkline reproduce loading --preset FILE`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from trunkline.documents import NonNegative, Positive, PositiveInt, decode, read
from trunkline.errors import DocumentError
from trunkline.experiments.layers import NETWORKS

SET_A_FILE = Path(__file__).parent / "presets" / "set-a.yaml"
"""The default preset, with a comment on the origin of every value."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Sweep = Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a preset: unknown fields are errors."""


class CellPart(_Part, frozen=True):
    """The radio setting (`radio`): users within `radius_m`, their power, the noise."""

    radius_m: Positive
    power_w_per_hz: Positive
    noise_dbm_per_hz: float
    path_loss_exponent: NonNegative


class NetworkPart(_Part, frozen=True):
    """A network of the library, and what computing with it costs: beta and mu of (9)."""

    network: str
    seconds_per_batch: NonNegative
    seconds_per_task: NonNegative


class ModelsPart(_Part, frozen=True):
    """I, the models of the bottom-layer-sharing case and of the general case."""

    bottom: PositiveInt
    general: PositiveInt


class StagePart(_Part, frozen=True):
    """A stage of V (`links.Stage`)."""

    bytes_per_s: Positive
    overhead_s: NonNegative = 0.0


class Point(_Part, frozen=True):
    """What the sweeps vary.

    Attributes:
        bandwidth_hz: B.
        tasks: K, one task a user.
        deadline_s: the latency requirement, T slots.
        share: theta, the share of layers that a model keeps of its backbone, on average.
    """

    bandwidth_hz: Positive
    tasks: PositiveInt
    deadline_s: Positive
    share: Share


class SweepsPart(_Part, frozen=True):
    """The values of each coordinate of `Point` in the figures, the others as in `point`."""

    bandwidth_hz: Sweep
    tasks: Annotated[tuple[PositiveInt, ...], msgspec.Meta(min_length=1)]
    deadline_s: Sweep
    share: Annotated[tuple[Share, ...], msgspec.Meta(min_length=1)]


class SmallPart(_Part, frozen=True):
    """The small setting of Fig. 9; bandwidth and share as in `point`."""

    models: PositiveInt
    tasks: PositiveInt
    deadline_s: Positive


class Preset(_Part, frozen=True):
    """A setting for the figures; `presets/set-a.yaml` explains every field.

    Attributes:
        name: shown on the figures.
        networks: model i of a library is of network i mod their number.
        share_spread: a model's share of layers is uniform in theta +- min(spread, 1 - theta).
        upload_bytes: D/8, what each user uploads.
        loading: V.
        slot_s: of the slotted algorithms.
        channels: r, into how many sub-channels equal allocation divides the band (Fig. 8).
    """

    format: Literal["trunkline/loading-preset/1"]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    cell: CellPart
    networks: Annotated[tuple[NetworkPart, ...], msgspec.Meta(min_length=1)]
    models: ModelsPart
    share_spread: Share
    max_batch: PositiveInt
    upload_bytes: NonNegative
    loading: tuple[StagePart, ...]
    slot_s: Positive
    point: Point
    sweeps: SweepsPart
    channels: Annotated[tuple[PositiveInt, ...], msgspec.Meta(min_length=1)]
    small: SmallPart

    @property
    def digest(self) -> str:
        """A short digest of all values but the name: equal settings have equal results."""
        unnamed = msgspec.structs.replace(self, name="-")
        return hashlib.sha256(msgspec.json.encode(unnamed)).hexdigest()[:12]


def load_preset(source: str | Path | Mapping[str, Any] = SET_A_FILE) -> Preset:
    """The preset that a file or a dict states; set A by default.

    Raises:
        DocumentError: it states none; the message names the place.
    """
    raw = read(source)
    preset = decode(raw, Preset)
    for n, part in enumerate(preset.networks):
        if part.network not in NETWORKS:
            known = ", ".join(NETWORKS)
            raise DocumentError(
                f"$.networks[{n}].network", f"{part.network!r} is none of {known}", raw.source
            )
        if part.network in (other.network for other in preset.networks[:n]):
            raise DocumentError(
                f"$.networks[{n}].network", f"{part.network!r} stands there twice", raw.source
            )
    return preset
