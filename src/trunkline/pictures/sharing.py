"""Who shares what: a matrix of shared bytes and, beside it, the blocks each model is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trunkline.library import Component, ModelLibrary
from trunkline.pictures.figure import OWN, SHARED, new_figure, plain, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LABELS = 40
"""With more models than this the axes carry no names."""


def draw_sharing(path: str | Path, library: ModelLibrary) -> Path:
    """Draw a library: left, the share of each model's bytes (row) that another one (column) holds
    too; right, each model's bytes as a column, pieces held by several models drawn as one piece
    across them. Returns the path written."""
    order = [i for component in library.components for i in model_order(component)]
    side = min(9.0, max(4.5, 0.17 * len(order) + 2.5))
    figure = new_figure(2.15 * side, side)
    left, right = figure.subplots(1, 2)
    if order:
        _draw_matrix(left, library, order)
    _draw_pieces(right, library, order)
    return save(figure, path)


def model_order(component: Component) -> list[int]:
    """The component's models so that those that share stand together (post-order of its trie)."""
    trie = component.trie
    if trie is None:
        return list(component.models)
    return [model for position in trie.post_order for model in trie.nodes[position].models]


def _draw_matrix(ax: Axes, library: ModelLibrary, order: list[int]) -> None:
    matrix = library.sharing_matrix[np.ix_(order, order)]
    own = np.maximum(np.diag(matrix), 1e-300)[:, None]
    shown = np.where(matrix > 0, matrix / own, 0.0)
    image = ax.imshow(shown, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, shrink=0.8, label="share of the row's bytes")
    names = [plain(library.models[i].id) for i in order]
    if len(order) <= MAX_LABELS:
        ax.set_xticks(range(len(order)), names, rotation=90, fontsize=7)
        ax.set_yticks(range(len(order)), names, fontsize=7)
    else:
        ax.set_xticks([])
        ax.set_yticks([])
    ax.set_title("share of a model (row) that another (column) holds", fontsize=10, loc="left")


def _draw_pieces(ax: Axes, library: ModelLibrary, order: list[int]) -> None:
    column = {model: x for x, model in enumerate(order)}
    height = dict.fromkeys(order, 0.0)
    for group in sorted(library.merged, key=lambda g: (-len(g.models), g.models)):
        colour = SHARED if len(group.models) > 1 else OWN
        for run in _runs(sorted(column[m] for m in group.models), order, height):
            bottom = height[order[run[0]]]
            ax.bar(
                (run[0] + run[-1]) / 2,
                group.bytes / 1e6,
                bottom=bottom / 1e6,
                width=run[-1] - run[0] + 0.9,
                color=colour,
                edgecolor="white",
                linewidth=0.4,
            )
            for x in run:
                height[order[x]] += group.bytes
    whole, distinct = sum(library.model_bytes), library.distinct_bytes
    ax.set_title(
        f"{len(order)} models: {whole / 1e6:,.1f} MB, distinct {distinct / 1e6:,.1f} MB",
        fontsize=10,
        loc="left",
    )
    ax.set_ylabel("MB (blue: held by several models)")
    ax.set_xlim(-0.6, len(order) - 0.4)
    if len(order) <= MAX_LABELS:
        names = [plain(library.models[i].id) for i in order]
        ax.set_xticks(range(len(order)), names, fontsize=7)
        ax.tick_params(axis="x", rotation=90)
    else:
        ax.set_xticks([])


def _runs(columns: list[int], order: list[int], height: dict[int, float]) -> list[list[int]]:
    """Neighbouring columns at equal height, as runs."""
    runs: list[list[int]] = []
    for x in columns:
        last = runs[-1][-1] if runs else None
        if last is not None and x == last + 1 and height[order[x]] == height[order[last]]:
            runs[-1].append(x)
        else:
            runs.append([x])
    return runs
