"""A small scenario that a person can price."""

from __future__ import annotations

from typing import Any

from trunkline.documents import read
from trunkline.pulling.scenario import Scenario
from trunkline.pulling.scenario_document import scenario_from_document


def document(**changes: Any) -> dict[str, Any]:
    """dc --(1 s, 10 B/s)-- c1 --(2 s, 100 B/s)-- c2, and an access point behind c2; the models m
    (blocks a, b) and n (blocks a, c); a request at the access point and one at c1."""
    stated = {
        "format": "trunkline/pulling-scenario/1",
        "data_centre": {"id": "dc", "flop_per_s": 100.0},
        "sites": [
            {"id": "c1", "storage_bytes": 100.0, "flop_per_s": 10.0, "capacity_flop_per_s": 1e3},
            {"id": "c2", "storage_bytes": 100.0, "flop_per_s": 20.0, "capacity_flop_per_s": 1e3},
        ],
        "access_points": [{"id": "ap"}],
        "links": [
            {"ends": ["dc", "c1"], "latency_s": 1.0, "bytes_per_s": 10.0},
            {"ends": ["c1", "c2"], "latency_s": 2.0, "bytes_per_s": 100.0},
            {"ends": ["c2", "ap"], "latency_s": 0.5, "bytes_per_s": 1000.0},
        ],
        "blocks": {"a": 50.0, "b": 10.0, "c": 20.0},
        "models": [
            {"id": "m", "blocks": ["a", "b"], "flop_per_unit": 2.0, "accuracy": 0.8},
            {"id": "n", "blocks": ["a", "c"], "flop_per_unit": 4.0, "accuracy": {"vision": 0.9}},
        ],
        "requests": [
            {"id": "r1", "home": "ap", "units": 10.0, "input_bytes": 100.0, "type": "vision"},
            {"id": "r2", "home": "c1", "units": 5.0, "sites": ["c1"]},
        ],
    }
    return stated | changes


def scenario(**changes: Any) -> Scenario:
    """The same, read."""
    return scenario_from_document(read(document(**changes)))
