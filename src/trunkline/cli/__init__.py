"""The command line: one file per command, thin over the library.

A command module is imported for its signature at start, so its own heavy imports stand inside the
function (`trunkline --help` answers in under half a second). A `TrunklineError` becomes one line
on standard error and exit status 2; a check that does not hold exits with 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from trunkline.errors import TrunklineError

app = typer.Typer(
    name="trunkline",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Move only the parameter blocks that are missing, in an order that keeps the next move "
    "small.",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a check that does not hold, 2 unusable input."""
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="trunkline")
    except TrunklineError as error:
        sys.stderr.write(f"trunkline: {error}\n")
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone, `trunkline show ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
