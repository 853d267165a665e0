"""`trunkline run`: plan a loading problem and carry the plan out with real weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from trunkline.cli.memory import parse_memory, tell_what_does_not_fit
from trunkline.cli.options import (
    CopyOption,
    StoreOption,
    ThreadsOption,
    compute_on,
    number,
    open_store,
)
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
from trunkline.errors import InputError
from trunkline.units import count, decimals, unit_of_time

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from trunkline.loading import LoadingPlan, LoadingProblem
    from trunkline.runtime.report import RunReport

FAR_OFF: Final = 0.5
"""A median relative error that no noise explains."""


def run(
    problem: Annotated[Path, typer.Argument(help="A loading problem of models in the store.")],
    store: StoreOption = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            "-m",
            help="As for `plan` (default: optimal); independent loads whole models.",
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            parser=number(0, below=1),
            metavar="SHARE",
            help="Plan to end this share of the deadline earlier, for surprises (default: 0).",
        ),
    ] = None,
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
    copy: CopyOption = False,
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
    if plan is not None and (method is not None or margin is not None):
        raise InputError("--plan is carried out as it stands: leave out --method and --margin")
    input_file = None if inputs == "generated" else Path(inputs)
    check_outputs(
        {"--outputs": outputs, "--trace": trace, "--picture": picture},
        [problem, plan, input_file],
    )
    asked = _problem(problem, memory)
    there = open_store(store)
    chosen = _plan(asked, plan, method or "optimal", margin or 0.0)
    compute_on(threads)
    from trunkline.files import write_json
    from trunkline.runtime.execute import execute
    from trunkline.runtime.inputs import read_inputs, save_tensors
    from trunkline.runtime.trace import chrome_trace

    given = None if input_file is None else read_inputs(input_file)
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
        copy=copy,
    )
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report, chosen)
    write_files(
        None if as_json else console(),
        [
            ("outputs", outputs, lambda path: save_tensors(path, results or {})),
            ("trace", trace, lambda path: write_json(path, chrome_trace(chosen, report))),
            ("picture", picture, lambda path: _draw(path, chosen, report)),
        ],
    )


def _problem(path: Path, memory: str | None) -> LoadingProblem:
    from dataclasses import replace

    import trunkline
    from trunkline.loading import LoadingProblem

    budget, asked = parse_memory(memory), trunkline.load(path, LoadingProblem)
    if budget is not None:
        asked = replace(asked, memory_bytes=float(budget))
    tell_what_does_not_fit(asked)
    return asked


def _plan(problem: LoadingProblem, path: Path | None, method: str, margin: float) -> LoadingPlan:
    import trunkline
    from trunkline.loading import LoadingPlan

    if path is None:
        return trunkline.plan(problem, method, margin=margin)
    chosen = trunkline.load_plan(path, LoadingPlan)
    if violations := trunkline.check(problem, chosen):
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise InputError(f"{path} does not hold for this problem: {violations[0]}{more}")
    return chosen


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


def _print(report: RunReport, plan: LoadingPlan) -> None:
    """Batch by batch what was planned and what was measured, and the sums."""
    out = console()
    if report.batches:
        out.print(_table(report))
    say(
        out,
        f"{report.method}: {report.served} of {count(report.received, 'task')} served by "
        f"{report.deadline_s:g} s, {report.late} late, {report.not_planned} not planned "
        f"(planned: {plan.served} served)",
    )
    uploads = (
        f"{seconds(report.upload_s)} waiting for uploads (emulated)"
        if report.uploads
        else "no uploads"
    )
    say(
        out,
        f"{report.bytes_moved / 1e6:,.1f} MB in {seconds(report.load_s)} of loading, "
        f"{seconds(report.compute_s)} of computing, {uploads}; ended at "
        f"{seconds(report.finish_s)}, planned {seconds(plan.finish_s)}",
    )
    if report.median_relative_error is not None:
        say(
            out,
            "load + compute of a batch, planned against measured: median relative error "
            f"{report.median_relative_error:.1%}",
        )
        if report.median_relative_error > FAR_OFF:
            say(
                out,
                "that is far off: profile and run with the same --threads, both with --copy or "
                "neither, while the machine does nothing else",
            )


def _table(report: RunReport) -> Table:
    """A row a batch; times in one unit."""
    unit, scale = unit_of_time(report.finish_s)
    late = report.late > 0
    table = plain_table(
        f"{count(len(report.batches), 'batch')}: planned/measured",
        *("model", "tasks", "MB", f"load {unit}", f"compute {unit}", "off", f"ends {unit}"),
        *(("late",) if late else ()),
        left=("model",),
    )
    rows = report.batches
    times = zip(
        _pairs([(one.planned.load_s, one.load_s) for one in rows], scale),
        _pairs([(one.planned.compute_s, one.compute_s) for one in rows], scale),
        _pairs([(one.planned.finish_s, one.finish_s) for one in rows], scale),
        strict=True,
    )
    for one, (load, compute, ends) in zip(rows, times, strict=True):
        moved = f"{one.bytes_moved / 1e6:.2f}"
        if one.bytes_moved != one.planned.load_bytes:
            moved = f"{one.planned.load_bytes / 1e6:.2f}/{moved}"
        off = f"{one.relative_error:.0%}"
        cells = [shown(one.model), str(len(one.tasks)), moved, load, compute, off, ends]
        table.add_row(*cells, *((str(len(one.late) or ""),) if late else ()))
    return table


def _pairs(values: list[tuple[float, float]], scale: float) -> list[str]:
    """`planned/measured` with as many decimals as the largest of them needs."""
    digits = decimals(max(max(pair) for pair in values) / scale)
    return [f"{one / scale:.{digits}f}/{other / scale:.{digits}f}" for one, other in values]
