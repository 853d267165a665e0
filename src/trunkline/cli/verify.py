"""`trunkline verify`: is every blob what its digest says?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.options import StoreOption, open_store
from trunkline.cli.output import console, print_json, say, size, visible
from trunkline.cli.progress import progress_bar
from trunkline.units import count, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.store import VerifyReport


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models to verify (default: everything).")
    ] = None,
    store: StoreOption = None,
    quarantine: Annotated[
        bool,
        typer.Option(
            "--quarantine",
            help="Move wrong blobs to .trunkline/quarantine; importing their models again then "
            "writes them anew.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Recompute every digest and length; exit status 1 if one is wrong."""
    opened = open_store(store)
    with progress_bar("verify") as progress:
        report = opened.verify(names or None, progress, quarantine=quarantine)
    if as_json:
        print_json(
            {
                "ok": report.ok,
                "blobs": report.blobs,
                "bytes": report.bytes,
                "seconds": report.seconds,
                "problems": [
                    {"place": one.place, "problem": one.problem, "models": list(one.models)}
                    for one in report.problems
                ],
                "quarantined": list(report.quarantined),
            }
        )
    else:
        out = console()
        for one in report.problems:
            say(out, f"{one.place}: {visible(one.problem)}{_whose(one.place, one.models)}")
        found = count(len(report.problems), "problem") if report.problems else "all right"
        say(
            out,
            f"{count(report.blobs, 'blob')}, {size(report.bytes)} read in {report.seconds:.2f} s: "
            f"{found}",
        )
        for line in _what_next(report, quarantine):
            say(out, line)
    if not report.ok:
        raise typer.Exit(1)


def _whose(place: str, models: tuple[str, ...]) -> str:
    if models:
        return f"; needed by {_named(models)}"
    return "; no model needs it" if place.startswith("sha256:") else ""


def _what_next(report: VerifyReport, quarantine: bool) -> Iterator[str]:
    """How to mend what was found."""
    if report.quarantined:
        yield f"{count(len(report.quarantined), 'wrong blob')} moved to .trunkline/quarantine."
    elif any(one.wrong for one in report.problems) and not quarantine:
        yield "First move the wrong blobs away: trunkline verify --quarantine"
    if enough := _enough(report):
        yield (
            f"Import again, from the weights and with the same options, or pull again: "
            f"{_named(enough)}; what is missing is written anew, for all models that have it. Or "
            "forget what cannot be brought back: trunkline remove NAME"
        )


def _enough(report: VerifyReport) -> list[str]:
    """A few models that hold everything that is broken: a shared block comes back with any."""
    left = [set(one.models) for one in report.problems if one.models]
    chosen = []
    while left:
        names = sorted({name for models in left for name in models})
        best = max(names, key=lambda name: sum(name in models for models in left))
        left = [models for models in left if best not in models]
        chosen.append(best)
    return chosen


def _named(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(visible(shorten(name)) for name in names)
