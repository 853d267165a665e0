"""The EUA data set: 125 base stations and 816 users in Melbourne's central business district.

Shipped in `experiments/data/eua` with its licence (MIT, Swin Edge): the stations are those of one
operator as registered, the users were generated around them by the data set's authors.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

FOLDER: Final = Path(__file__).parent.parent / "data" / "eua"

EARTH_M: Final = 6_371_000.0
"""The mean radius of the Earth."""

Points = NDArray[np.float64]
"""Shape (n, 2): metres east and north of the stations' mean."""


@cache
def stations() -> tuple[tuple[str, ...], Points]:
    """The ids of the base stations, in the file's order, and where they are."""
    rows = _rows("site-optus-melbCBD.csv")
    degrees = np.array([(float(row["LATITUDE"]), float(row["LONGITUDE"])) for row in rows])
    return tuple(row["SITE_ID"] for row in rows), _metres(degrees, _centre(degrees))


@cache
def users() -> Points:
    """Where the users are."""
    sites = _rows("site-optus-melbCBD.csv")
    centre = _centre(np.array([(float(row["LATITUDE"]), float(row["LONGITUDE"])) for row in sites]))
    rows = _rows("users-melbcbd-generated.csv")
    degrees = np.array([(float(row["Latitude"]), float(row["Longitude"])) for row in rows])
    return _metres(degrees, centre)


def distances_m(one: Points, other: Points) -> NDArray[np.float64]:
    """The distances between two lists of points, shape (len(one), len(other))."""
    return np.asarray(np.linalg.norm(one[:, None, :] - other[None, :, :], axis=2))


def _metres(degrees: Points, centre: Points) -> Points:
    """Latitude and longitude as metres east and north of a centre (a plane is near enough for a
    few kilometres)."""
    north, east = np.radians(degrees - centre).T * EARTH_M
    return np.stack([east * np.cos(np.radians(centre[0])), north], axis=1)


def _centre(degrees: Points) -> Points:
    return np.asarray(degrees.mean(axis=0))


def _rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
