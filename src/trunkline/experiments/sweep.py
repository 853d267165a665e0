"""Many realisations on all cores, in parts that are kept, so that a run can be killed and go on.

A part is `PART` realisations. It is computed by one process and written whole (a temporary file,
then renamed) under a name that fixes everything the values depend on: the table's cells, the seed
and the code. So a part that is there is right, and any number of realisations shares the parts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

import trunkline
from trunkline.errors import InputError
from trunkline.experiments.cells import Results, Table, Values

PART = 10
"""Realisations in a part."""

Tell = Callable[[int, int], None]
"""Told (realisations done, realisations in all)."""


def sweep(
    table: Table,
    runs: int,
    folder: Path,
    *,
    seed: int = 0,
    jobs: int = -1,
    tell: Tell = lambda done, total: None,
) -> Results:
    """The values of a table in `runs` realisations, computed as far as they are not in `folder`.

    Args:
        jobs: processes; -1 is one a core.

    Raises:
        InputError: the folder cannot be written.
    """
    place = folder / _name(table, seed)
    try:
        place.mkdir(parents=True, exist_ok=True)
        parts = range(0, runs, PART)
        found = {start: values for start in parts if (values := _read(place, start)) is not None}
        tell(min(len(found) * PART, runs), runs)
        for start, values in _compute(table, [s for s in parts if s not in found], seed, jobs):
            _write(place, start, values)
            found[start] = values
            tell(min(len(found) * PART, runs), runs)
    except OSError as error:
        raise InputError(f"{place}: cannot be written: {error.strerror}") from None
    return Results(table, np.concatenate([found[start] for start in parts])[:runs])


def part(table: Table, start: int, seed: int) -> Values:
    """The values of the realisations `start` to `start + PART - 1`, shape (PART, cells, 3)."""
    return np.stack([table.fill(run, seed) for run in range(start, start + PART)])


def _compute(
    table: Table, starts: Sequence[int], seed: int, jobs: int
) -> Iterator[tuple[int, Values]]:
    """Each part as it is done, in any order."""
    if not starts:
        return
    from joblib import Parallel, delayed

    workers = Parallel(n_jobs=jobs, return_as="generator_unordered")
    yield from workers(delayed(_started_part)(table, start, seed) for start in starts)


def _started_part(table: Table, start: int, seed: int) -> tuple[int, Values]:
    return start, part(table, start, seed)


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


def _name(table: Table, seed: int) -> str:
    """A name for all that a table's values depend on."""
    digest = hashlib.sha256(f"{_code()} {seed}".encode())
    for cell in table.cells:
        scene = cell.scene
        digest.update(
            f"{scene.preset.digest} {scene.sharing} {scene.models} {scene.point} {cell.line} "
            f"{cell.line.planner} {cell.line.prepare}\n".encode()
        )
    return digest.hexdigest()[:16]


@cache
def _code() -> str:
    """A digest of the source of everything that draws problems and plans."""
    root = Path(trunkline.__file__).parent
    digest = hashlib.sha256(trunkline.__version__.encode())
    files = [
        file for room in (".", "loading", "experiments") for file in (root / room).glob("*.py")
    ]
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()
