"""Traces in tables of values separated by commas: our own, and Azure's public ones.

The header says which it is:

    arrival_s,model[,deadline_s][,tasks]              our own; `deadline_s` is a time, not a span
    HashOwner,HashApp,HashFunction,Trigger,1,2,...    Azure Functions 2019: invocations in each
                                                      minute; where in the minute is drawn
    app,func,end_timestamp,duration                   Azure Functions 2021: arrival = end - duration
    TIMESTAMP,ContextTokens,GeneratedTokens           Azure LLM inference: when alone; whom is drawn

What a table leaves open (a time within a minute, the function asked) is None here, or drawn from
the generator that is passed; `trunkline.experiments.trace_files` decides the rest.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from trunkline.documents import MAX_NUMBER
from trunkline.errors import InputError
from trunkline.units import shorten

MOST_REQUESTS: Final = 2_000_000
"""A table with more is refused (`seconds` takes its beginning)."""

MINUTE_S: Final = 60.0

MOST_IN_A_MINUTE: Final = 1e9


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request of a table.

    Attributes:
        arrival_s: when it came, after the begin of the table (its first request, where it has
            no begin of its own).
        name: which model or function it asked; None where the table does not say.
        deadline_s: on the same clock; None where the table does not say.
        tasks: samples.
    """

    arrival_s: float
    name: str | None
    deadline_s: float | None = None
    tasks: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """What a file says.

    Attributes:
        requests: by arrival.
        functions: whether names are of functions, which stand for models by popularity, and not
            of models.
    """

    requests: tuple[Recorded, ...]
    functions: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A line, and where it stands."""

    path: Path
    line: int
    values: Mapping[str, str]

    def text(self, name: str) -> str:
        """A value that must not be empty."""
        if not self.values[name]:
            raise self.error(name, "is empty")
        return self.values[name]

    def number(self, name: str, most: float = MAX_NUMBER) -> float:
        """A value that must be a number of at least 0."""
        try:
            found = float(self.values[name])
        except ValueError:
            found = math.nan
        if not 0 <= found <= most:
            given = shorten(repr(self.values[name]), 40)
            raise self.error(name, f"a number of at least 0 and at most {most:g}, got {given}")
        return found

    def whole(self, name: str, least: int, most: float) -> int:
        """A value that must be a whole number."""
        found = self.number(name, most)
        if found != int(found) or found < least:
            given = shorten(repr(self.values[name]), 40)
            raise self.error(name, f"a whole number of at least {least}, got {given}")
        return int(found)

    def moment(self, name: str) -> float:
        """A value that must be a date and time, in seconds."""
        try:
            found = datetime.fromisoformat(self.values[name])
        except ValueError:
            given = shorten(repr(self.values[name]), 40)
            raise self.error(name, f"a date and time, got {given}") from None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()

    def error(self, name: str, what: str) -> InputError:
        """An error that names the file, the line and the column."""
        return InputError(f"{self.path}: line {self.line}, column {name!r}: {what}")


Reader = Callable[[Iterator[Row], float, np.random.Generator], list[Recorded]]


def read_table(path: Path, seconds: float, rng: np.random.Generator) -> Table:
    """The requests of the first so many seconds of a table, by arrival.

    Raises:
        InputError: the file cannot be read, is none of these tables, has a value that cannot be
            used (line and column are named), or too many requests.
    """
    with _opened(path) as (header, rows):
        kind, reader = _reader(path, header)
        found = sorted(reader(rows, seconds, rng), key=lambda one: one.arrival_s)
    if not found:
        raise InputError(f"{path}: has no requests")
    if kind.has_moments:
        begin_s = found[0].arrival_s
        found = [replace(one, arrival_s=one.arrival_s - begin_s) for one in found]
    return Table(tuple(one for one in found if one.arrival_s < seconds), kind.names_functions)


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """The rows of a table that has these columns, perhaps among others (InputError: it has not)."""
    with _opened(path) as (header, rows):
        if missing := [name for name in columns if name not in header]:
            got = shorten(",".join(header), 60)
            raise InputError(f"{path}: line 1: no column {missing[0]!r}, got {got!r}")
        found = []
        for row in rows:
            found.append(row)
            _check_number(row, len(found))
    return found


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a header says: whether times are of a calendar or another far clock, so that the trace
    starts with the first of them; and whether names are of functions."""

    has_moments: bool
    names_functions: bool


