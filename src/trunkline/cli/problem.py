"""`trunkline problem`: a loading problem of one's own models and tasks on a profiled machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trunkline.cli.options import StoreOption, open_store
from trunkline.cli.output import console, print_json, seconds, size, write_json

if TYPE_CHECKING:
    from trunkline.loading import LoadingProblem, Task
    from trunkline.store import StoredModel


def problem(
    profile: Annotated[
        Path, typer.Option("--profile", "-p", help="What `trunkline profile` saved.")
    ],
    deadline_s: Annotated[float, typer.Option(min=0, help="The tasks' deadline, seconds.")],
    store: StoreOption = None,
    models: Annotated[
        str | None, typer.Option(help="Names, separated by commas (default: all profiled).")
    ] = None,
    tasks: Annotated[
        Path | None,
        typer.Option(
            help="A CSV or JSON file: id, model, upload_bits or input_bytes, bits_per_s_per_hz or "
            "snr_db, and optionally arrival_s, deadline_s."
        ),
    ] = None,
    burst: Annotated[
        int | None, typer.Option(min=0, help="Draw this many tasks of users in a cell instead.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the burst.")] = 0,
    upload_bits: Annotated[
        float | None,
        typer.Option(min=0, help="Upload of each task of a burst (default: the raw input)."),
    ] = None,
    bandwidth_hz: Annotated[float, typer.Option(min=0, help="The uplink's band.")] = 200e6,
    radius_m: Annotated[float, typer.Option(min=1, help="Radius of the cell.")] = 250.0,
    power_w_per_hz: Annotated[
        float, typer.Option(min=0, help="Density of a user's transmit power.")
    ] = 5e-9,
    noise_dbm_per_hz: Annotated[float, typer.Option(help="Density of the noise.")] = -174.0,
    path_loss_exponent: Annotated[float, typer.Option(min=0, help="Alpha.")] = 4.0,
    cache: Annotated[
        Literal["warm", "cold"], typer.Option(help="Weights in the page cache, or on the disk.")
    ] = "warm",
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory for resident blocks, as in 512MiB (default: what the previous model left)."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the problem document here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document only.")] = False,
) -> None:
    """State a loading problem: which models, which tasks, what this machine needs for them.

    Users of a burst are placed uniformly by area in a cell, with the radio model and the defaults
    of PartialLoading's Section VII (Rayleigh fading).
    """
    from trunkline.errors import InputError
    from trunkline.experiments.burst import Cell, draw_burst
    from trunkline.loading.document import problem_to_document
    from trunkline.runtime import problem as making
    from trunkline.runtime.profile import load_profile
    from trunkline.units import parse_bytes

    if (tasks is None) == (burst is None):
        raise InputError("give either --tasks FILE or --burst N")
    measured = load_profile(profile)
    names = None if models is None else [one.strip() for one in models.split(",") if one.strip()]
    found = making.runnable(open_store(store), names, measured)
    if tasks is not None:
        wanted: tuple[Task, ...] = making.read_tasks(tasks, {one.name: one for one in found})
    else:
        cell = Cell(radius_m, power_w_per_hz, noise_dbm_per_hz, path_loss_exponent, bandwidth_hz)
        wanted = draw_burst(_uploads(found, upload_bits), burst or 0, cell=cell, seed=seed)
    made = making.build_problem(
        found,
        measured,
        wanted,
        deadline_s=deadline_s,
        bandwidth_hz=bandwidth_hz,
        cache=cache,
        memory_bytes=None if memory is None else parse_bytes(memory),
    )
    document = problem_to_document(made)
    if output:
        write_json(output, document)
    if as_json or not output:
        print_json(document)
    else:
        _print(made, output)


def _uploads(models: list[StoredModel], given: float | None) -> dict[str, float]:
    from trunkline.runtime.problem import upload_bits

    return {one.name: upload_bits(one) if given is None else given for one in models}


def _print(made: LoadingProblem, output: Path) -> None:
    whole, distinct = sum(made.library.model_bytes), made.library.distinct_bytes
    out = console()
    out.print(
        f"{len(made.tasks)} tasks for {len({task.model for task in made.tasks})} of "
        f"{len(made.models)} models ({size(whole)}, {size(distinct)} distinct), deadline "
        f"{seconds(made.deadline_s)}",
        highlight=False,
    )
    out.print(f"problem: {output}", markup=False, highlight=False)
