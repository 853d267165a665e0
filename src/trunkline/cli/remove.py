"""`trunkline remove`: forget models."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.options import StoreOption, open_store
from trunkline.cli.output import as_is, console, visible


def remove(
    names: Annotated[list[str], typer.Argument(help="Models to forget.", show_default=False)],
    store: StoreOption = None,
) -> None:
    """Forget models; `trunkline gc` then frees the blocks that no other model has."""
    opened = open_store(store)
    there = set(opened.names())
    for name in names:  # all or none
        if name not in there:
            opened.model(name)
    for name in dict.fromkeys(names):
        opened.remove(name)
        as_is(console(), f"{visible(name)}: removed")
