"""Who shares what: a matrix of shared bytes and, beside it, the blocks each model is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trunkline.library import Component, ModelLibrary
from trunkline.pictures.figure import OWN, SHARED, new_figure, plain, save
from trunkline.units import count, shorten, size, unit_of_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_NAMED = 120
"""With more models than this, each component has one label instead of each model."""

LONGEST_NAME = 40


def draw_sharing(path: str | Path, library: ModelLibrary) -> Path:
    """Draw a library: left, the share of each model's bytes (row) that another one (column) holds
    too; right, each model's bytes as a column, pieces held by several models drawn as one piece
    across them. Returns the path written."""
    orders = [model_order(component) for component in library.components]
    order = [i for component in orders for i in component]
    side, font = _side_and_font(len(order))
    labels = _labels(library, orders)
    room = 0.075 * max((len(text) for _, text in labels), default=0)
    figure = new_figure(2 * side + room + 2.2, side + room + 0.7)
    left, right = figure.subplots(1, 2)
    if order:
        _draw_matrix(left, library, order)
    _draw_pieces(right, library, order)
    _draw_labels(left, right, labels, font)
    return save(figure, path)


def _side_and_font(models: int) -> tuple[float, float]:
    """The side of the matrix in inches, and the size of letters that its rows have room for."""
    if models > MAX_NAMED:
        return 8.0, 7.0
    return max(3.2, 0.17 * min(models, 48), 0.11 * models), 7.0 if models <= 60 else 5.5


def _labels(library: ModelLibrary, orders: list[list[int]]) -> list[tuple[float, str]]:
    """Places on the axes and what to write there: the models' names, or where there are too many,
    the components that are large enough to have room for a label."""
    total = sum(len(order) for order in orders)
    labels, start = [], 0
    for order in orders:
        names = [shorten(library.models[i].id, LONGEST_NAME) for i in order]
        if total <= MAX_NAMED:
            labels += [(float(start + k), plain(name)) for k, name in enumerate(names)]
        elif len(order) > total / MAX_NAMED:
            others = f" and {len(order) - 1} more" if len(order) > 1 else ""
            labels.append((start + (len(order) - 1) / 2, plain(min(names) + others)))
        start += len(order)
    return labels


def _draw_labels(left: Axes, right: Axes, labels: list[tuple[float, str]], size: float) -> None:
    places, texts = [place for place, _ in labels], [text for _, text in labels]
    for ax in (left, right):
        ax.set_xticks(places, texts, rotation=90, fontsize=size)
    left.set_yticks(places, texts, fontsize=size)


def model_order(component: Component) -> list[int]:
    """The component's models so that those that share stand together (post-order of its trie)."""
    trie = component.trie
    if trie is None:
        return list(component.models)
    return [model for position in trie.post_order for model in trie.nodes[position].models]


def _draw_matrix(ax: Axes, library: ModelLibrary, order: list[int]) -> None:
    from matplotlib.ticker import PercentFormatter

    matrix = library.sharing_matrix[np.ix_(order, order)]
    own = np.maximum(np.diag(matrix), 1e-300)[:, None]
    shown = np.where(matrix > 0, matrix / own, 0.0)
    image = ax.imshow(shown, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, shrink=0.8, format=PercentFormatter(1.0))
    ax.set_title("how much of a model (row)\nanother one (column) holds", fontsize=10, loc="left")


def _draw_pieces(ax: Axes, library: ModelLibrary, order: list[int]) -> None:
    unit, scale = unit_of_size(max(library.model_bytes, default=0.0))
    column = {model: x for x, model in enumerate(order)}
    height = dict.fromkeys(order, 0.0)
    for group in sorted(library.merged, key=lambda g: (-len(g.models), g.models)):
        colour = SHARED if len(group.models) > 1 else OWN
        for run in _runs(sorted(column[m] for m in group.models), order, height):
            bottom = height[order[run[0]]]
            ax.bar(
                (run[0] + run[-1]) / 2,
                group.bytes / scale,
                bottom=bottom / scale,
                width=run[-1] - run[0] + 0.9,
                color=colour,
                edgecolor="white",
                linewidth=0.4,
            )
            for x in run:
                height[order[x]] += group.bytes
    whole, distinct = sum(library.model_bytes), library.distinct_bytes
    ax.set_title(
        f"{count(len(order), 'model')}: {size(whole)} as whole files,\n{size(distinct)} with each "
        "block kept once",
        fontsize=10,
        loc="left",
    )
    ax.set_ylabel(f"{unit} (blue: held by several models)")
    ax.set_xlim(-0.6, max(len(order), 1) - 0.4)


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
