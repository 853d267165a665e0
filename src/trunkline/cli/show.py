"""`trunkline show`: who shares what, in a problem document or in the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import StoreOption
from trunkline.cli.output import console, print_json, shown, size

if TYPE_CHECKING:
    from rich.console import Console
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
    library = _library(document, store)
    if picture:
        from trunkline.pictures import draw_sharing

        draw_sharing(picture, library)
    if as_json:
        print_json(_as_document(library))
        return
    out = console()
    _print(library, out)
    if picture:
        out.print(f"picture: {picture}", markup=False, highlight=False)


def _library(document: Path | None, store: Path | None) -> ModelLibrary:
    if document is not None:
        import trunkline

        return trunkline.load(document).library
    from trunkline.cli.options import open_store

    return open_store(store).library()


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
    out.print(
        f"{len(library)} models, {size(whole)} one by one, {size(distinct)} of distinct blocks "
        f"({saved:.0%} shared); {len(library.components)} components",
        highlight=False,
    )
    for component in library.components:
        out.print(_tree(library, component))
    if 1 < len(library) <= MAX_MATRIX:
        out.print(_matrix(library))


def _tree(library: ModelLibrary, component: Component) -> Tree:
    """The component as a tree: its trie, or its models with what each shares."""
    from rich.tree import Tree

    kind = _kind(component)
    if kind == "alone":
        (index,) = component.models
        name, own = shown(library.models[index].id), size(library.model_bytes[index])
        return Tree(f"[bold]{name}[/bold]: {own}, shares nothing", highlight=False)
    root = Tree(f"{len(component.models)} models, {kind} sharing", highlight=False)
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
        label = f"{size(node.bytes)} in {_blocks(len(node.blocks))}" if node.blocks else "nothing"
        branches.append(above.add(f"{label}: [bold]{names}[/bold]" if names else f"{label} shared"))
    return root


def _blocks(count: int) -> str:
    return "1 block" if count == 1 else f"{count} blocks"


def _matrix(library: ModelLibrary) -> Any:
    from rich.table import Table

    table = Table(title="bytes in common [MB]", title_justify="left")
    table.add_column("")
    for i in range(len(library)):
        table.add_column(str(i + 1), justify="right")
    for i, model in enumerate(library):
        row = (f"{value / 1e6:.3g}" for value in library.sharing_matrix[i])
        table.add_row(f"{i + 1} {shown(model.id)}", *row)
    return table
