"""What the commands print: tables for people, JSON for machines."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trunkline.errors import InputError

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


def plain_table(title: str, *columns: str, left: Iterable[str] = ()) -> Table:
    """An empty table without lines between its columns, so that it fits narrow terminals; columns
    stand to the right but for those named in `left`, whose long entries go on in the next line."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        if name in left:
            table.add_column(name, justify="left", overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    return table


def print_json(document: Any) -> None:
    """The document on standard output, and nothing else."""
    typer.echo(json.dumps(document, indent=1, allow_nan=False))


def write_json(path: Path, document: Any) -> None:
    """The document in a file (InputError if it cannot be written)."""
    try:
        path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def shown(text: str) -> str:
    """A name for a table: no mark-up, and control characters written out instead of obeyed."""
    from rich.markup import escape

    return escape(visible(text))


def visible(text: str) -> str:
    """A name with its control characters written out."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def seconds(value: float) -> str:
    """A time in the unit a person would use: `870 us`, `12.3 ms`, `1.24 s`."""
    if value == 0:
        return "0"
    for unit, scale in (("us", 1e-6), ("ms", 1e-3)):
        if value < 999.5 * scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.4g} s"


def size(value: float) -> str:
    """A number of bytes in the unit a person would use, powers of 1000: `1.2 MB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{value / scale:,.2f} {unit}"
    return f"{value:g} B"
