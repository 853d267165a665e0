"""`trunkline stream`: a model of a server, run on this device while it arrives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import StoreOption, ThreadsOption, compute_on, number, open_store
from trunkline.cli.output import (
    as_is,
    check_outputs,
    console,
    plain_table,
    print_json,
    say,
    seconds,
    shown,
    size,
    visible,
    write_files,
)
from trunkline.cli.serve import read_token
from trunkline.errors import InputError
from trunkline.units import count, decimals, unit_of_time

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from trunkline.device.client import Batch, MakeBatch
    from trunkline.device.report import StreamReport
    from trunkline.store import InputSpec


def stream(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The server: http://HOST:PORT (`trunkline serve`).")
    ],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its name there.")],
    given: Annotated[
        str,
        typer.Option(
            "--input",
            help="A safetensors file: one tensor with its batch dimension, or the forward's "
            "arguments by name; or 'generated'.",
        ),
    ] = "generated",
    seed: Annotated[int, typer.Option(min=0, help="Of a generated input.")] = 0,
    batch: Annotated[int, typer.Option(min=1, max=65536, help="Samples in a generated input.")] = 1,
    deadline_s: Annotated[
        float | None,
        typer.Option(
            parser=number(1e-6, 86400),
            metavar="S",
            help="When the output must be there, from now; a server that cannot keep it refuses.",
        ),
    ] = None,
    compute_s: Annotated[
        float | None,
        typer.Option(
            parser=number(0, 86400),
            metavar="S",
            help="What computing takes here, as an earlier report says; the server shares its "
            "link by it.",
        ),
    ] = None,
    download_first: Annotated[
        bool, typer.Option("--download-first", help="Compute when all is there, to compare.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="The model's name in the store (default: as there).")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let another model of that name give way.")
    ] = False,
    store: StoreOption = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    threads: ThreadsOption = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="The token that the server wants (default: $TRUNKLINE_TOKEN, or none)."),
    ] = None,
    silence_s: Annotated[
        float,
        typer.Option(
            parser=number(0.01, 3600),
            metavar="S",
            help="A server that sends nothing for so long is taken for gone, and asked again.",
        ),
    ] = 20.0,
    outputs: Annotated[
        Path | None, typer.Option(help="Write the output's tensors here (safetensors).")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw what came when and what computed when here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report only.")] = False,
) -> None:
    """Run a server's model on this device while it arrives; its blocks stay in the store."""
    file = None if given == "generated" else Path(given)
    check_outputs({"--outputs": outputs, "--picture": picture}, [file])
    token = read_token(token_file)
    compute_on(threads)
    from dataclasses import replace as changed

    from trunkline.device import StreamClient
    from trunkline.device.client import PATIENCE

    patience = changed(PATIENCE, read_s=silence_s)
    wanted = _batch_maker(seed, batch) if file is None else _read(file)
    opened = open_store(store, create=True)
    with StreamClient(url, opened, device=device, token=token, patience=patience) as client:
        done = client.infer(
            model,
            wanted,
            name=name,
            replace=replace,
            deadline_s=deadline_s,
            compute_s=compute_s,
            download_first=download_first,
        )
    if as_json:
        print_json(done.report.to_dict())
    else:
        _print(done.report, opened.path)
    write_files(
        None if as_json else console(),
        [
            ("outputs", outputs, lambda path: _save(path, done.output)),
            ("picture", picture, lambda path: _draw(path, done.report)),
        ],
    )


def _read(path: Path) -> Batch:
    """One tensor, or keyword arguments."""
    from trunkline.runtime.inputs import read_inputs

    tensors = read_inputs(path)
    if not tensors:
        raise InputError(f"inputs {path}: no tensor in it")
    return next(iter(tensors.values())) if len(tensors) == 1 else tensors


def _batch_maker(seed: int, samples: int) -> MakeBatch:
    def make(spec: InputSpec | None) -> torch.Tensor:
        if spec is None:
            raise InputError(
                "no input can be generated: the model was imported without one; give --input"
            )
        import torch

        from trunkline.runtime.inputs import generated

        return torch.stack([generated(spec, seed, str(row)) for row in range(samples)])

    return make


