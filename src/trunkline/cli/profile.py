"""`trunkline profile`: what loading and computing cost on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.memory import parse_memory
from trunkline.cli.options import (
    CopyOption,
    StoreOption,
    ThreadsOption,
    compute_on,
    names,
    number,
    open_store,
)
from trunkline.cli.output import (
    as_is,
    check_outputs,
    console,
    plain_table,
    print_json,
    say,
    seconds,
    size,
    visible,
    write_files,
)
from trunkline.cli.progress import progress_bar
from trunkline.units import count, shorten

if TYPE_CHECKING:
    from rich.console import Console

    from trunkline.runtime.profile import ComputingFit, LoadingFit, Profile

MOST_NOTES = 12
"""So many notes are printed."""

SIZES_A_LINE = 6
"""So many batch sizes are printed beside one another."""


def profile(
    store: StoreOption = None,
    models: Annotated[
        str | None, typer.Option(help="Names, separated by commas (default: all that can run).")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    threads: ThreadsOption = None,
    copy: CopyOption = False,
    batches: Annotated[str, typer.Option(help="Batch sizes to compute.")] = "1,2,4,8",
    max_batch: Annotated[
        int, typer.Option(min=1, max=65536, help="No batch is planned larger than this.")
    ] = 32,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory for one batch's weights and activations, as in 2GiB "
            "(default: half of what is free); bounds the batch size."
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=3, max=10_000, help="How often each batch size is computed.")
    ] = 7,
    limit_s: Annotated[
        float,
        typer.Option(
            parser=number(0), metavar="SECONDS", help="Begin no new round after this many seconds."
        ),
    ] = 45.0,
    cold: Annotated[bool, typer.Option(help="Measure loads from the disk too.")] = True,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the profile only.")] = False,
) -> None:
    """Measure loads and forwards on this machine, fit lines, and save them for `problem`."""
    sizes, memory_bytes, chosen = _batches(batches), parse_memory(memory), names(models)
    check_outputs({"--output": output})
    there = open_store(store)
    compute_on(threads)
    from trunkline.runtime.measure import Settings, measure

    settings = Settings(sizes, rounds, limit_s, memory_bytes, max_batch, cold, copy=copy)
    with progress_bar("profile", bytes_are_counted=False) as tell:
        found = measure(there, chosen, device, settings, tell)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, console())
    write_files(None if as_json else console(), [("profile", output, found.save)])


def _batches(text: str) -> tuple[int, ...]:
    from trunkline.errors import InputError

    try:
        sizes = sorted({int(one) for one in text.split(",")})
    except ValueError:
        sizes = []
    if not sizes or sizes[0] < 1 or sizes[-1] > 4096:
        raise InputError(
            f"--batches {shorten(text, 60)!r}: whole numbers from 1 to 4096, as in 1,2,4,8"
        )
    if len(sizes) < 2:
        raise InputError(
            f"--batches {text}: at least two sizes, to tell what a task adds to a batch"
        )
    return tuple(sizes)


def _print(found: Profile, out: Console) -> None:
    machine = ", ".join(f"{name} {value}" for name, value in found.machine.items())
    say(out, f"{found.device}: {machine}")
    loads = plain_table(
        "loading: seconds = overhead + bytes / rate",
        *("page cache", "overhead", "rate", "off by", "loads", "sizes"),
        left=("page cache",),
    )
    for name, fit in (("warm", found.warm), ("cold", found.cold)):
        if fit is not None:
            loads.add_row(name, *_loading_cells(fit))
    out.print(loads)
    out.print(
        "computing, right after a switch: beta + mu x tasks; one measurement for all\n"
        "models of an architecture, an input and types of weights",
        style="italic",
        highlight=False,
    )
    for one in found.computing:
        out.print()
        say(out, visible(one.label))
        say(out, f"input {one.input}, weights {one.weights}", indent=2)
        say(
            out,
            f"{seconds(one.seconds_per_batch)} + {seconds(one.seconds_per_task)} x tasks, single "
            f"forwards off by {one.median_relative_error:.1%} (median)",
            indent=2,
        )
        _print_batches(one, out)
    out.print()
    say(
        out,
        f"batches: up to {count(found.largest_batch, 'task')}, weights and activations within "
        f"{size(found.memory_bytes)}",
    )
    for one_note in found.notes[:MOST_NOTES]:
        say(out, f"note: {one_note}")
    if len(found.notes) > MOST_NOTES:
        more = count(len(found.notes) - MOST_NOTES, "more note")
        say(out, f"{more}: all are in the document (--output, --json)")


def _print_batches(one: ComputingFit, out: Console) -> None:
    """What the forwards took and allocated, by batch size."""
    sizes = list(one.seconds)
    for start in range(0, len(sizes), SIZES_A_LINE):
        part = sizes[start : start + SIZES_A_LINE]
        rows = (
            ("batch", [str(batch) for batch in part]),
            ("measured", [seconds(one.seconds[batch]) for batch in part]),
            ("peak", [size(one.peak_bytes[batch]) for batch in part]),
        )
        for name, cells in rows:
            as_is(out, f"  {name:9}" + "".join(f"{cell:>11}" for cell in cells))


def _loading_cells(fit: LoadingFit) -> tuple[str, ...]:
    return (
        seconds(fit.stage.overhead_s),
        f"{size(fit.stage.bytes_per_s)}/s",
        f"{fit.median_relative_error:.1%}",
        str(fit.loads),
        f"{size(fit.smallest_bytes)} - {size(fit.largest_bytes)}",
    )
