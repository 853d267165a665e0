"""`trunkline show`: who shares what, in a problem document or in the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.list_ import tell_damaged
from trunkline.cli.options import StoreOption
from trunkline.cli.output import (
    check_outputs,
    console,
    plain_table,
    print_json,
    say,
    shown,
    size,
    write_files,
)
from trunkline.units import count, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.table import Table
    from rich.tree import Tree

    from trunkline.library import Component, ModelLibrary

MAX_MATRIX = 16
"""The sharing matrix is printed for at most this many models (`--picture` draws any number)."""


def show(
    document: Annotated[
        Path | None,
        typer.Argument(help="A problem document; left out, the store's models are shown."),
    ] = None,
    store: StoreOption = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the sharing here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show which models share which bytes: components, tries, and the sharing matrix."""
    check_outputs({"--picture": picture}, [document])
    library, damaged = _library(document, store)
    out = None if as_json else console()
    if out is None:
        left_out = {name: str(error) for name, error in damaged.items()}
        print_json(_as_document(library) | {"damaged": left_out})
    else:
        _print(library, out)
        tell_damaged(out, damaged)
    write_files(out, [("picture", picture, lambda path: _draw(path, library))])


def _draw(path: Path, library: ModelLibrary) -> None:
    from trunkline.pictures import draw_sharing

    draw_sharing(path, library)


def _library(
    document: Path | None, store: Path | None
) -> tuple[ModelLibrary, Mapping[str, Exception]]:
    """Who shares what; and which models of the store cannot be read, with the reason."""
    if document is not None:
        import trunkline
        from trunkline.loading import LoadingProblem

        return trunkline.load(document, LoadingProblem).library, {}
    from trunkline.cli.options import open_store
    from trunkline.store import library_of

    found = open_store(store).inventory()
    return library_of(found.models), found.damaged


def _as_document(library: ModelLibrary) -> dict[str, Any]:
    """The sharing as plain data: what the text says, for machines."""
    names = [model.id for model in library]
    return {
        "models": names,
        "model_bytes": list(library.model_bytes),
        "distinct_bytes": library.distinct_bytes,
        "shared_bytes": library.sharing_matrix.tolist(),
        "components": [
            {
                "models": [names[i] for i in component.models],
                "sharing": _kind(component),
                "blocks": [
                    {
                        "models": [names[i] for i in g.models],
                        "bytes": g.bytes,
                        "count": len(g.blocks),
                    }
                    for g in component.groups
                ],
            }
            for component in library.components
        ],
    }


def _kind(component: Component) -> str:
    if len(component.models) == 1:
        return "alone"
    return "prefix" if component.trie is not None else "scattered"


def _print(library: ModelLibrary, out: Console) -> None:
    whole, distinct = sum(library.model_bytes), library.distinct_bytes
    saved = 1 - distinct / whole if whole else 0.0
    say(
        out,
        f"{count(len(library), 'model')}, {size(whole)} one by one, {size(distinct)} of distinct "
        f"blocks ({saved:.0%} shared); {count(len(library.components), 'component')}",
    )
    for component in library.components:
        out.print(_tree(library, component))
    if 1 < len(library) <= MAX_MATRIX:
        matrix = _matrix(library)
        anywhere = out.options.update(max_width=10_000)
        if out.measure(matrix, options=anywhere).maximum <= out.width:
            out.print(matrix)
        else:
            say(out, "The table of bytes in common is wider than this terminal: see --picture.")


def _tree(library: ModelLibrary, component: Component) -> Tree:
    """The component as a tree: its trie, or its models with what each shares."""
    from rich.tree import Tree

    kind = _kind(component)
    if kind == "alone":
        (index,) = component.models
        name, own = shown(library.models[index].id), size(library.model_bytes[index])
        return Tree(f"[bold]{name}[/bold]: {own}, shares nothing", highlight=False)
    root = Tree(f"{count(len(component.models), 'model')}, {kind} sharing", highlight=False)
    trie = component.trie
    if trie is None:
        matrix = library.sharing_matrix
        for i in component.models:
            others = [j for j in component.models if j != i]
            best = max(others, key=lambda j: float(matrix[i, j]))
            most, mate = size(float(matrix[i, best])), shown(library.models[best].id)
            name, own = shown(library.models[i].id), size(library.model_bytes[i])
            root.add(f"[bold]{name}[/bold]: {own}, at most {most} of it shared with {mate}")
        return root
    branches: list[Tree] = []
    for node in trie.nodes:
        above = branches[node.parent] if node.parent >= 0 else root
        names = ", ".join(shown(library.models[i].id) for i in node.models)
        held = f"{size(node.bytes)} in {count(len(node.blocks), 'block')}"
        label = held if node.blocks else "nothing"
        branches.append(above.add(f"{label}: [bold]{names}[/bold]" if names else f"{label} shared"))
    return root


def _matrix(library: ModelLibrary) -> Table:
    numbers = (str(i + 1) for i in range(len(library)))
    table = plain_table("bytes in common [MB]", "", *numbers, left=("",))
    for i, model in enumerate(library):
        row = (f"{value / 1e6:.3g}" for value in library.sharing_matrix[i])
        table.add_row(f"{i + 1} {shown(shorten(model.id, 24))}", *row)
    return table
