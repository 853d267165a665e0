"""`trunkline list`: the models in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import StoreOption, open_store
from trunkline.cli.output import console, plain_table, print_json, say, shown, size, visible
from trunkline.units import count, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from trunkline.store import Inventory


def list_(
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the models: their size, what of it no other model has, and what builds them."""
    from trunkline.store import library_of

    opened = open_store(store)
    found = opened.inventory()
    rows, distinct = _rows(found), library_of(found.models).distinct_bytes
    if as_json:
        damaged = {name: str(error) for name, error in found.damaged.items()}
        print_json(
            {
                "store": str(opened.path),
                "models": rows,
                "distinct_bytes": int(distinct),
                "damaged": damaged,
            }
        )
        return
    out = console()
    if rows:
        table = plain_table(
            "", "model", "size", "own", "blocks", "built by", left=("model", "built by")
        )
        for row in rows:
            table.add_row(
                shown(shorten(row["name"], 128)),
                size(row["bytes"]),
                size(row["own_bytes"]),
                str(row["blocks"]),
                shown(_built_by(row["architecture"])),
            )
        out.print(table)
    whole = sum(row["bytes"] for row in rows)
    say(
        out,
        f"{count(len(rows), 'model')}, {size(whole)} one by one, {size(distinct)} of distinct "
        "blocks",
    )
    tell_damaged(out, found.damaged)


def tell_damaged(out: Console, damaged: Mapping[str, Exception]) -> None:
    """Name the models that cannot be read, and the command that tells more."""
    if damaged:
        names = ", ".join(visible(shorten(name)) for name in damaged)
        say(
            out,
            f"damaged and left out: {names} (`trunkline verify` tells what is wrong and how to "
            "mend it)",
        )


def _built_by(label: str | None) -> str:
    """Without the package, which would fill the line (`--json` has it)."""
    return "-" if label is None else label.partition(":")[2] or label


def _rows(found: Inventory) -> list[dict[str, Any]]:
    holders: dict[str, int] = {}
    for model in found.models:
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
        for model in found.models
    ]
