"""Three models on four pieces, and what a policy sees of them."""

from __future__ import annotations

import numpy as np

from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel
from trunkline.loading.online import Costs, Queue, View, Waiting

BLOCKS = {"trunk": 6.0, "a": 1.0, "b": 2.0, "c": 3.0, "c2": 1.0}


def costs(
    memory: float | None = None, *, partial: bool = True, max_batch: int = 3, mu: float = 0.1
) -> Costs:
    """Three models: a and b on one trunk, c alone; a byte loads in a second."""
    library = ModelLibrary(
        BLOCKS,
        [Model("a", ("trunk", "a")), Model("b", ("trunk", "b")), Model("c", ("c", "c2"))],
    )
    models = tuple(LoadingModel(name, 0.5, mu, max_batch) for name in "abc")
    return Costs(library, Link((Stage(1.0),)), models, memory, partial)


def view(of: Costs, waiting: list[Waiting], resident: str = "", now_s: float = 0.0) -> View:
    """A view with the blocks of these models resident."""
    queue = Queue(len(of.models))
    for one in waiting:
        queue.add(one)
    there = np.zeros(len(of.sizes), dtype=bool)
    for name in resident:
        there |= of.holds[of.library.index(name)]
    return View(of, now_s, queue, there, np.zeros(3), np.zeros(len(of.sizes)))
