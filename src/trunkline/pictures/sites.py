"""A map of the sites: who pulls what, from where, and the bytes that sharing saves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.pictures.figure import COMPUTE, LOAD, OWN, SHARED, new_figure, plain, save
from trunkline.pulling.flows import Flow
from trunkline.pulling.use import SiteUse
from trunkline.units import count, shorten, unit_of_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 30
"""With more sites, only those that would pull most have a bar."""

MOST_NAMED = 40
"""With more sites, only the `NAMED` that would pull most are named on the map."""

NAMED = 12

CENTRE = "data centre"

Position = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Geography:
    """Where things are.

    Attributes:
        positions: (x, y) by node; the scales of x and y are kept alike.
        links: pairs of nodes that a link joins.
        centre: id of the data centre.
    """

    positions: Mapping[str, Position]
    links: Sequence[tuple[str, str]] = ()
    centre: str = CENTRE


def draw_sites(
    path: str | Path,
    title: str,
    uses: Sequence[SiteUse],
    moved: Sequence[Flow],
    geography: Geography | None = None,
) -> Path:
    """Draw what a plan moves: left the map, with an arrow from where blocks come to where they go
    (its width grows with the bytes) and at each site how many requests it serves; right the bytes
    that come to each site, and those saved there since models share blocks.

    Without positions for all sites they stand on a circle around the data centre. Blocks whose
    source is not known come from there.

    Returns the path written (InputError if it cannot be).
    """
    where = _placed(uses, geography)
    shown = sorted(uses, key=lambda use: (-use.apart_bytes, -use.pulled_bytes, use.site.id))
    shown = [use for use in shown if use.apart_bytes or use.pulled_bytes][:MOST_BARS]
    figure = new_figure(16, max(6.5, 1.6 + 0.24 * len(shown)))
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1.0])
    few = len(uses) <= MOST_NAMED
    _draw_map(left, uses, moved, where, {use.site.id for use in (uses if few else shown[:NAMED])})
    _draw_bars(right, shown, len(uses))
    figure.suptitle(plain(title), fontsize=11, x=0.01, ha="left")
    return save(figure, path)


def _placed(uses: Sequence[SiteUse], geography: Geography | None) -> Geography:
    """The geography with a place for every site and the data centre."""
    if geography is None or any(use.site.id not in geography.positions for use in uses):
        step = 2 * math.pi / max(len(uses), 1)
        places = {
            use.site.id: (math.cos(n * step), math.sin(n * step)) for n, use in enumerate(uses)
        }
        centre = CENTRE if geography is None else geography.centre
        return Geography(places | {centre: (0.0, 0.0)}, (), centre)
    if geography.centre in geography.positions:
        return geography
    xs, ys = (
        zip(*geography.positions.values(), strict=True) if geography.positions else ((0,), (0,))
    )
    width = max(max(xs) - min(xs), max(ys) - min(ys)) or 1.0
    outside = (min(xs) - 0.2 * width, (max(ys) + min(ys)) / 2)
    places = dict(geography.positions) | {geography.centre: outside}
    return Geography(places, geography.links, geography.centre)


def _draw_map(
    ax: Axes, uses: Sequence[SiteUse], moved: Sequence[Flow], where: Geography, named: set[str]
) -> None:
    places = where.positions
    for one, other in where.links:
        if one in places and other in places:
            xs, ys = zip(places[one], places[other], strict=True)
            ax.plot(xs, ys, color="#e4e4e4", linewidth=0.7, zorder=1)
    _draw_arrows(ax, moved, where)
    crowd = 1.0 if len(uses) <= 20 else 0.6 if len(uses) <= 60 else 0.42
    for use in uses:
        _draw_site(ax, use, places[use.site.id], crowd)
        if use.site.id in named:
            font = 8.0 if len(uses) <= 20 else 6.5
            _name(ax, places[use.site.id], shorten(use.site.id, 16), font, crowd)
    x, y = places[where.centre]
    ax.scatter([x], [y], marker="s", s=260, color="#444444", zorder=3)
    _name(ax, (x, y), shorten(where.centre, 24), 9, 1.2)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.09)
    ax.set_axis_off()
    busy = sum(len(use.requests) > 0 for use in uses)
    text = f"{busy} of {count(len(uses), 'site')} serve requests (how many: in the circle)"
    ax.set_title(f"{text}; arrows: what is pulled", fontsize=9, loc="left")
    _explain(ax, all(flow.source is not None for flow in moved))


def _explain(ax: Axes, known: bool) -> None:
    """The colours of arrows; `known` says whether it is known where everything comes from."""
    from matplotlib.lines import Line2D

    centre = "from the data centre" if known else "from the data centre, or not known from where"
    meanings = ((LOAD, centre), (COMPUTE, "from a site that holds it"))
    handles = [Line2D([], [], color=colour, label=label) for colour, label in meanings]
    ax.legend(handles=handles, fontsize=8, loc="lower left", frameon=False)


def _draw_site(ax: Axes, use: SiteUse, place: Position, crowd: float) -> None:
    """A circle, with the number of its requests in it."""
    x, y = place
    busy = bool(use.requests)
    colour, area = (SHARED if busy else OWN), (90 + 150 * busy) * crowd
    ax.scatter([x], [y], s=area, color=colour, edgecolor="white", linewidth=0.6, zorder=3)
    if busy:
        font = 9 * crowd**0.7
        ax.text(x, y, str(len(use.requests)), ha="center", va="center", fontsize=font, zorder=4)


def _name(ax: Axes, place: Position, text: str, font: float, crowd: float) -> None:
    """A name below what stands at a place."""
    ax.annotate(
        plain(text),
        place,
        xytext=(0, -10 * max(crowd, 0.6)),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=font,
        zorder=5,
        bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.7, "linewidth": 0},
    )


def _draw_arrows(ax: Axes, moved: Sequence[Flow], where: Geography) -> None:
    most = max((flow.bytes for flow in moved), default=0.0) or 1.0
    for flow in sorted(moved, key=lambda flow: -flow.bytes):
        known = flow.source is not None and flow.source in where.positions
        source = flow.source if known and flow.source is not None else where.centre
        ax.annotate(
            "",
            xy=where.positions[flow.site],
            xytext=where.positions[source],
            arrowprops={
                "arrowstyle": "-|>",
                "color": LOAD if source == where.centre else COMPUTE,
                "linewidth": 0.5 + 2.5 * flow.bytes / most,
                "alpha": 0.8 if len(moved) <= 40 else 0.45,
                "shrinkA": 6,
                "shrinkB": 6,
                "connectionstyle": "arc3,rad=0.12",
            },
            zorder=2,
        )


def _listed(names: Sequence[str]) -> str:
    """As many names as there is room for, and how many more there are."""
    room, shown = 40, 0
    for name in names:
        room -= len(shorten(name, 30)) + 2
        if room < 0 and shown:
            break
        shown += 1
    more = f" and {len(names) - shown} more" if shown < len(names) else ""
    return ", ".join(shorten(name, 30) for name in names[:shown]) + more


def _draw_bars(ax: Axes, shown: Sequence[SiteUse], sites: int) -> None:
    lengths = [max(use.apart_bytes, use.pulled_bytes) for use in shown]
    unit, scale = unit_of_size(max(lengths, default=0.0))
    places = range(len(shown))
    pulled = [use.pulled_bytes / scale for use in shown]
    ax.barh(places, pulled, color=LOAD, label="pulled")
    saved = [use.saved_bytes / scale for use in shown]
    ax.barh(places, saved, left=pulled, color=OWN, label="saved: models share it")
    for place, use, length in zip(places, shown, lengths, strict=True):
        names = " " + plain(_listed(use.models))
        ax.text(length / scale, place, names, va="center", fontsize=6.5, clip_on=True)
    ax.set_yticks(places, [plain(shorten(use.site.id, 16)) for use in shown], fontsize=7)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.75 * max(lengths, default=0.0) / scale or 1.0)
    ax.set_xlabel(f"{unit} (beside the bars: the models)", fontsize=9)
    which = "those that pull most" if len(shown) == MOST_BARS else "those that pull"
    ax.set_title(f"{len(shown)} of {count(sites, 'site')}: {which}", fontsize=9, loc="left")
    ax.margins(y=0.01)
    ax.spines[["top", "right"]].set_visible(False)
    if shown:
        ax.legend(fontsize=8, loc="lower right")
