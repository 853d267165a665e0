"""Weights for a PyTorch factory: `package.module:callable`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trunkline.store.architecture import Architecture, InputSpec
from trunkline.store.building import build_skeleton, check_kwargs
from trunkline.store.fitting import fit, ordered, spread_ties
from trunkline.store.paths import open_weights
from trunkline.store.skeleton import examine, known_order
from trunkline.store.sources import Source


def open_factory(
    factory: str,
    weights: Path,
    kwargs: Mapping[str, Any] | None = None,
    given: InputSpec | None = None,
) -> Source:
    """A source over weights that fit what a factory builds.

    The factory is called once, on the meta device. Blocks are ordered as one forward pass reaches
    them if `given` describes an input and the pass runs on the meta device, else as the
    architecture defines them. The weights keep their own precision.

    Raises:
        InputError: the factory's name has another form.
        ArchitectureError: the factory cannot be imported or called, or the weights don't fit.
        WeightsFormatError, StoreError: the weights cannot be used.
    """
    plain = check_kwargs(kwargs or {}, factory)
    architecture = Architecture("factory", factory=factory, kwargs=plain)
    module = build_skeleton(architecture)
    skeleton = examine(module, architecture.label)
    order, notes = known_order(module, skeleton, given)
    source = open_weights(weights)
    try:
        tensors, tied = fit(source, skeleton, architecture.label)
    except BaseException:
        source.close()
        raise
    return replace(
        source,
        tensors=ordered(tensors, spread_ties(order, tied)),
        architecture=architecture,
        input=given,
        tied=tied,
        files={},
        notes=(*source.notes, *notes),
    )
