"""What the commands print and write: text and tables for people, JSON for machines, files."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trunkline.errors import InputError
from trunkline.files import check_writable, same_file
from trunkline.units import seconds as seconds  # most commands print both of these
from trunkline.units import size as size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

TEXT_WIDTH = 80
"""Text is no wider, however wide the terminal is."""


def console() -> Console:
    """Standard output for people. Where it is no terminal and `COLUMNS` is not set, tables are as
    wide as 140 characters, so that nothing is cut."""
    from rich.console import Console

    found = Console()
    told = found.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    return found if told else Console(width=140)


def say(out: Console, text: str, indent: int = 0, hang: int = 2) -> None:
    """A sentence or a few, in lines that fit; all lines but the first are indented by `hang`
    more. Words (paths, names) are never broken."""
    wide = max(min(out.width, TEXT_WIDTH), 20)
    first, later = " " * indent, " " * (indent + hang)
    lines = textwrap.wrap(
        text,
        wide,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines or [""]:
        as_is(out, line)


def as_is(out: Console, line: str) -> None:
    """A line exactly as it stands, whatever the terminal's width: a path, a command to copy."""
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """A line on standard error, beside the result; standard output stays the result's alone."""
    sys.stderr.write(f"note: {text}\n")


def plain_table(title: str, *columns: str, left: Iterable[str] = ()) -> Table:
    """An empty table without lines between its columns, so that it fits narrow terminals; columns
    stand to the right but for those named in `left`, whose long entries go on in the next line."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        min_width=len(title),  # or the title would be broken
    )
    for name in columns:
        if name in left:
            table.add_column(name, justify="left", overflow="fold", min_width=min(len(name), 12))
        else:
            table.add_column(name, justify="right", no_wrap=True)
    return table


def print_json(document: Any) -> None:
    """The document on standard output, and nothing else."""
    typer.echo(json.dumps(document, indent=1, allow_nan=False))


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None] = ()) -> None:
    """Refuse files that could not be written, or would take the place of another, before any work
    is done for them.

    Args:
        outputs: by option, the files to be written; `--picture` must end as a picture does.
        inputs: the files that are read.

    Raises:
        InputError: naming the option and the path.
    """
    given = {option: path for option, path in outputs.items() if path is not None}
    for option, path in given.items():
        try:
            if option == "--picture":
                from trunkline.pictures.figure import check_suffix

                check_suffix(path)
            check_writable(path)
        except InputError as error:
            raise InputError(f"{option} {error}") from None
        for read in inputs:
            if read is not None and read.exists() and same_file(path, read):
                raise InputError(f"{option} {path}: is the file that is read")
    for (one, path), (other, second) in combinations(given.items(), 2):
        if path.exists() and not path.is_file():
            continue  # a device takes both
        if same_file(path, second):
            raise InputError(f"{one} and {other} are the same file, {path}")


Writer = Callable[[Path], object]


def write_files(
    out: Console | None, files: Iterable[tuple[str, Path | None, Writer]], indent: int = 0
) -> None:
    """Write the files that were asked for: (what it is, path, how to write it). One that fails
    keeps no other from being written.

    Args:
        out: told of each; None says nothing.

    Raises:
        InputError: of the first that failed, at the end.
    """
    failed: InputError | None = None
    for what, path, write in files:
        if path is None:
            continue
        try:
            write(path)
        except InputError as error:
            failed = failed or error
            continue
        if out is not None:
            as_is(out, f"{' ' * indent}{what}: {path}")
    if failed is not None:
        raise failed


def shown(text: str) -> str:
    """A name for a table: no mark-up, and control characters written out instead of obeyed."""
    from rich.markup import escape

    return escape(visible(text))


def visible(text: str) -> str:
    """A name with its control characters written out."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
