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

from trunkline.cli import (
    check,
    demo,
    gc,
    import_,
    list_,
    plan,
    problem,
    profile,
    remove,
    reproduce,
    run,
    show,
    trust,
    verify,
)
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

app.command("show")(show.show)
app.command("plan")(plan.plan)
app.command("check")(check.check)
app.command("import")(import_.import_)
app.command("list")(list_.list_)
app.command("verify")(verify.verify)
app.command("remove")(remove.remove)
app.command("gc")(gc.gc)
app.command("trust")(trust.trust)
app.command("profile")(profile.profile)
app.command("problem")(problem.problem)
app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("reproduce")(reproduce.reproduce)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a check that does not hold, 2 unusable input."""
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="trunkline")
    except BrokenPipeError:  # the reader of our output has gone, `trunkline show ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except TrunklineError as error:
        _fail(str(error))
    except OSError as error:
        _fail(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))


def _fail(message: str) -> None:
    """One line on standard error and exit status 2."""
    sys.stderr.write(f"trunkline: {message}\n")
    sys.exit(2)
