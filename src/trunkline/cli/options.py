"""Options that several commands share, and what an option may be."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.documents import MAX_NUMBER
from trunkline.errors import InputError
from trunkline.units import shorten

if TYPE_CHECKING:
    from trunkline.store import Store

DEFAULT_STORE = "~/.local/share/trunkline/store"

THREADS_A_PROCESSOR = 4
"""PyTorch gains nothing from more threads than processors, and thousands of them end it."""

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

CopyOption = Annotated[
    bool,
    typer.Option(
        "--copy",
        help="Copy weights into the process's memory. Else, on a CPU, large blocks are used in the "
        "pages that the system keeps of their files. Measure and run with the same.",
    ),
]

InsecureOption = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Plain HTTP in place of TLS: whoever is on the way may read and change everything, "
        "credentials too.",
    ),
]


def number(
    least: float = 0.0, most: float = MAX_NUMBER, below: float = math.inf
) -> Callable[[str | float], float]:
    """What reads a number of at least `least`, at most `most` and below `below`, for a
    `typer.Option(parser=...)`. Infinities and NaN are none."""

    def read(given: str | float) -> float:
        try:
            value = float(given)
        except (ValueError, OverflowError):
            value = math.nan
        if not (least <= value <= most and value < below):  # NaN is neither
            end = f"at most {most:g}" if below > most else f"below {below:g}"
            raise typer.BadParameter(
                f"a number of at least {least:g} and {end}, got {shorten(str(given), 40)!r}"
            )
        return value

    return read


def names(text: str | None) -> list[str] | None:
    """The names in a list separated by commas, each once; None of None (InputError: no name)."""
    if text is None:
        return None
    found = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not found:
        raise InputError(f"--models {shorten(text)!r}: names no model")
    return found


def compute_on(threads: int | None) -> None:
    """Import PyTorch, set up for loads between forwards, computing on so many threads.

    Raises:
        InputError: far more threads than there are processors.
    """
    most = THREADS_A_PROCESSOR * (os.cpu_count() or 1)
    if threads is not None and threads > most:
        raise InputError(
            f"--threads {shorten(str(threads), 40)}: at most {most}, "
            f"{THREADS_A_PROCESSOR} for each processor of this machine"
        )
    from trunkline.runtime.threads import spin_briefly

    spin_briefly()  # before torch is imported
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def open_store(path: Path | None, *, create: bool = False) -> Store:
    """The store at `path` (or the default place), made if `create`."""
    from trunkline.store import Store

    return Store.open((path or Path(DEFAULT_STORE)).expanduser(), create=create)
