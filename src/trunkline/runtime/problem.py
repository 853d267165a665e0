"""From a store, a profile and tasks to a loading problem: the user's own models and requests.

Light on purpose: no torch.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trunkline.documents import MAX_NUMBER
from trunkline.errors import InputError, MemoryBudgetError, ProfileError, StoreError
from trunkline.loading import LoadingModel, LoadingProblem, Task, solve
from trunkline.radio import spectral_efficiency
from trunkline.runtime.profile import Cache, Profile
from trunkline.store import Store, StoredModel, library_of
from trunkline.units import shorten

FIELDS = (
    "id",
    "model",
    "upload_bits",
    "input_bytes",
    "bits_per_s_per_hz",
    "snr_db",
    "arrival_s",
    "deadline_s",
)
"""What a task may have; `upload_bits` or `input_bytes`, `bits_per_s_per_hz` or `snr_db`."""

LONGEST_ID = 1024
"""As in documents."""

MOST_NAMES = 8

MAX_SNR_DB = 1000.0

LONG_S = 1e6
"""A deadline that nobody misses."""


def upload_bits(model: StoredModel) -> float:
    """Bits of one raw input of a model, as its input says.

    Raises:
        InputError: the model was imported without an input.
    """
    if model.input is None:
        raise InputError(
            f"model {model.name!r} was imported without an input, so the size of its uploads is "
            "unknown: give upload_bits, or import it with --input"
        )
    return 8.0 * model.input.bytes


def runnable(
    store: Store, names: Iterable[str] | None, profile: Profile
) -> tuple[list[StoredModel], list[str]]:
    """The models named, or all that can be planned with the profile; and notes on those that the
    store has and that cannot.

    Raises:
        NotInStoreError: no such model.
        StoreError, ProfileError, MemoryBudgetError: why a model that was named cannot be planned.
        ProfileError: none can be.
    """
    found, notes = [], []
    for name in store.names() if names is None else names:
        try:
            model = store.model(name)
            profile.max_batch(model)
        except (StoreError, ProfileError, MemoryBudgetError) as error:
            if names is not None:
                raise
            notes.append(f"left out: {error}")
        else:
            found.append(model)
    if not found:
        why = f": {notes[0].removeprefix('left out: ')}" if notes else ""
        raise ProfileError(f"the profile covers no model of the store at {store.path}{why}")
    return found, notes


def build_problem(
    models: Sequence[StoredModel],
    profile: Profile,
    tasks: Iterable[Task],
    *,
    deadline_s: float,
    bandwidth_hz: float,
    cache: Cache = "warm",
    memory_bytes: float | None = None,
) -> LoadingProblem:
    """The loading problem of these models and tasks on the profiled machine.

    Blocks are named by their digests and sized by their payload.

    Args:
        cache: whether weights come from the page cache or the disk.
        memory_bytes: residency budget; None keeps the previous model's blocks only.

    Raises:
        ProfileError: a model is not covered by the profile.
        MemoryBudgetError: a model is too large for its memory.
        InputError: a task for a model that is not among them.
    """
    tasks = tuple(tasks)
    names = {model.name for model in models}
    for task in tasks:
        if task.model not in names:
            raise InputError(
                f"task {shorten(task.id)!r} asks for model {shorten(task.model)!r}, which is not "
                "there"
            )
    computing = []
    for model in models:
        fit = profile.computing_of(model)
        costs = (fit.seconds_per_batch, fit.seconds_per_task, profile.max_batch(model))
        computing.append(LoadingModel(model.name, *costs))
    return LoadingProblem(
        deadline_s=deadline_s,
        bandwidth_hz=bandwidth_hz,
        loading=profile.loading(cache).link,
        library=library_of(models),
        models=tuple(computing),
        tasks=tasks,
        memory_bytes=memory_bytes,
    )


def with_deadline_share(problem: LoadingProblem, share: float) -> tuple[LoadingProblem, float]:
    """The problem with a deadline of `share` of the time in which whole-model loading, planned as
    well as can be, serves everybody that can be served at all; and that time in seconds.

    A deadline chosen so means the same on a slow machine and on a fast one.

    Raises:
        InputError: not one task can be served, however long one waits.
    """
    everybody_s = solve(replace(problem, deadline_s=LONG_S), "independent").finish_s
    if everybody_s <= 0:
        raise InputError("no task can be served at all: there is no time to take a share of")
    return replace(problem, deadline_s=share * everybody_s), everybody_s


def read_tasks(path: Path, models: Mapping[str, StoredModel]) -> tuple[Task, ...]:
    """The tasks of a CSV file (with a header) or a JSON file (a list of objects).

    Fields: `id`, `model`; `upload_bits` or `input_bytes` (default: the model's raw input);
    `bits_per_s_per_hz` or `snr_db` (not needed for an upload of 0); optionally `arrival_s` and
    `deadline_s`.

    Raises:
        InputError: the file cannot be read, has no task, or one that cannot be used; the message
            names the row.
    """
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    tasks: dict[str, Task] = {}
    for place, row in rows:
        task = _task(f"{path}: {place}", row, models)
        if task.id in tasks:
            raise InputError(f"{path}: {place}: the id {shorten(task.id)!r} stands twice")
        tasks[task.id] = task
    if not tasks:
        raise InputError(f"{path}: has no tasks")
    return tuple(tasks.values())


def _csv_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            rows = [(f"line {reader.line_num}", row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from None
    found = []
    for place, row in rows:
        if len(row) > len(header):
            raise InputError(f"{path}: {place}: more values than the header has columns")
        values = zip(header, (value.strip() for value in row), strict=False)
        found.append((place, {name: value for name, value in values if value}))
    return found


def _check_header(path: Path, header: Sequence[str]) -> None:
    """Refuse a header without `id` and `model`, or with what no task has, or with one name twice;
    where the columns are not separated by commas, say so."""
    hint = ""
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        hint = "; columns are separated by commas"
    if not any(header):
        raise InputError(f"{path}: has no header; the columns are {', '.join(FIELDS)}")
    if unknown := [name for name in header if name not in FIELDS]:
        raise InputError(
            f"{path}: line 1: no column {shorten(unknown[0])!r}{hint}; there are "
            f"{', '.join(FIELDS)}"
        )
    if missing := [name for name in ("id", "model") if name not in header]:
        raise InputError(f"{path}: line 1: the header has no column {missing[0]!r}")
    if twice := [name for name in header if header.count(name) > 1]:
        raise InputError(f"{path}: line 1: the column {twice[0]!r} stands twice")


def _json_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from None
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise InputError(f"{path}: expected a list of objects, one a task")
    return [(f"$[{index}]", row) for index, row in enumerate(content)]


def _unreadable(path: Path, error: Exception) -> InputError:
    why = error.strerror if isinstance(error, OSError) else error
    return InputError(f"{path}: cannot be read: {why}")


def _task(where: str, row: Mapping[str, Any], models: Mapping[str, StoredModel]) -> Task:
    if unknown := sorted(set(row) - set(FIELDS)):
        raise InputError(
            f"{where}: no field {shorten(unknown[0])!r}; there are {', '.join(FIELDS)}"
        )
    for name in ("id", "model"):
        if not isinstance(row.get(name), str) or not row[name]:
            raise InputError(f"{where}: {name!r} is missing or no text")
    if len(row["id"]) > LONGEST_ID:
        raise InputError(f"{where}: an id of {len(row['id'])} characters; at most {LONGEST_ID}")
    if row["model"] not in models:
        raise InputError(f"{where}: no model {shorten(row['model'])!r}; {_some(models)}")
    for one, other in (("upload_bits", "input_bytes"), ("bits_per_s_per_hz", "snr_db")):
        if one in row and other in row:
            raise InputError(f"{where}: give {one!r} or {other!r}, not both")
    if "upload_bits" in row:
        bits = _number(where, row, "upload_bits")
    elif "input_bytes" in row:
        bits = 8.0 * _number(where, row, "input_bytes", most=MAX_NUMBER / 8)
    else:
        bits = upload_bits(models[row["model"]])
    return Task(
        id=row["id"],
        model=row["model"],
        upload_bits=bits,
        bits_per_s_per_hz=_efficiency(where, row, bits),
        arrival_s=_number(where, row, "arrival_s") if "arrival_s" in row else 0.0,
        deadline_s=_number(where, row, "deadline_s") if "deadline_s" in row else None,
    )


def _efficiency(where: str, row: Mapping[str, Any], bits: float) -> float:
    if "snr_db" in row:
        level = _number(where, row, "snr_db", least=-MAX_SNR_DB, most=MAX_SNR_DB)
        return float(spectral_efficiency(10.0 ** (level / 10.0)))
    if "bits_per_s_per_hz" in row:
        return _number(where, row, "bits_per_s_per_hz")
    if bits > 0:
        raise InputError(f"{where}: an upload needs 'bits_per_s_per_hz' or 'snr_db'")
    return 0.0


def _number(
    where: str, row: Mapping[str, Any], name: str, least: float = 0.0, most: float = MAX_NUMBER
) -> float:
    value = row[name]
    try:
        number = float(value) if isinstance(value, (str, int, float)) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not least <= number <= most:
        raise InputError(
            f"{where}: {name!r} must be a number of at least {least:g} and at most {most:g}, got "
            f"{shorten(repr(value), 40)}"
        )
    return number


def _some(names: Iterable[str]) -> str:
    """Names to choose from: the first few, and how many more there are."""
    found = sorted(names)
    more = f" and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
    return f"there are {', '.join(found[:MOST_NAMES])}{more}"
