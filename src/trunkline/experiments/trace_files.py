"""Recorded traces from files: a `trunkline/trace/1` document, or a table (`trace_tables`).

What a table leaves open is filled in as for drawn traces (`traces.draw_trace`): functions stand for
models by popularity (which model has which rank is drawn), requests that name nobody ask by Zipf's
law, and without a deadline a request waits for a drawn number of its model's units of patience.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trunkline.documents import read
from trunkline.errors import InputError
from trunkline.experiments.trace_document import trace_from_document
from trunkline.experiments.trace_tables import Recorded, read_table
from trunkline.experiments.traces import Arrival, draw_models
from trunkline.units import shorten

DOCUMENTS = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Filling:
    """How to fill in what a file leaves open.

    Attributes:
        zipf: popularity where a file does not say who is asked.
        waits: patience, in the models' units, uniform between the two.
        seed: of everything that is drawn.
    """

    zipf: float = 0.0
    waits: tuple[float, float] = (3.0, 10.0)
    seed: int = 0


def read_trace(
    path: Path,
    models: Sequence[str],
    reference_s: Sequence[float],
    filling: Filling,
    seconds: float = math.inf,
) -> tuple[tuple[Arrival, ...], int]:
    """The first `seconds` of a trace, and how many requests of it are
    left out because their functions are less popular than there are models.

    Args:
        models: names, by position.
        reference_s: each model's unit of patience.

    Raises:
        InputError: the file is no trace, or asks for a model that is not there.
    """
    if path.suffix.lower() in DOCUMENTS:
        trace = trace_from_document(read(path), models)
        return tuple(one for one in trace if one.arrival_s < seconds), 0
    times, asked, patience = (
        np.random.default_rng(one) for one in np.random.SeedSequence(filling.seed).spawn(3)
    )
    table = read_table(path, seconds, times)
    if table.functions:
        places = _by_rank(table.requests, asked.permutation(len(models)).tolist())
    elif any(one.name is None for one in table.requests):
        drawn = draw_models(asked, len(table.requests), len(models), filling.zipf)
        return _arrivals(table.requests, drawn, reference_s, filling, patience), 0
    else:
        places = {name: place for place, name in enumerate(models)}
        for one in table.requests:
            if one.name not in places:
                raise InputError(f"{path}: no model {shorten(str(one.name))!r}")
    kept = [one for one in table.requests if one.name in places]
    at = np.array([places[str(one.name)] for one in kept], dtype=np.int64)
    found = _arrivals(kept, at, reference_s, filling, patience)
    return found, len(table.requests) - len(kept)


def _by_rank(requests: Sequence[Recorded], order: Sequence[int]) -> dict[str, int]:
    """Functions by popularity (by name where alike) to models in an order, as many as there are."""
    counts = Counter(str(one.name) for one in requests)
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    return dict(zip(ranked, order, strict=False))


def _arrivals(
    requests: Sequence[Recorded],
    models: NDArray[np.int64],
    reference_s: Sequence[float],
    filling: Filling,
    patience: np.random.Generator,
) -> tuple[Arrival, ...]:
    """Requests with the deadlines that they state, or a drawn one."""
    spans = patience.uniform(*filling.waits, len(requests)) * np.asarray(reference_s)[models]
    found = []
    for one, model, span in zip(requests, models.tolist(), spans.tolist(), strict=True):
        deadline_s = one.arrival_s + span if one.deadline_s is None else one.deadline_s
        found.append(Arrival(one.arrival_s, model, deadline_s, one.tasks))
    return tuple(found)
