"""`trunkline plan`: a plan for a problem document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trunkline.cli.output import print_json, write_json

if TYPE_CHECKING:
    from trunkline.loading import LoadingPlan, LoadingProblem


def plan(
    problem: Annotated[Path, typer.Argument(help="A problem document (JSON or YAML).")],
    method: Annotated[
        str,
        typer.Option(
            "--method", "-m", help="optimal, greedy, paper, independent (whole models), exhaustive."
        ),
    ] = "optimal",
    upload: Annotated[
        Literal["sum", "max"],
        typer.Option(help="What a batch's upload costs: the optimal shares' sum, or the longest."),
    ] = "sum",
    slot_s: Annotated[
        float | None,
        typer.Option(help="Slot length in seconds: paper (0.01), greedy, independent (none)."),
    ] = None,
    variant: Annotated[
        Literal["printed", "corrected"] | None,
        typer.Option(help="For paper: equation (19) as printed, or corrected (the default)."),
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Leave this share of the deadline for surprises.")
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

    asked = trunkline.load(problem)
    options = _options(upload=upload, slot_s=slot_s, variant=variant)
    found = trunkline.plan(asked, method, margin=margin, **options)
    whole = None
    if method != "independent" and (picture or not as_json):
        whole = trunkline.plan(asked, "independent", upload=upload, margin=margin)
    if output:
        write_json(output, found.to_dict())
    if picture:
        _draw(picture, asked, found, whole)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(asked, found, whole, output, picture)


def _options(*, upload: str, slot_s: float | None, variant: str | None) -> dict[str, Any]:
    """The method's keywords that were given."""
    given = {"upload": upload, "slot_s": slot_s, "variant": variant}
    return {name: value for name, value in given.items() if value is not None}


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


def _print(
    problem: LoadingProblem,
    plan: LoadingPlan,
    whole: LoadingPlan | None,
    output: Path | None,
    picture: Path | None,
) -> None:
    from rich.table import Table

    from trunkline.cli.output import console, seconds, shown

    table = Table(title=f"{len(plan.batches)} batches", title_justify="left")
    for name in ("#", "model", "tasks", "load MB", "upload", "load", "compute", "ends"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for n, b in enumerate(plan.batches, start=1):
        steps = (b.upload_s, b.load_s, b.compute_s, b.finish_s)
        megabytes = f"{b.load_bytes / 1e6:,.2f}"
        table.add_row(str(n), shown(b.model), str(len(b.tasks)), megabytes, *map(seconds, steps))
    out = console()
    if plan.batches:
        out.print(table)
    proof = "proven optimal" if plan.proven else f"no plan serves more than {plan.bound}"
    out.print(
        f"{plan.method}: serves {plan.served} of {plan.tasks} tasks by {problem.deadline_s:g} s "
        f"({proof}); ends at {seconds(plan.finish_s)}, loads {plan.load_bytes / 1e6:,.1f} MB; "
        f"planned in {seconds(plan.solve_s)}",
        markup=False,
        highlight=False,
    )
    if whole is not None:
        how = "planned as well as can be" if problem.plain else "planned greedily"
        out.print(
            f"whole-model loading, {how}: serves {whole.served}, "
            f"loads {whole.load_bytes / 1e6:,.1f} MB",
            highlight=False,
        )
    for name, path in (("plan", output), ("picture", picture)):
        if path:
            out.print(f"{name}: {path}", markup=False, highlight=False)
