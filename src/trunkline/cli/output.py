"""What the commands print: tables for people, JSON for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trunkline.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Standard output for people; when it is no terminal, lines are wide enough not to be cut."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=max(found.width, 140))


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

    return escape("".join(c if c.isprintable() else repr(c)[1:-1] for c in text))


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
