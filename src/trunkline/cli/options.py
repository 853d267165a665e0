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


def open_store(path: Path | None, *, create: bool = False) -> Store:
    """The store at `path` (or the default place), made if `create`."""
    from trunkline.store import Store

    return Store.open((path or Path(DEFAULT_STORE)).expanduser(), create=create)
