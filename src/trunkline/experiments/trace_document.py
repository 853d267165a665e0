"""Traces as documents: `trunkline/trace/1`, what a server recorded and a simulation replays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from trunkline.documents import Identifier, NonNegative, PositiveInt, Raw, decode, require_format
from trunkline.errors import DocumentError
from trunkline.experiments.traces import Arrival
from trunkline.files import write_json
from trunkline.units import shorten

TRACE_FORMAT = "trunkline/trace/1"


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    arrival_s: NonNegative
    model: Identifier
    deadline_s: NonNegative
    tasks: PositiveInt = 1


class _Trace(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["trunkline/trace/1"]
    requests: list[_Request]


def trace_to_document(trace: Sequence[Arrival], models: Sequence[str]) -> dict[str, Any]:
    """A trace as a document, by arrival; `models` are the names of the positions."""
    requests = []
    for one in sorted(trace, key=lambda one: one.arrival_s):
        request: dict[str, Any] = {
            "arrival_s": one.arrival_s,
            "model": models[one.model],
            "deadline_s": one.deadline_s,
        }
        if one.tasks != 1:
            request["tasks"] = one.tasks
        requests.append(request)
    return {"format": TRACE_FORMAT, "requests": requests}


def trace_from_document(raw: Raw, models: Sequence[str]) -> tuple[Arrival, ...]:
    """The trace that a document states, its models at their positions in `models`.

    Raises:
        DocumentError: it states none, a model is not among them, or a deadline is before its
            arrival; the message names the path.
    """
    require_format(raw, TRACE_FORMAT)
    places = {name: place for place, name in enumerate(models)}
    found = []
    for n, one in enumerate(decode(raw, _Trace).requests):
        if one.model not in places:
            path, why = f"$.requests[{n}].model", f"no model {shorten(one.model)!r}"
            raise DocumentError(path, why, raw.source)
        if one.deadline_s < one.arrival_s:
            path, why = f"$.requests[{n}].deadline_s", f"before the arrival at {one.arrival_s:g}"
            raise DocumentError(path, f"{why}, got {one.deadline_s:g}", raw.source)
        found.append(Arrival(one.arrival_s, places[one.model], one.deadline_s, one.tasks))
    return tuple(found)


def save_trace(path: Path, trace: Sequence[Arrival], models: Sequence[str]) -> None:
    """Write a trace as a document (InputError if it cannot be written)."""
    write_json(path, trace_to_document(trace, models))