def _reader(path: Path, header: Sequence[str]) -> tuple[_Kind, Reader]:
    names = set(header)
    if {"arrival_s", "model"} <= names <= {"arrival_s", "model", "deadline_s", "tasks"}:
        return _Kind(False, False), _read_own
    if {"HashApp", "HashFunction", "1"} <= names:
        return _Kind(False, True), _read_minutes
    if {"app", "func", "end_timestamp", "duration"} <= names:
        return _Kind(True, True), _read_ends
    if "TIMESTAMP" in names:
        return _Kind(True, False), _read_moments
    raise InputError(
        f"{path}: line 1: no header of a trace; there are arrival_s,model[,deadline_s][,tasks] and "
        "those of Azure's public traces (HashOwner,HashApp,HashFunction,Trigger,1,...; app,func,"
        f"end_timestamp,duration; TIMESTAMP,...), got {shorten(','.join(header), 60)!r}"
    )


def _read_own(rows: Iterator[Row], seconds: float, _: np.random.Generator) -> list[Recorded]:
    found: list[Recorded] = []
    for row in rows:
        arrival_s = row.number("arrival_s")
        deadline_s = row.number("deadline_s") if row.values.get("deadline_s") else None
        if deadline_s is not None and deadline_s < arrival_s:
            raise row.error("deadline_s", f"before the arrival at {arrival_s:g}")
        tasks = row.whole("tasks", 1, 1e6) if row.values.get("tasks") else 1
        if arrival_s < seconds:
            found.append(Recorded(arrival_s, row.text("model"), deadline_s, tasks))
        _check_number(row, len(found))
    return found


def _read_minutes(rows: Iterator[Row], seconds: float, rng: np.random.Generator) -> list[Recorded]:
    found: list[Recorded] = []
    minutes: list[str] | None = None
    counts: Counter[tuple[str, int]] = Counter()
    for row in rows:
        minutes = minutes or [name for name in row.values if name.isdecimal()]
        name = f"{row.text('HashApp')}/{row.text('HashFunction')}"
        for minute in minutes:
            if row.values[minute] != "0" and (int(minute) - 1) * MINUTE_S < seconds:
                counts[name, int(minute) - 1] += row.whole(minute, 0, MOST_IN_A_MINUTE)
        _check_number(row, counts.total())
    for (name, place), count in counts.items():
        times = (place + rng.random(count)) * MINUTE_S
        found += [Recorded(at_s, name) for at_s in times.tolist()]
    return found


def _read_ends(rows: Iterator[Row], _: float, __: np.random.Generator) -> list[Recorded]:
    found: list[Recorded] = []
    for row in rows:
        arrival_s = row.number("end_timestamp") - row.number("duration")
        found.append(Recorded(arrival_s, f"{row.text('app')}/{row.text('func')}"))
        _check_number(row, len(found))
    return found


def _read_moments(rows: Iterator[Row], _: float, __: np.random.Generator) -> list[Recorded]:
    found: list[Recorded] = []
    for row in rows:
        found.append(Recorded(row.moment("TIMESTAMP"), None))
        _check_number(row, len(found))
    return found


def _check_number(row: Row, requests: int) -> None:
    if requests > MOST_REQUESTS:
        raise InputError(
            f"{row.path}: line {row.line}: more than {MOST_REQUESTS:,} requests; take a part of it"
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Iterator[Row]]]:
    """The header and the rows of a file; what goes wrong while it is read names the file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True)
            header = [name.strip() for name in next(lines, [])]
            if twice := [name for name, times in Counter(header).items() if times > 1]:
                raise InputError(f"{path}: line 1: the column {shorten(twice[0])!r} stands twice")
            yield header, _rows(path, lines, header)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _rows(path: Path, lines: Iterator[list[str]], header: Sequence[str]) -> Iterator[Row]:
    for values in lines:
        number: int = getattr(lines, "line_num", 0)
        if not values:
            continue
        if len(values) != len(header):
            raise InputError(
                f"{path}: line {number}: {len(values)} values for {len(header)} columns"
            )
        stripped = (value.strip() for value in values)
        yield Row(path, number, dict(zip(header, stripped, strict=True)))
