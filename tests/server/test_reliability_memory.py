"""The memory of a server that runs as a process, by its own account and by the system's."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.server.processes import Process, Site, serving

BESIDE_BYTES = 24 * 2**20
"""What a server takes beside its weights and what it takes without any: activations, the
allocator's reserve, padding. Stated in docs/server.md."""


def answers(server: Process, model: str, width: int) -> bool:
    """Whether a model answers."""
    return server.ask(model, [1.0] * width)[0] == 200


@pytest.mark.slow
def test_memory_stays_within_the_budget(tmp_path: Path) -> None:
    """Eight models that share half of their layers, memory for two, asked at random: the resident
    bytes never pass the budget, and the most memory that the process ever had is that, what a
    server of next to nothing takes, and a constant."""
    site, width = Site(tmp_path), 1024
    site.add("tiny", "stack", 8, width=8, layers=4)
    for number in range(8):
        below = {} if number == 0 else {
            key: value for key, value in site.weights["m0"].items() if key[0] in "01"
        }  # fmt: skip
        site.add(f"m{number}", "stack", width, below, width=width, layers=4)
    one = site.store.model("m0").bytes
    budget = 2 * one + 1000
    with serving(site, "--models=tiny") as server:
        assert answers(server, "tiny", 8)
        nothing = server.memory("VmHWM")
    models, chance = [f"m{number}" for number in range(8)], random.Random(1)
    distinct = sum(
        {b.digest: b.bytes for name in models for b in site.store.model(name).blocks}.values()
    )
    assert distinct - budget > BESIDE_BYTES  # or keeping all of it would go unnoticed
    with serving(site, f"--models={','.join(models)}", f"--memory={budget}") as server:
        resident = []
        for _ in range(60):
            assert answers(server, chance.choice(models), width)
            found = server.metrics()
            assert found["memory_budget_bytes"] == budget
            resident.append(found["resident_bytes"])
        assert one < max(resident) <= budget
        assert server.memory("VmHWM") <= nothing + budget + BESIDE_BYTES


@pytest.mark.slow
def test_thirty_variants_in_the_memory_of_their_distinct_layers(tmp_path: Path) -> None:
    """Thirty models of which 85 % of the layers are shared are all resident in the bytes of their
    distinct tensors and 5 %, and go on answering without loading anything."""
    site, width = Site(tmp_path), 64
    names = [f"m{number}" for number in range(30)]
    for name in names:
        below = {} if name == "m0" else {
            key: value for key, value in site.weights["m0"].items() if int(key.split(".")[0]) < 17
        }  # fmt: skip
        site.add(name, "stack", width, below, width=width, layers=20)
    blocks = {b.digest: b.bytes for name in names for b in site.store.model(name).blocks}
    assert len(blocks) == 17 + 30 * 3
    distinct = sum(blocks.values())
    with serving(site, f"--memory={int(1.05 * distinct)}") as server:
        assert all(answers(server, name, width) for name in names)
        before = server.metrics()
        assert before["resident_blocks"] == len(blocks)
        assert before["resident_bytes"] == distinct
        assert all(answers(server, name, width) for name in names)
        after = server.metrics()
        moved = [f"moved_bytes_total {name}" for name in names]
        assert sum(after[key] for key in moved) == sum(before[key] for key in moved) <= distinct
