"""`trunkline gc`: free what no model needs."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.options import StoreOption, open_store
from trunkline.cli.output import console, print_json, say, size
from trunkline.cli.progress import progress_bar
from trunkline.units import count


def gc(
    store: StoreOption = None,
    wait_s: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for running imports before giving up.")
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Remove the blobs that no model names, and what killed imports left behind."""
    opened = open_store(store)
    with progress_bar("gc", bytes_are_counted=False) as progress:
        report = opened.gc(progress, wait_s)
    if as_json:
        print_json(
            {"blobs": report.blobs, "bytes": report.bytes, "temporaries": report.temporaries}
        )
    else:
        say(
            console(),
            f"removed {count(report.blobs, 'blob')}, {size(report.bytes)}, and "
            f"{count(report.temporaries, 'temporary file')}",
        )
