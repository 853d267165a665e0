"""`trunkline run`: plan a loading problem and carry the plan out with real weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trunkline.cli.options import StoreOption, ThreadsOption, compute_on, open_store
from trunkline.cli.output import console, print_json, seconds, write_json

if TYPE_CHECKING:
    import torch

    from trunkline.loading import LoadingPlan, LoadingProblem
    from trunkline.runtime.report import RunReport


def run(
    problem: Annotated[Path, typer.Argument(help="A loading problem of models in the store.")],
    store: StoreOption = None,
    method: Annotated[
        str,
        typer.Option("--method", "-m", help="As for `plan`; independent loads whole models."),
    ] = "optimal",
    margin: Annotated[
        float, typer.Option(help="Plan to end this share of the deadline earlier, for surprises.")
    ] = 0.0,
    plan: Annotated[
        Path | None, typer.Option(help="Carry out this plan document instead of planning.")
    ] = None,
    inputs: Annotated[
        str,
        typer.Option(help="A safetensors file with a tensor per task id, or 'generated'."),
    ] = "generated",
    seed: Annotated[int, typer.Option(min=0, help="Of generated inputs.")] = 0,
    outputs: Annotated[
        Path | None, typer.Option(help="Write the tasks' outputs here (safetensors).")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory for resident blocks, as in 512MiB (default: the problem's, else what the "
            "previous model left)."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    threads: ThreadsOption = None,
    upload: Annotated[
        bool, typer.Option("--upload/--no-upload", help="Wait as long as the uploads would take.")
    ] = True,
    cache: Annotated[
        Literal["warm", "cold"],
        typer.Option(help="cold: every load from the disk, not from the system's page cache."),
    ] = "warm",
    trace: Annotated[
        Path | None, typer.Option(help="Write a Chrome trace here (opens in Perfetto).")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw plan and run here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report only.")] = False,
) -> None:
    """Serve the tasks for real: loads and forwards on this machine, uploads emulated by waiting."""
    asked = _problem(problem, memory)
    there = open_store(store)
    chosen = _plan(asked, plan, method, margin)
    compute_on(threads)
    from trunkline.runtime.execute import execute
    from trunkline.runtime.inputs import read_inputs

    given = None if inputs == "generated" else read_inputs(Path(inputs))
    results: dict[str, torch.Tensor] | None = {} if outputs else None
    report = execute(
        asked,
        chosen,
        there,
        inputs=given,
        seed=seed,
        device=device,
        uploads=upload,
        cold=cache == "cold",
        outputs=results,
    )
    if outputs:
        _save(outputs, results or {})
    if trace:
        from trunkline.runtime.trace import chrome_trace

        write_json(trace, chrome_trace(chosen, report))
    if picture:
        _draw(picture, chosen, report)
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report, chosen, {"outputs": outputs, "trace": trace, "picture": picture})


def _problem(path: Path, memory: str | None) -> LoadingProblem:
    from dataclasses import replace

    import trunkline
    from trunkline.units import parse_bytes

    asked = trunkline.load(path)
    return asked if memory is None else replace(asked, memory_bytes=float(parse_bytes(memory)))


def _plan(problem: LoadingProblem, path: Path | None, method: str, margin: float) -> LoadingPlan:
    import trunkline
    from trunkline.errors import InputError

    if path is None:
        return trunkline.plan(problem, method, margin=margin)
    chosen = trunkline.load_plan(path)
    if violations := trunkline.check(problem, chosen):
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise InputError(f"{path} does not hold for this problem: {violations[0]}{more}")
    return chosen


def _save(path: Path, results: dict[str, torch.Tensor]) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    from trunkline.errors import InputError

    try:
        save_file(results, path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be written: {error}") from None


def _draw(path: Path, plan: LoadingPlan, report: RunReport) -> None:
    from trunkline.pictures import draw_timelines
    from trunkline.pictures.timeline import Panel

    kind = "partial loading" if report.partial else "whole models"
    panels: list[Panel] = [
        (f"planned, {kind} ({plan.method}): {plan.served} of {plan.tasks} tasks", plan.batches),
        (
            f"measured: {report.served} served, {report.late} late, "
            f"{report.bytes_moved / 1e6:,.1f} MB loaded",
            report.batches,
        ),
    ]
    draw_timelines(path, panels, report.deadline_s)


def _print(report: RunReport, plan: LoadingPlan, files: dict[str, Path | None]) -> None:
    from rich.table import Table

    table = Table(title=f"{len(report.batches)} batches: planned / measured", title_justify="left")
    for name in ("#", "model", "tasks", "MB", "load", "compute", "load + compute", "ends", "late"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for n, one in enumerate(report.batches, start=1):
        planned = one.planned
        table.add_row(
            str(n),
            one.model,
            str(len(one.tasks)),
            f"{planned.load_bytes / 1e6:.2f} / {one.bytes_moved / 1e6:.2f}",
            f"{seconds(planned.load_s)} / {seconds(one.load_s)}",
            f"{seconds(planned.compute_s)} / {seconds(one.compute_s)}",
            f"off by {one.relative_error:.0%}",
            f"{seconds(planned.finish_s)} / {seconds(one.finish_s)}",
            str(len(one.late) or ""),
        )
    out = console()
    if report.batches:
        out.print(table)
    uploads = (
        f"{seconds(report.upload_s)} waiting for uploads (emulated)"
        if report.uploads
        else "no uploads"
    )
    out.print(
        f"{report.method}: {report.served} of {report.received} tasks served by "
        f"{report.deadline_s:g} s, {report.late} late, {report.not_planned} not planned "
        f"(planned: {plan.served} served)\n"
        f"{report.bytes_moved / 1e6:,.1f} MB in {seconds(report.load_s)} of loading, "
        f"{seconds(report.compute_s)} of computing, {uploads}; ended at "
        f"{seconds(report.finish_s)}, planned {seconds(plan.finish_s)}",
        markup=False,
        highlight=False,
    )
    if report.median_relative_error is not None:
        out.print(
            "load + compute of a batch, planned against measured: median relative error "
            f"{report.median_relative_error:.1%}",
            highlight=False,
        )
    for name, path in files.items():
        if path:
            out.print(f"{name}: {path}", markup=False, highlight=False)
