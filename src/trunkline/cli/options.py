"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trunkline.store import Store

DEFAULT_STORE = "~/.local/share/trunkline/store"

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="TRUNKLINE_STORE",
        help=f"The store's folder (default {DEFAULT_STORE}).",
        show_default=False,
    ),
]


ThreadsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Threads that forwards compute on (default: PyTorch's choice). Measure and run with "
        "the same.",
    ),
]


def compute_on(threads: int | None) -> None:
    """Import PyTorch, set up for loads between forwards, computing on so many threads."""
    from trunkline.runtime.threads import spin_briefly

    spin_briefly()  # before torch is imported
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def open_store(path: Path | None, *, create: bool = False) -> Store:
    """The store at `path` (or the default place), made if `create`."""
    from trunkline.store import Store

    return Store.open((path or Path(DEFAULT_STORE)).expanduser(), create=create)
