"""`trunkline list`: the models in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import StoreOption, open_store
from trunkline.cli.output import console, print_json, size

if TYPE_CHECKING:
    from trunkline.store import Store


def list_(
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the models: their size, what of it no other model has, and what builds them."""
    opened = open_store(store)
    rows = _rows(opened)
    distinct = _distinct(opened)
    if as_json:
        print_json({"store": str(opened.path), "models": rows, "distinct_bytes": distinct})
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for title in ("model", "size", "own", "blocks", "architecture"):
        table.add_column(title, justify="right" if title in ("size", "own", "blocks") else "left")
    for row in rows:
        table.add_row(
            escape(row["name"]),
            size(row["bytes"]),
            size(row["own_bytes"]),
            str(row["blocks"]),
            escape(row["architecture"] or "-"),
        )
    out = console()
    if rows:
        out.print(table)
    whole = sum(row["bytes"] for row in rows)
    out.print(
        f"{len(rows)} models, {size(whole)} one by one, {size(distinct)} of distinct blocks",
        highlight=False,
    )


def _rows(store: Store) -> list[dict[str, Any]]:
    models = [store.model(name) for name in store.names()]
    holders: dict[str, int] = {}
    for model in models:
        for block in model.blocks:
            holders[block.digest] = holders.get(block.digest, 0) + 1
    return [
        {
            "name": model.name,
            "bytes": model.bytes,
            "own_bytes": sum(b.bytes for b in model.blocks if holders[b.digest] == 1),
            "blocks": len(model.blocks),
            "architecture": model.architecture.label if model.architecture else None,
            "architecture_key": model.architecture.key if model.architecture else None,
            "input": model.input.to_dict() if model.input else None,
            "digest": model.digest,
        }
        for model in models
    ]


def _distinct(store: Store) -> int:
    blocks = {b.digest: b.bytes for name in store.names() for b in store.model(name).blocks}
    return sum(blocks.values())
