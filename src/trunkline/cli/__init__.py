"""The command line: one file per command, thin over the library.

The module of the command that is called is imported; for `--help`, or a name that is none, those of
all. So heavy imports stand inside a command's function (`trunkline --help` answers in under half a
second). A `TrunklineError` becomes one line on standard error and exit status 2; a check that does
not hold exits with 1, an interrupt with 130.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from trunkline import __version__
from trunkline.errors import InputError, TrunklineError
from trunkline.units import shorten

COMMANDS: Final = {
    "show": "show",
    "plan": "plan",
    "check": "check",
    "import": "import_",
    "list": "list_",
    "verify": "verify",
    "remove": "remove",
    "gc": "gc",
    "push": "push",
    "pull": "pull",
    "trust": "trust",
    "profile": "profile",
    "problem": "problem",
    "run": "run",
    "scenario": "scenario",
    "serve": "serve",
    "serve-store": "serve_store",
    "stream": "stream",
    "simulate": "simulate",
    "simulate pulling": "simulate_pulling",
    "demo": "demo",
    "reproduce": "reproduce",
}
"""Each command's module, and function in there; in the order of `--help`."""

KEPT: Final = {
    "import": "blocks that were written stay, and the same import goes on from there",
    "pull": "what was fetched stays, and the same pull goes on from there",
    "push": "what was sent stays at the registry, and the same push goes on from there",
    "stream": "blocks that came stay, and the same stream goes on from there",
    "gc": "what was removed was needed by no model",
    "profile": "nothing was saved",
    "run": "nothing was written",
    "simulate": "nothing was written",
    "simulate pulling": "nothing was written",
    "verify": "nothing was changed",
    "demo": "what is in its folder so far is used by the next `trunkline demo`; or delete it",
}
"""What an interrupted command leaves behind."""


class Commands(TyperGroup):
    """The commands; one that is interrupted says so. A command may have a name of two words."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names, or the first two."""
        both = " ".join(args[:2])
        if len(args) > 1 and both in self.commands:
            args = [both, *args[2:]]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            kept = KEPT.get(ctx.invoked_subcommand or "")
            sys.stderr.write(f"\ntrunkline: interrupted{f': {kept}' if kept else ''}\n")
            raise typer.Exit(130) from None


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trunkline {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def app_for(given: Sequence[str]) -> typer.Typer:
    """The command line, as far as these words need it."""
    app = typer.Typer(
        name="trunkline",
        cls=Commands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        help="Move only the parameter blocks that are missing, in an order that keeps the next "
        "move small.",
    )
    app.callback()(_options)
    called = [name for name in (" ".join(given[:2]), *given[:1]) if name in COMMANDS]
    for name in called[:1] or COMMANDS:
        module = COMMANDS[name]
        app.command(name)(getattr(import_module(f"trunkline.cli.{module}"), module))
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a check that does not hold, 2 unusable input, 130
    interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not sys.warnoptions:  # what libraries tell each other of their next versions
        warnings.simplefilter("ignore", FutureWarning)
    try:
        _refuse_empty(given)
        app_for(given)(args=given, prog_name="trunkline")
    except BrokenPipeError:  # the reader of our output has gone, `trunkline show ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except TrunklineError as error:
        _fail(str(error))
    except OSError as error:
        _fail(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))


def _refuse_empty(given: Sequence[str]) -> None:
    """An empty text would be taken for the current folder; it is most often a variable of a shell
    that is not set (InputError)."""
    for before, text in zip(["", *given], given, strict=False):
        if not text:
            what = f"{before}: " if before.startswith("-") else ""
            raise InputError(f"{what}an empty text is no value")
        if re.fullmatch(r"--[a-z-]+=", text):
            raise InputError(f"{text[:-1]}: an empty text is no value")


def _fail(message: str) -> None:
    """One line on standard error and exit status 2; words without end lose their middle."""
    line = " ".join(message.splitlines())
    line = re.sub(r"\S{300,}", lambda found: shorten(found[0], 120), line)
    sys.stderr.write(f"trunkline: {line}\n")
    sys.exit(2)
