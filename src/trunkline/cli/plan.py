"""`trunkline plan`: a plan for a problem document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trunkline.cli.memory import tell_what_does_not_fit
from trunkline.cli.options import number
from trunkline.cli.output import (
    check_outputs,
    console,
    plain_table,
    print_json,
    say,
    seconds,
    shown,
    write_files,
)
from trunkline.units import count

if TYPE_CHECKING:
    from trunkline.loading import LoadingPlan, LoadingProblem


def plan(
    problem: Annotated[Path, typer.Argument(help="A problem document (JSON or YAML).")],
    method: Annotated[
        str,
        typer.Option(
            "--method",
            "-m",
            help="optimal, search, milp, insertion (any optional field), greedy, paper, equal "
            "(sub-channels), independent (whole models), exhaustive.",
        ),
    ] = "optimal",
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
        typer.Option(min=1, help="For equal: how many sub-channels there are (default: 10)."),
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
            help="Seconds to plan for, for optimal, search, milp and exhaustive; then the best "
            "plan so far is printed, with what it may still lack.",
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            parser=number(0, below=1),
            metavar="SHARE",
            help="Leave this share of the deadline for surprises.",
        ),
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan document only.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the plan document here.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw the timeline here, beside that of whole-model loading."),
    ] = None,
) -> None:
    """Decide which tasks to serve, in which batches and order, with which bandwidth shares."""
    import trunkline
    from trunkline.files import write_json
    from trunkline.loading import LoadingProblem

    check_outputs({"--output": output, "--picture": picture}, [problem])
    asked = trunkline.load(problem, LoadingProblem)
    tell_what_does_not_fit(asked)
    options = _given(
        upload=upload,
        slot_s=slot_s,
        variant=variant,
        channels=channels,
        planner=planner,
        time_limit_s=time_limit_s,
    )
    found = trunkline.plan(asked, method, margin=margin, **options)
    whole = None
    if method != "independent" and (picture or not as_json):
        whole = trunkline.plan(asked, "independent", margin=margin, **_given(upload=upload))
    if as_json:
        print_json(found.to_dict())
    else:
        _print(asked, found, whole)
    write_files(
        None if as_json else console(),
        [
            ("plan", output, lambda path: write_json(path, found.to_dict())),
            ("picture", picture, lambda path: _draw(path, asked, found, whole)),
        ],
    )


def _given(**options: object) -> dict[str, Any]:
    """The options that were given on the command line."""
    return {name: value for name, value in options.items() if value is not None}


def _draw(
    path: Path, problem: LoadingProblem, plan: LoadingPlan, whole: LoadingPlan | None
) -> None:
    from trunkline.pictures import draw_timelines

    plans = [plan] if whole is None else [whole, plan]
    titles = {"independent": "whole models (independent)"}
    panels = [
        (
            f"{titles.get(p.method, f'partial loading ({p.method})')}: "
            f"{p.served} of {p.tasks} tasks, {p.load_bytes / 1e6:,.1f} MB loaded",
            p.batches,
        )
        for p in plans
    ]
    draw_timelines(path, panels, problem.deadline_s)


def _print(problem: LoadingProblem, plan: LoadingPlan, whole: LoadingPlan | None) -> None:
    table = plain_table(
        count(len(plan.batches), "batch"),
        *("#", "model", "tasks", "load MB", "upload", "load", "compute", "ends"),
        left=("model",),
    )
    for n, b in enumerate(plan.batches, start=1):
        steps = (b.upload_s, b.load_s, b.compute_s, b.finish_s)
        megabytes = f"{b.load_bytes / 1e6:,.2f}"
        table.add_row(str(n), shown(b.model), str(len(b.tasks)), megabytes, *map(seconds, steps))
    out = console()
    if plan.batches:
        out.print(table)
    proof = "proven optimal" if plan.proven else f"no plan serves more than {plan.bound}"
    say(
        out,
        f"{plan.method}: serves {plan.served} of {count(plan.tasks, 'task')} by "
        f"{problem.deadline_s:g} s ({proof}); ends at {seconds(plan.finish_s)}, loads "
        f"{plan.load_bytes / 1e6:,.1f} MB; planned in {seconds(plan.solve_s)}",
    )
    if whole is not None:
        how = "planned as well as can be" if problem.plain else "planned greedily"
        say(
            out,
            f"whole-model loading, {how}: serves {whole.served}, loads "
            f"{whole.load_bytes / 1e6:,.1f} MB",
        )
