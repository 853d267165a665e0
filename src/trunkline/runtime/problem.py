"""From a store, a profile and tasks to a loading problem: the user's own models and requests.

Light on purpose: no torch.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trunkline.errors import InputError, ProfileError
from trunkline.loading import LoadingModel, LoadingProblem, Task
from trunkline.radio import spectral_efficiency
from trunkline.runtime.profile import Cache, Profile
from trunkline.store import Store, StoredModel, library_of

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


def runnable(store: Store, names: Iterable[str] | None, profile: Profile) -> list[StoredModel]:
    """The models named; all that the profile covers if none are.

    Raises:
        NotInStoreError: no such model.
        ProfileError: a model named is not covered, or none is.
    """
    found = []
    for name in store.names() if names is None else names:
        model = store.model(name)
        try:
            profile.computing_of(model)
        except ProfileError:
            if names is not None:
                raise
            continue
        found.append(model)
    if not found:
        raise ProfileError(f"the profile covers no model of the store at {store.path}")
    return found


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
        ProfileError: a model is not covered by the profile, or too large for its memory.
        InputError: a task for a model that is not among them.
    """
    tasks = tuple(tasks)
    names = {model.name for model in models}
    for task in tasks:
        if task.model not in names:
            raise InputError(f"task {task.id!r} asks for model {task.model!r}, which is not there")
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


def read_tasks(path: Path, models: Mapping[str, StoredModel]) -> tuple[Task, ...]:
    """The tasks of a CSV file (with a header) or a JSON file (a list of objects).

    Fields: `id`, `model`; `upload_bits` or `input_bytes` (default: the model's raw input);
    `bits_per_s_per_hz` or `snr_db` (not needed for an upload of 0); optionally `arrival_s` and
    `deadline_s`.

    Raises:
        InputError: the file cannot be read or a task cannot be used; the message names the row.
    """
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    tasks: dict[str, Task] = {}
    for place, row in rows:
        task = _task(f"{path}: {place}", row, models)
        if task.id in tasks:
            raise InputError(f"{path}: {place}: the id {task.id!r} stands twice")
        tasks[task.id] = task
    return tuple(tasks.values())


def _csv_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [(f"line {reader.line_num}", row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    found = []
    for place, row in rows:
        if None in row:
            raise InputError(f"{path}: {place}: more values than the header has columns")
        found.append((place, {key: value for key, value in row.items() if value not in ("", None)}))
    return found


def _json_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise InputError(f"{path}: expected a list of objects, one a task")
    return [(f"$[{index}]", row) for index, row in enumerate(content)]


def _task(where: str, row: Mapping[str, Any], models: Mapping[str, StoredModel]) -> Task:
    if unknown := sorted(set(row) - set(FIELDS)):
        raise InputError(f"{where}: no field {unknown[0]!r}; there are {', '.join(FIELDS)}")
    for name in ("id", "model"):
        if not isinstance(row.get(name), str):
            raise InputError(f"{where}: {name!r} is missing or no text")
    if row["model"] not in models:
        raise InputError(f"{where}: no model {row['model']!r}")
    for one, other in (("upload_bits", "input_bytes"), ("bits_per_s_per_hz", "snr_db")):
        if one in row and other in row:
            raise InputError(f"{where}: give {one!r} or {other!r}, not both")
    if "upload_bits" in row:
        bits = _number(where, row, "upload_bits")
    elif "input_bytes" in row:
        bits = 8.0 * _number(where, row, "input_bytes")
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
        level = _number(where, row, "snr_db", least=-math.inf)
        if level > 1000:
            raise InputError(f"{where}: 'snr_db' is {level:g}, over 1000")
        return float(spectral_efficiency(10.0 ** (level / 10.0)))
    if "bits_per_s_per_hz" in row:
        return _number(where, row, "bits_per_s_per_hz")
    if bits > 0:
        raise InputError(f"{where}: an upload needs 'bits_per_s_per_hz' or 'snr_db'")
    return 0.0


def _number(where: str, row: Mapping[str, Any], name: str, least: float = 0.0) -> float:
    value = row[name]
    try:
        number = float(value) if isinstance(value, (str, int, float)) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number < least:
        raise InputError(f"{where}: {name!r} must be a number of at least {least:g}, got {value!r}")
    return number
