"""`trunkline profile`: what loading and computing cost on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import StoreOption, ThreadsOption, compute_on, open_store
from trunkline.cli.output import console, print_json, seconds, size

if TYPE_CHECKING:
    from rich.console import Console

    from trunkline.runtime.profile import LoadingFit, Profile


def profile(
    store: StoreOption = None,
    models: Annotated[
        str | None, typer.Option(help="Names, separated by commas (default: all that can run).")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    threads: ThreadsOption = None,
    batches: Annotated[str, typer.Option(help="Batch sizes to compute.")] = "1,2,4,8",
    max_batch: Annotated[
        int, typer.Option(min=1, help="No batch is planned larger than this.")
    ] = 32,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory for one batch's weights and activations, as in 2GiB "
            "(default: half of what is free); bounds the batch size."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=3, help="How often each batch size is computed.")] = 7,
    limit_s: Annotated[
        float, typer.Option(min=0, help="Begin no new round after this many seconds.")
    ] = 45.0,
    cold: Annotated[bool, typer.Option(help="Measure loads from the disk too.")] = True,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the profile only.")] = False,
) -> None:
    """Measure loads and forwards on this machine, fit lines, and save them for `problem`."""
    from trunkline.errors import InputError
    from trunkline.units import parse_bytes

    sizes = _batches(batches)
    memory_bytes = None if memory is None else parse_bytes(memory)
    if memory_bytes == 0:
        raise InputError("--memory: 0 bytes hold no model")
    there = open_store(store)
    compute_on(threads)
    from trunkline.runtime.measure import Settings, measure

    settings = Settings(sizes, rounds, limit_s, memory_bytes, max_batch, cold)
    with _progress() as tell:
        found = measure(there, _names(models), device, settings, tell)
    if output:
        found.save(output)
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, console())
        if output:
            console().print(f"profile: {output}", markup=False, highlight=False)


def _batches(text: str) -> tuple[int, ...]:
    from trunkline.errors import InputError

    try:
        sizes = sorted({int(one) for one in text.split(",")})
    except ValueError:
        sizes = []
    if not sizes or sizes[0] < 1 or sizes[-1] > 4096:
        raise InputError(f"--batches {text!r:.60}: whole numbers from 1 to 4096, as in 1,2,4,8")
    return tuple(sizes)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    out = Console(stderr=True)
    if not out.is_terminal:
        yield None
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), console=out, transient=True
    ) as bar:
        task = bar.add_task("measuring", total=1)
        yield lambda what, done, of: bar.update(
            task, description=what, completed=done, total=max(of, 1)
        )


def _print(found: Profile, out: Console) -> None:
    from rich.table import Table

    machine = ", ".join(f"{name} {value}" for name, value in found.machine.items())
    out.print(f"{found.device}: {machine}", markup=False, highlight=False)
    loads = Table(title="loading: V(bytes) = overhead + bytes / rate", title_justify="left")
    for name in ("page cache", "overhead", "rate GB/s", "median error", "loads", "sizes"):
        loads.add_column(name, justify="left" if name == "page cache" else "right")
    for name, fit in (("warm", found.warm), ("cold", found.cold)):
        if fit is not None:
            loads.add_row(name, *_loading_cells(fit))
    out.print(loads)
    table = Table(
        title="computing: beta + mu x tasks, right after a switch; one measurement for all models "
        "of an architecture",
        title_justify="left",
    )
    for name in ("architecture", "beta", "mu", "median error", "seconds by batch", "peak by batch"):
        table.add_column(name, justify="left" if name == "architecture" else "right")
    for one in found.computing:
        table.add_row(
            one.label,
            seconds(one.seconds_per_batch),
            seconds(one.seconds_per_task),
            f"{one.median_relative_error:.1%}",
            "\n".join(f"{batch}: {seconds(value)}" for batch, value in one.seconds.items()),
            "\n".join(f"{batch}: {size(value)}" for batch, value in one.peak_bytes.items()),
            end_section=True,
        )
    out.print(table)
    limit = f"weights and activations within {size(found.memory_bytes)}"
    out.print(f"batches: up to {found.largest_batch} tasks, {limit}", highlight=False)
    for note in found.notes:
        out.print(f"note: {note}", markup=False, highlight=False)


def _loading_cells(fit: LoadingFit) -> tuple[str, ...]:
    return (
        seconds(fit.stage.overhead_s),
        f"{fit.stage.bytes_per_s / 1e9:.2f}",
        f"{fit.median_relative_error:.1%}",
        str(fit.loads),
        f"{size(fit.smallest_bytes)} - {size(fit.largest_bytes)}",
    )
