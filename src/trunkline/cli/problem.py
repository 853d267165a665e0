"""`trunkline problem`: a loading problem of one's own models and tasks on a profiled machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trunkline.cli.memory import parse_memory, tell_what_does_not_fit
from trunkline.cli.options import StoreOption, names, number, open_store
from trunkline.cli.output import (
    check_outputs,
    console,
    note,
    print_json,
    say,
    seconds,
    size,
    write_files,
)
from trunkline.units import count

if TYPE_CHECKING:
    from trunkline.loading import LoadingProblem, Task
    from trunkline.store import StoredModel

MOST_NOTES = 3
"""Of the models that are left out, so many are told of one by one."""

MOST_TASKS = 100_000


def problem(
    profile: Annotated[
        Path, typer.Option("--profile", "-p", help="What `trunkline profile` saved.")
    ],
    deadline_s: Annotated[
        float | None,
        typer.Option(parser=number(0), metavar="SECONDS", help="The tasks' deadline, seconds."),
    ] = None,
    deadline_share: Annotated[
        float | None,
        typer.Option(
            parser=number(0, 1000),
            metavar="SHARE",
            help="Instead: this share of the time in which whole-model loading serves everybody.",
        ),
    ] = None,
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
        int | None,
        typer.Option(
            min=1, max=MOST_TASKS, help="Draw this many tasks of users in a cell instead."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the burst.")] = 0,
    upload_bits: Annotated[
        float | None,
        typer.Option(
            parser=number(0),
            metavar="BITS",
            help="Upload of each task of a burst (default: the raw input).",
        ),
    ] = None,
    bandwidth_hz: Annotated[
        float, typer.Option(parser=number(0), metavar="HZ", help="The uplink's band.")
    ] = 200e6,
    radius_m: Annotated[
        float, typer.Option(parser=number(1, 1e9), metavar="M", help="Radius of the cell.")
    ] = 250.0,
    power_w_per_hz: Annotated[
        float,
        typer.Option(
            parser=number(0, 1e6), metavar="W/HZ", help="Density of a user's transmit power."
        ),
    ] = 5e-9,
    noise_dbm_per_hz: Annotated[
        float,
        typer.Option(parser=number(-1000, 1000), metavar="DBM/HZ", help="Density of the noise."),
    ] = -174.0,
    path_loss_exponent: Annotated[
        float, typer.Option(parser=number(0, 10), metavar="ALPHA", help="Alpha.")
    ] = 4.0,
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
    from trunkline.files import write_json
    from trunkline.loading.document import problem_to_document
    from trunkline.runtime import problem as making
    from trunkline.runtime.profile import load_profile

    if (tasks is None) == (burst is None):
        raise InputError("give either --tasks FILE or --burst N")
    if (deadline_s is None) == (deadline_share is None):
        raise InputError("give either --deadline-s SECONDS or --deadline-share SHARE")
    check_outputs({"--output": output}, [profile, tasks])
    memory_bytes = parse_memory(memory)
    measured = load_profile(profile)
    found, notes = making.runnable(open_store(store), names(models), measured)
    if tasks is not None:
        wanted: tuple[Task, ...] = making.read_tasks(tasks, {one.name: one for one in found})
    else:
        cell = Cell(radius_m, power_w_per_hz, noise_dbm_per_hz, path_loss_exponent, bandwidth_hz)
        wanted = draw_burst(_uploads(found, upload_bits), burst or 0, cell=cell, seed=seed)
    made = making.build_problem(
        found,
        measured,
        wanted,
        deadline_s=deadline_s or 0.0,
        bandwidth_hz=bandwidth_hz,
        cache=cache,
        memory_bytes=memory_bytes,
    )
    everybody_s = None
    if deadline_share is not None:
        made, everybody_s = making.with_deadline_share(made, deadline_share)
    document = problem_to_document(made)
    _tell_left_out(notes)
    tell_what_does_not_fit(made)
    if as_json or not output:
        print_json(document)
    else:
        _print(made, everybody_s)
    write_files(
        None if as_json else console(),
        [("problem", output, lambda path: write_json(path, document))],
    )


def _tell_left_out(notes: list[str]) -> None:
    for one in notes[:MOST_NOTES]:
        note(one)
    if len(notes) > MOST_NOTES:
        note(f"left out, too: {count(len(notes) - MOST_NOTES, 'more model')}")


def _uploads(models: list[StoredModel], given: float | None) -> dict[str, float]:
    from trunkline.runtime.problem import upload_bits

    return {one.name: upload_bits(one) if given is None else given for one in models}


def _print(made: LoadingProblem, everybody_s: float | None) -> None:
    whole, distinct = sum(made.library.model_bytes), made.library.distinct_bytes
    asked = len({task.model for task in made.tasks})
    share = (
        ""
        if everybody_s is None
        else f" (whole-model loading needs {seconds(everybody_s)} for everybody)"
    )
    say(
        console(),
        f"{count(len(made.tasks), 'task')} for {asked} of {count(len(made.models), 'model')} "
        f"({size(whole)}, {size(distinct)} distinct), deadline {seconds(made.deadline_s)}{share}",
    )
