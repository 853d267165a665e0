"""Many realisations on all cores, in parts that are kept, so that a run can be killed and go on.

A part is some realisations. It is computed by one process and written whole (a temporary file,
then renamed) under a name that fixes everything the values depend on: the table's cells, the seed
and the code. So a part that is there is right, and any number of realisations shares the parts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol
from zipfile import BadZipFile

import numpy as np

import trunkline
from trunkline.errors import InputError
from trunkline.experiments.cells import Results, Table, Values

PART = 10
"""Realisations in a part."""

Tell = Callable[[int, int], None]
"""Told (realisations done, realisations in all)."""


class Fillable(Protocol):
    """A table of values, however they are computed."""

    @property
    def identity(self) -> Iterable[str]:
        """Lines that name all that the values depend on, beside the seed and the code."""

    def fill(self, run: int, seed: int) -> Values:
        """The values in one realisation, always of one shape."""


def sweep(
    table: Table,
    runs: int,
    folder: Path,
    *,
    seed: int = 0,
    jobs: int = -1,
    tell: Tell = lambda done, total: None,
) -> Results:
    """The results of a table, as `sweep_values` computes them."""
    return Results(table, sweep_values(table, runs, folder, seed=seed, jobs=jobs, tell=tell))


def sweep_values(
    table: Fillable,
    runs: int,
    folder: Path,
    *,
    seed: int = 0,
    jobs: int = -1,
    part_runs: int = PART,
    tell: Tell = lambda done, total: None,
) -> Values:
    """The values of a table in `runs` realisations, computed as far as they are not in `folder`.

    Args:
        jobs: processes; -1 is one a core.
        part_runs: realisations in a part: what is lost when a run is killed, for each process.

    Raises:
        InputError: the folder cannot be written.
    """
    place = folder / _name(table, seed, part_runs)
    try:
        place.mkdir(parents=True, exist_ok=True)
        parts = range(0, runs, part_runs)
        found = {start: values for start in parts if (values := _read(place, start)) is not None}
        tell(min(len(found) * part_runs, runs), runs)
        missing = [start for start in parts if start not in found]
        for start, values in _compute(table, missing, part_runs, seed, jobs):
            _write(place, start, values)
            found[start] = values
            tell(min(len(found) * part_runs, runs), runs)
    except OSError as error:
        raise InputError(f"{place}: cannot be written: {error.strerror}") from None
    return np.concatenate([found[start] for start in parts])[:runs]


def part(table: Fillable, start: int, seed: int, part_runs: int = PART) -> Values:
    """The values of the realisations `start` to `start + part_runs - 1`, stacked."""
    return np.stack([table.fill(run, seed) for run in range(start, start + part_runs)])


def _compute(
    table: Fillable, starts: Sequence[int], part_runs: int, seed: int, jobs: int
) -> Iterator[tuple[int, Values]]:
    """Each part as it is done, in any order."""
    if not starts:
        return
    from joblib import Parallel, delayed

    workers = Parallel(n_jobs=jobs, return_as="generator_unordered")
    yield from workers(delayed(_started_part)(table, start, part_runs, seed) for start in starts)


def _started_part(table: Fillable, start: int, part_runs: int, seed: int) -> tuple[int, Values]:
    return start, part(table, start, seed, part_runs)


def _read(place: Path, start: int) -> Values | None:
    """A part that was written, or None; one that cannot be read is computed again."""
    try:
        values: Values = np.load(place / f"{start:06d}.npy", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError, BadZipFile):
        return None
    return values


def _write(place: Path, start: int, values: Values) -> None:
    temporary = place / f"{start:06d}.{os.getpid()}.part"
    with temporary.open("wb") as file:
        np.save(file, values)
    temporary.replace(place / f"{start:06d}.npy")


def _name(table: Fillable, seed: int, part_runs: int) -> str:
    """A name for all that a table's values depend on."""
    digest = hashlib.sha256(f"{_code()} {seed} {part_runs}".encode())
    for line in table.identity:
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()[:16]


@cache
def _code() -> str:
    """A digest of the source of everything that draws problems and plans."""
    root = Path(trunkline.__file__).parent
    digest = hashlib.sha256(trunkline.__version__.encode())
    rooms = (".", "loading", "pulling", "experiments", "experiments/pulling")
    files = [file for room in rooms for file in (root / room).glob("*.py")]
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()