def _save(path: Path, output: Any) -> None:
    from trunkline.runtime.inputs import save_tensors

    found = _tensors(output)
    if not found:
        raise InputError(f"{path}: the model's output holds no tensor")
    save_tensors(path, {name: one.cpu().clone().contiguous() for name, one in found.items()})


def _tensors(output: Any, name: str = "") -> dict[str, torch.Tensor]:
    """The tensors of an output by name: `output` for one alone, else keys and places."""
    import torch

    if isinstance(output, torch.Tensor):
        return {name or "output": output}
    parts: dict[str, Any] = {}
    if isinstance(output, Mapping):
        parts = {str(key): value for key, value in output.items()}
    elif isinstance(output, (list, tuple)):
        parts = {str(place): value for place, value in enumerate(output)}
    found: dict[str, torch.Tensor] = {}
    for key, value in parts.items():
        found.update(_tensors(value, f"{name}.{key}" if name else key))
    return found


def _draw(path: Path, report: StreamReport) -> None:
    from trunkline.pictures.overlap import LayerBar, draw_overlap

    overlap = report.overlap
    bars = [
        LayerBar(
            layer.arrived_s if layer.sent_bytes else None,
            layer.asked_s,
            layer.started_s,
            layer.ended_s,
        )
        for layer in overlap.layers
    ]
    title = f"{report.model}: {size(report.received_bytes)}, {seconds(overlap.ended_s)}"
    draw_overlap(path, title, bars, overlap.download_first_s)


def _print(report: StreamReport, store: Path) -> None:
    """Layer by layer, and the sums."""
    out, run = console(), report.overlap
    if run.layers:
        out.print(_table(report))
    pace = report.rate_bytes_per_s
    granted = "" if pace is None else f", paced at {pace / 1e6:.3g} MB/s"
    say(
        out,
        f"{visible(report.model)}: {size(report.received_bytes)} received{granted}, "
        f"{size(report.held_bytes)} were here",
    )
    say(
        out,
        f"output after {seconds(run.ended_s)}; the recursion, fed with the arrivals and layer "
        f"times above, says {seconds(run.predicted_s)}",
    )
    say(
        out,
        f"{seconds(run.compute_s)} of computing, {seconds(run.waited_s)} of waiting for blocks "
        f"(recursion: {seconds(run.predicted_wait_s)}); to download first takes "
        f"{seconds(run.download_first_s)} by the same figures",
    )
    for line in _remarks(report):
        say(out, line)
    if report.not_kept:
        say(out, f"note: not in the store: {visible(report.not_kept)}")
    else:
        as_is(out, f"kept as {report.name} in {store}")


def _remarks(report: StreamReport) -> list[str]:
    lines, run = [], report.overlap
    if report.deadline_s is not None:
        how = "after" if report.late else "before"
        off_s = abs(run.ended_s - report.deadline_s)
        lines.append(f"{seconds(off_s)} {how} the deadline of {seconds(report.deadline_s)}")
    if report.cuts:
        lines.append(f"the connection broke {count(report.cuts, 'time')}, and went on from there")
    if run.unused:
        some = ", ".join(visible(one) for one in run.unused[:4])
        more = " and others" if len(run.unused) > 4 else ""
        lines.append(f"note: the forward did not use {some}{more}")
    if run.out_of_order:
        many = count(run.out_of_order, "layer")
        lines.append(
            f"note: {many} came before one that the forward uses earlier: the server knows another "
            "order of use, or none"
        )
    if report.learnt:
        lines.append("the order of use is noted here, for models of this architecture")
    return lines


def _table(report: StreamReport) -> Table:
    """A row a layer; times in one unit."""
    run = report.overlap
    unit, scale = unit_of_time(run.ended_s)
    digits = max(decimals(run.ended_s / scale), 1)
    table = plain_table(
        f"{count(len(run.layers), 'layer')} in the order of use, {unit}",
        *("layer", "kB", "arrived", "ready", "waited", "started", "ended"),
        left=("layer",),
    )
    for layer in run.layers:
        times = (
            layer.arrived_s,
            layer.ready_s,
            layer.waited_s,
            layer.started_s,
            layer.ended_s,
        )
        sent = f"{layer.sent_bytes / 1e3:,.1f}" if layer.sent_bytes else "here"
        table.add_row(shown(layer.name), sent, *(f"{time / scale:.{digits}f}" for time in times))
    return table
