"""A network around EUA's stations, which the data set does not have: stations hang on hubs.

Hubs stand at stations that are far from one another; each station has a link to the nearest hub and
one to its nearest neighbour, hubs have links to one another and to the data centre.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Final

import numpy as np

from trunkline.experiments.pulling.eua import Points, distances_m, stations
from trunkline.experiments.pulling.preset import NetworkPart
from trunkline.pulling.network import NetworkLink

CENTRE: Final = "data-centre"

FIBRE_M_PER_S: Final = 2e8
"""The speed of light in glass."""


def station_name(number: int) -> str:
    """The id of a station's node."""
    return f"s{number}"


def hub_name(number: int) -> str:
    """The id of a hub's node."""
    return f"hub{number}"


@cache
def hub_places(hubs: int) -> Points:
    """Where the hubs stand: the first at the station nearest to the middle, each further one at the
    station that is farthest from all before (as many as there are stations at most)."""
    _, places = stations()
    chosen = [int(np.linalg.norm(places, axis=1).argmin())]
    while len(chosen) < min(hubs, len(places)):
        nearest = distances_m(places, places[chosen]).min(axis=1)
        chosen.append(int(nearest.argmax()))
    return places[chosen]


@cache
def station_links(network: NetworkPart) -> tuple[NetworkLink, ...]:
    """All links of the network."""
    _, places = stations()
    hubs = hub_places(network.hubs)
    to_hub, apart = distances_m(places, hubs), distances_m(places, places)
    np.fill_diagonal(apart, np.inf)
    rate = network.station_bytes_per_s
    found = {}
    for n in range(len(places)):
        hub, neighbour = int(to_hub[n].argmin()), int(apart[n].argmin())
        pair = (station_name(min(n, neighbour)), station_name(max(n, neighbour)))
        found[station_name(n), hub_name(hub)] = (_latency_s(network, to_hub[n, hub]), rate)
        found[pair] = (_latency_s(network, apart[n, neighbour]), rate)
    between = distances_m(hubs, hubs)
    for one, other in combinations(range(len(hubs)), 2):
        latency_s = _latency_s(network, between[one, other])
        found[hub_name(one), hub_name(other)] = (latency_s, network.hub_bytes_per_s)
    for n in range(len(hubs)):
        found[hub_name(n), CENTRE] = (network.centre_latency_s, network.centre_bytes_per_s)
    return tuple(NetworkLink(ends, *values) for ends, values in found.items())


def _latency_s(network: NetworkPart, distance_m: float) -> float:
    return network.hop_latency_s + float(distance_m) / FIBRE_M_PER_S
