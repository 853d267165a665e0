"""A setting so small that all sweeps take a second or two."""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.experiments.pulling.preset import Preset, load_preset


def tiny_document(**changes: Any) -> dict[str, Any]:
    """The default preset with few sites, requests and models, and short sweeps."""
    document = msgspec.to_builtins(load_preset())
    point = {"sites": 6, "requests": 8, "models": 6}
    sweeps = {
        "sites": [4, 6],
        "requests": [4, 8],
        "models": [4, 6],
        "storage_bytes": [8e9],
        "accuracy": [0.7],
        "shared": [0.0, 0.9],
    }
    return document | {"point": document["point"] | point, "sweeps": sweeps} | changes


def tiny_preset(**changes: Any) -> Preset:
    """The same, read."""
    return load_preset(tiny_document(**changes))
