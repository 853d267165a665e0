"""Putting the demo's models into a store, through the same doors that a user's models take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from torch import Tensor

from trunkline.errors import InputError, StoreError
from trunkline.experiments import networks
from trunkline.experiments.digits import FineTuned
from trunkline.experiments.layers import NUM_CLASSES, layer_bytes
from trunkline.experiments.variants import RandomVariant, backbone_state, variant_state
from trunkline.runtime import state_dict_source
from trunkline.runtime.inputs import save_tensors
from trunkline.store import Architecture, ImportReport, InputSpec, Store
from trunkline.store.factory import open_factory

DIGITS_INPUT = InputSpec((1, 8, 8))
IMAGE_INPUT = InputSpec((3, 32, 32))

Tell = Callable[[str], None]


def save_digits(variants: Iterable[FineTuned], folder: Path) -> list[Path]:
    """Write each variant's weights as `<name>.safetensors`; returns the paths in order.

    Raises:
        InputError: a file cannot be written.
    """
    paths = []
    for variant in variants:
        path = folder / f"{variant.name}.safetensors"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be made: {error.strerror}") from None
        save_tensors(path, variant.state, {"format": "pt"})
        paths.append(path)
    return paths


def stock_digits(
    store: Store, variants: Sequence[FineTuned], paths: Sequence[Path]
) -> list[ImportReport]:
    """Import weights that `save_digits` wrote, as `trunkline import --factory` does."""
    factory = f"{networks.__name__}:digits_net"
    reports = []
    for variant, path in zip(variants, paths, strict=True):
        classes = {"num_classes": len(variant.task.labels)}
        source = open_factory(factory, path, classes, DIGITS_INPUT)
        reports.append(store.add(variant.name, source, replace=True))
    return reports


def stock_random(
    store: Store, variants: Sequence[RandomVariant], *, seed: int = 0, tell: Tell | None = None
) -> list[ImportReport]:
    """Generate random variants and import them, except those that are in the store already.

    One backbone and one variant are in memory at a time.

    Args:
        tell: called with a model's name before it is generated, or passed over.

    Returns:
        The reports of the imported ones.
    """
    reports = []
    backbone: tuple[str, dict[str, Tensor]] = ("", {})
    for variant in sorted(variants, key=lambda v: v.network):
        if tell:
            tell(variant.name)
        if is_stocked(store, variant, seed):
            continue
        if backbone[0] != variant.network:
            backbone = (variant.network, {})  # let the last one go first
            backbone = (variant.network, backbone_state(variant.network, seed=seed))
        source = state_dict_source(
            variant_state(variant, backbone[1], seed=seed),
            architecture=Architecture(
                "factory", factory=variant.factory, kwargs={"num_classes": NUM_CLASSES}
            ),
            input=IMAGE_INPUT,
            metadata=_origin(variant, seed),
        )
        reports.append(store.add(variant.name, source, replace=True))
    return reports


def is_stocked(store: Store, variant: RandomVariant, seed: int = 0) -> bool:
    """Whether this very variant, made from this seed, lies whole in the store."""
    try:
        return dict(store.model(variant.name).metadata) == _origin(variant, seed)
    except StoreError:  # not there, or damaged
        return False


def bytes_to_write(store: Store, variants: Sequence[RandomVariant], seed: int = 0) -> int:
    """About how many bytes `stock_random` will add to the store (an upper estimate)."""
    missing = [variant for variant in variants if not is_stocked(store, variant, seed)]
    backbones = sum(sum(layer_bytes(network)) for network in {v.network for v in missing})
    return backbones + sum(sum(layer_bytes(v.network)[v.shared :]) for v in missing)


def _origin(variant: RandomVariant, seed: int) -> dict[str, str]:
    """The metadata by which a variant is known again; a new way of drawing needs a new version."""
    drawn = f"version 1, seed {seed}, {variant.shared} of {variant.layers} layers shared"
    return {"format": "pt", "weights": f"random, for timing only ({drawn})"}
