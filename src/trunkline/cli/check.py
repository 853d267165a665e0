"""`trunkline check`: does a plan hold?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from trunkline.cli.output import as_is, console, print_json
from trunkline.units import count


def check(
    problem: Annotated[Path, typer.Argument(help="The problem document.")],
    plan: Annotated[Path, typer.Argument(help="A plan document for it, from anywhere.")],
    upload: Annotated[
        Literal["sum", "max"] | None,
        typer.Option(help="Loading: the upload reading the plan was made under (default: sum)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the violations as JSON.")] = False,
) -> None:
    """Recompute every time and limit of a plan: exit 0 if it holds, 1 with the reasons if not."""
    import trunkline

    options = {} if upload is None else {"upload": upload}
    violations = trunkline.check(trunkline.load(problem), trunkline.load_plan(plan), **options)
    if as_json:
        print_json(violations)
    else:
        out = console()
        for violation in violations:
            as_is(out, violation)
        found = count(len(violations), "violation")
        as_is(out, f"{plan}: {f'does not hold: {found}' if violations else 'holds'}")
    if violations:
        raise typer.Exit(1)
