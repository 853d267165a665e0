"""`trunkline plan`: a plan for a problem document."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import typer

from trunkline.cli.options import number
from trunkline.cli.output import check_outputs, console, print_json, write_files


def plan(
    problem: Annotated[Path, typer.Argument(help="A problem document (JSON or YAML).")],
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            "-m",
            help="Loading: optimal (default), search, milp, insertion (any optional field), "
            "greedy, paper, equal (sub-channels), independent (whole models), exhaustive. "
            "Pulling: optimal (default where small), rounding, greedy, no-sharing, nearest, "
            "accuracy-first, fallback, exhaustive. Streaming: optimal (default; for static "
            "shares), download-first, transfers, uniform-speed, equal, fcfs, exhaustive.",
        ),
    ] = None,
    upload: Annotated[
        Literal["sum", "max"] | None,
        typer.Option(
            help="What a batch's upload costs: the optimal shares' sum (the default), or the "
            "longest."
        ),
    ] = None,
    slot_s: Annotated[
        float | None,
        typer.Option(
            parser=number(0),
            metavar="SECONDS",
            help="Slot length: paper (default: 0.01), greedy and independent (default: none), "
            "equal (its planner's).",
        ),
    ] = None,
    variant: Annotated[
        Literal["printed", "corrected"] | None,
        typer.Option(help="For paper: equation (19) as printed, or corrected (the default)."),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="For equal: how many sub-channels there are (default: 10; streaming: the best).",
        ),
    ] = None,
    transfers: Annotated[
        int | None,
        typer.Option(min=1, help="For transfers: in how many the layers arrive (default: 2)."),
    ] = None,
    planner: Annotated[
        Literal["optimal", "greedy", "paper"] | None,
        typer.Option(help="For equal: what chooses tasks and order (default: optimal)."),
    ] = None,
    time_limit_s: Annotated[
        float | None,
        typer.Option(
            parser=number(0),
            metavar="SECONDS",
            help="Seconds to plan for, for methods that can stop early; then the best plan so far "
            "is printed, with what it may still lack.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="For rounding: of its random draws (default: 0)."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            parser=number(0, below=1),
            metavar="SHARE",
            help="Loading and streaming: leave this share of the deadline for surprises "
            "(default: 0).",
        ),
    ] = None,
    coefficients: Annotated[
        bool,
        typer.Option(
            "--coefficients",
            help="Plan nothing; print the problem in its canonical form (of a pulling scenario: "
            "the coefficients computed from it).",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan document only.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the plan document here.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw the plan here, beside one without sharing."),
    ] = None,
) -> None:
    """Plan for a problem document; its format says what is to be decided.

    Loading: which tasks to serve, in which batches and order, with which bandwidth shares.
    Pulling: which model at which site serves each request, and what each site pulls.
    Streaming: which users to serve, with which models, bandwidth shares and device speeds.
    """
    import trunkline
    from trunkline.errors import InputError
    from trunkline.files import write_json
    from trunkline.planners import planner_of

    check_outputs({"--output": output, "--picture": picture}, [problem])
    asked = trunkline.load(problem)
    if coefficients:
        if output is not None or picture is not None:
            raise InputError("--coefficients plans nothing that could be written or drawn")
        if method is not None:
            raise InputError("--coefficients plans nothing, so it takes no --method")
        print_json(planner_of(asked).to_document(asked))
        return
    told = import_module(f"trunkline.cli.plan_{planner_of(asked).kind}")
    told.before(asked)
    options = _given(
        upload=upload,
        slot_s=slot_s,
        variant=variant,
        channels=channels,
        transfers=transfers,
        planner=planner,
        time_limit_s=time_limit_s,
        seed=seed,
        margin=margin,
    )
    found = trunkline.plan(asked, method, **options)
    view: _View = told.View(asked, found, options)
    if as_json:
        print_json(found.to_dict())
    else:
        view.print()
    write_files(
        None if as_json else console(),
        [
            ("plan", output, lambda path: write_json(path, found.to_dict())),
            ("picture", picture, view.draw),
        ],
    )


class _View(Protocol):
    """What the file `plan_<kind>.py` of each planner has to offer, beside `before(problem)`."""

    def print(self) -> None:
        """The plan, for people."""

    def draw(self, path: Path) -> None:
        """The plan as a picture."""


def _given(**options: object) -> dict[str, Any]:
    """The options that were given on the command line."""
    return {name: value for name, value in options.items() if value is not None}
