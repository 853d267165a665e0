"""`trunkline verify`: is every blob what its digest says?"""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.options import StoreOption, open_store
from trunkline.cli.output import console, print_json, size
from trunkline.cli.progress import progress_bar


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models to verify (default: everything).")
    ] = None,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Recompute every digest and length; exit status 1 if one is wrong."""
    opened = open_store(store)
    with progress_bar("verify") as progress:
        report = opened.verify(names or None, progress)
    if as_json:
        print_json(
            {
                "ok": report.ok,
                "blobs": report.blobs,
                "bytes": report.bytes,
                "seconds": report.seconds,
                "problems": [
                    {"digest": one.digest, "problem": one.problem, "models": list(one.models)}
                    for one in report.problems
                ],
            }
        )
    else:
        out = console()
        for one in report.problems:
            whose = f"needed by {', '.join(one.models)}" if one.models else "no model needs it"
            out.print(f"{one.digest}: {one.problem}; {whose}", markup=False, highlight=False)
        verdict = f"{len(report.problems)} of them wrong" if report.problems else "all right"
        out.print(
            f"{report.blobs} blobs, {size(report.bytes)} read in {report.seconds:.2f} s: {verdict}",
            highlight=False,
        )
        if any(one.models for one in report.problems):
            out.print(
                "To mend a model, delete the wrong blobs and import it again from its weights.",
                highlight=False,
            )
    if not report.ok:
        raise typer.Exit(1)
