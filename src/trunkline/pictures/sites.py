"""A map of the sites: who pulls what, from where, and the bytes that sharing saves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.pictures.figure import LOAD, OWN, SHARED, new_figure, plain, save
from trunkline.pulling.traffic import SiteTraffic
from trunkline.units import count, shorten, size, unit_of_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 30
"""With more sites, only those that would pull most have a bar."""

MOST_NAMED = 40
"""With more sites, only those with a bar are named on the map."""

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
    centre: str = "data centre"


def draw_sites(
    path: str | Path, title: str, sites: Sequence[SiteTraffic], geography: Geography | None = None
) -> Path:
    """Draw what a plan moves: left the map, with an arrow from where blocks come to where they go
    (its width grows with the bytes) and at each site how many requests it serves; right the bytes
    pulled to each site, and saved there because blocks are shared or resident.

    Without positions for all sites they stand on a circle around the data centre. Blocks whose
    source is not known come from there.

    Returns the path written (InputError if it cannot be).
    """
    where = _placed(sites, geography)
    shown = sorted(sites, key=lambda one: (-one.whole_bytes, -one.pulled_bytes, one.site))
    shown = [one for one in shown if one.whole_bytes or one.pulled_bytes][:MOST_BARS]
    figure = new_figure(14.5, max(7.0, 2.0 + 0.24 * len(shown)))
    left, right = figure.subplots(1, 2, width_ratios=[1.45, 1.0])
    named = {one.site for one in (sites if len(sites) <= MOST_NAMED else shown[:12])}
    _draw_map(left, sites, where, named)
    _draw_bars(right, shown, len(sites))
    figure.suptitle(plain(title), fontsize=11, x=0.01, ha="left")
    return save(figure, path)


def _placed(sites: Sequence[SiteTraffic], geography: Geography | None) -> Geography:
    """The geography with a place for every site and the data centre."""
    if geography is None or any(one.site not in geography.positions for one in sites):
        step = 2 * math.pi / max(len(sites), 1)
        places = {one.site: (math.cos(n * step), math.sin(n * step)) for n, one in enumerate(sites)}
        known = geography or Geography({})
        return Geography(places | {known.centre: (0.0, 0.0)}, known.links, known.centre)
    if geography.centre in geography.positions or not geography.positions:
        return geography
    xs, ys = zip(*geography.positions.values(), strict=True)
    width = max(max(xs) - min(xs), max(ys) - min(ys)) or 1.0
    outside = (min(xs) - 0.2 * width, (max(ys) + min(ys)) / 2)
    places = dict(geography.positions) | {geography.centre: outside}
    return Geography(places, geography.links, geography.centre)


def _draw_map(ax: Axes, sites: Sequence[SiteTraffic], where: Geography, named: set[str]) -> None:
    places = where.positions
    for one, other in where.links:
        if one in places and other in places:
            xs, ys = zip(places[one], places[other], strict=True)
            ax.plot(xs, ys, color="#e4e4e4", linewidth=0.7, zorder=1)
    _draw_arrows(ax, sites, where)
    crowd = 1.0 if len(sites) <= 20 else 0.6 if len(sites) <= 60 else 0.42
    for site in sites:
        x, y = places[site.site]
        used = site.requests > 0
        dot = (90 + 150 * used) * crowd
        colour = SHARED if used else OWN
        ax.scatter([x], [y], s=dot, color=colour, edgecolor="white", linewidth=0.6, zorder=3)
        if used:
            text = str(site.requests)
            ax.text(x, y, text, ha="center", va="center", fontsize=9 * crowd**0.7, zorder=4)
        if site.site in named:
            _name(ax, (x, y), shorten(site.site, 16), 8 if len(sites) <= 20 else 6.5, crowd)
    x, y = places[where.centre]
    ax.scatter([x], [y], marker="s", s=260, color="#444444", zorder=3)
    _name(ax, (x, y), shorten(where.centre, 24), 9, 1.2)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.09)
    ax.set_axis_off()
    used_sites = sum(site.requests > 0 for site in sites)
    ax.set_title(
        f"{used_sites} of {count(len(sites), 'site')} serve requests (how many: in the circle); "
        "arrows: pulled from there",
        fontsize=9,
        loc="left",
    )


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


def _draw_arrows(ax: Axes, sites: Sequence[SiteTraffic], where: Geography) -> None:
    moved = [
        (source if source and source in where.positions else where.centre, site.site, moved_bytes)
        for site in sites
        for source, moved_bytes in site.sources.items()
        if moved_bytes > 0
    ]
    most = max((moved_bytes for _, _, moved_bytes in moved), default=1.0)
    for source, target, moved_bytes in sorted(moved, key=lambda one: -one[2]):
        from_site = source != where.centre
        ax.annotate(
            "",
            xy=where.positions[target],
            xytext=where.positions[source],
            arrowprops={
                "arrowstyle": "-|>",
                "color": "#3a9d5d" if from_site else LOAD,
                "linewidth": 0.5 + 2.5 * moved_bytes / most,
                "alpha": 0.8 if len(moved) <= 40 else 0.45,
                "shrinkA": 6,
                "shrinkB": 6,
                "connectionstyle": "arc3,rad=0.12",
            },
            zorder=2,
        )


def _draw_bars(ax: Axes, shown: Sequence[SiteTraffic], sites: int) -> None:
    unit, scale = unit_of_size(max((one.whole_bytes for one in shown), default=0.0))
    places = range(len(shown))
    pulled = [one.pulled_bytes / scale for one in shown]
    saved = [max(one.saved_bytes, 0.0) / scale for one in shown]
    ax.barh(places, pulled, color=LOAD, label="pulled")
    ax.barh(places, saved, left=pulled, color=OWN, label="saved: shared or resident")
    for place, one in zip(places, shown, strict=True):
        names = shorten(", ".join(one.models), 44)
        end = max(one.whole_bytes, one.pulled_bytes) / scale
        ax.text(end, place, " " + plain(names), va="center", fontsize=6.5, clip_on=True)
    ax.set_yticks(places, [plain(shorten(one.site, 16)) for one in shown], fontsize=7)
    ax.invert_yaxis()
    longest = max((max(one.whole_bytes, one.pulled_bytes) for one in shown), default=1.0) / scale
    ax.set_xlim(0, 1.75 * longest if longest > 0 else 1)
    ax.set_xlabel(f"{unit} (beside the bars: the models)", fontsize=9)
    less = f", the {len(shown)} largest of {count(sites, 'site')}" if sites > len(shown) else ""
    ax.set_title(f"bytes by site{less}", fontsize=9, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    if shown:
        ax.legend(fontsize=8, loc="lower right")


def summary(sites: Sequence[SiteTraffic]) -> str:
    """What is pulled and what is saved, over all sites, in a few words."""
    pulled = math.fsum(one.pulled_bytes for one in sites)
    whole = math.fsum(one.whole_bytes for one in sites)
    if not whole:
        return f"{size(pulled)} pulled"
    saved = (whole - pulled) / whole
    return f"{size(pulled)} pulled where whole models are {size(whole)} ({saved:.0%} saved)"
