"""A setting so small that every figure takes a second."""

from __future__ import annotations

from typing import Any

import yaml

from trunkline.experiments.preset import SET_A_FILE, Preset, load_preset


def tiny_preset(**changes: Any) -> Preset:
    """Set A with few models, few users and short sweeps."""
    document = yaml.safe_load(SET_A_FILE.read_text())
    document["cell"]["power_w_per_hz"] = 5e-9  # YAML 1.1 reads some numbers as text
    document.update(
        models={"bottom": 6, "general": 5},
        networks=[
            {"network": part["network"], "seconds_per_batch": 2e-3, "seconds_per_task": 1e-4}
            for part in document["networks"]
        ],
        loading=[{"overhead_s": 0.0, "bytes_per_s": 1e9}],
        point={"bandwidth_hz": 5e7, "tasks": 8, "deadline_s": 0.2, "share": 0.8},
        sweeps={
            "bandwidth_hz": [1e7, 5e7],
            "tasks": [6, 8],
            "deadline_s": [0.1, 0.2],
            "share": [0.8, 0.9],
        },
        channels=[5, 10],
        small={"models": 3, "tasks": 5, "deadline_s": 0.1},
        **changes,
    )
    return load_preset(document)
