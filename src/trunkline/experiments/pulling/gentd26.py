"""Which models are asked how often, from Alibaba's GenTD26 trace, read by path.

The trace (cluster-trace-v2026-GenAI) is not shipped. Its file `lora_request_trace.csv` has a line a
request for an image, in one of two forms: as its description has it, with the columns
`checkpoint_model_version_id` (the base model) and `lora_args` (a list of objects, each with the
`modelVersionId` of an adapter); or, as published with it, with `num_lora`, how many adapters there
were, instead of `lora_args`.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trunkline.errors import InputError
from trunkline.experiments.trace_tables import Row, read_rows

BASE: Final = "checkpoint_model_version_id"
ADAPTERS: Final = "lora_args"
COUNT: Final = "num_lora"

NOTHING: Final = ("", "NULL", "None", "nan", "NaN")
"""What stands for a missing value in the trace."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A base model with adapters.

    Attributes:
        base: id of the base model.
        adapters: ids of the adapters, sorted; empty where the trace does not name them.
        count: how many adapters there are.
    """

    base: str
    adapters: tuple[str, ...]
    count: int


def read_variants(path: Path) -> Counter[Variant]:
    """How often each base model with its adapters is asked; requests that name no base model are
    left out.

    Raises:
        InputError: the file cannot be read, is no such table, has a value that cannot be used, or
            no request that names its base model.
    """
    rows = read_rows(path, (BASE,))
    if rows and not {ADAPTERS, COUNT} & rows[0].values.keys():
        raise InputError(f"{path}: line 1: no column {ADAPTERS!r} or {COUNT!r}")
    found = Counter(_variant(row) for row in rows if row.values[BASE] not in NOTHING)
    if not found:
        raise InputError(f"{path}: has no requests that name their model")
    return found


def shares(counts: Counter[Variant], most: int) -> tuple[float, ...]:
    """The shares of the `most` most popular variants among themselves, in decreasing order."""
    found = [count for _, count in counts.most_common(most)]
    return tuple(count / sum(found) for count in found)


def _variant(row: Row) -> Variant:
    if ADAPTERS not in row.values:
        count = 0 if row.values[COUNT] in NOTHING else row.whole(COUNT, 0, 1e3)
        return Variant(row.values[BASE], (), count)
    if row.values[ADAPTERS] in NOTHING:
        return Variant(row.values[BASE], (), 0)
    adapters = _list(row)
    try:
        names = tuple(sorted(str(one["modelVersionId"]) for one in adapters))
    except (TypeError, KeyError):
        raise row.error(ADAPTERS, "a list of objects with modelVersionId") from None
    return Variant(row.values[BASE], names, len(names))


def _list(row: Row) -> Sequence[Any]:
    """The value of `lora_args`: a list as JSON, or as Python writes it (as in the trace)."""
    text = row.values[ADAPTERS]
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    raise row.error(ADAPTERS, "a list")
