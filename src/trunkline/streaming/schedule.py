"""Plans from decisions: the speeds, times and energies of the users that are served."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trunkline.streaming.demands import Speeds
from trunkline.streaming.hull import energy, lower_hull_speeds, releases
from trunkline.streaming.pairs import Floats, Ints, Pairs, PairTable
from trunkline.streaming.plan import MulticastStream, ServedUser, StreamingPlan
from trunkline.streaming.problem import TOLERANCE
from trunkline.streaming.recursion import (
    arrivals,
    available,
    cumulative_bits,
    last_of_transfer,
    layer_finishes,
)
from trunkline.streaming.uniform_speed import uniform_speed


@dataclass(frozen=True, slots=True)
class Heard:
    """Rows that hear a multicast stream: its group, and D_l of the layers in it (0 of others)."""

    group: str
    own_bits: Floats
    arrived: Floats


def plan_of(
    table: PairTable,
    method: str,
    rows: Ints,
    shares: Floats,
    *,
    proven: bool,
    transfers: int | None = None,
    speeds: Speeds = "hull",
) -> StreamingPlan:
    """The plan that serves some pairs with given shares.

    Args:
        table: the pairs.
        method: what made the decisions.
        rows: the pairs served, one a user at most.
        shares: of those pairs, same order.
        proven: whether no plan serves more.
        transfers: as in `recursion.cumulative_bits`.
        speeds: how speeds are chosen.
    """
    served = serve(table, rows, shares, transfers=transfers, speeds=speeds)
    return make_plan(table, method, served, proven=proven)


def make_plan(
    table: PairTable,
    method: str,
    served: list[ServedUser],
    *,
    proven: bool,
    streams: tuple[MulticastStream, ...] = (),
) -> StreamingPlan:
    """A plan of served users, put in the problem's order."""
    place = table.problem.user_index
    users = tuple(sorted(served, key=lambda user: place[user.id]))
    return StreamingPlan(method, len(users), proven, 0.0, users, streams)


def serve(
    table: PairTable,
    rows: Ints,
    shares: Floats,
    *,
    transfers: int | None = None,
    speeds: Speeds = "hull",
    heard: Heard | None = None,
) -> list[ServedUser]:
    """The served users of some pairs; `heard` says what they have from a multicast stream."""
    if not len(rows):
        return []
    pairs = table.take(rows)
    bits = cumulative_bits(pairs.bits, pairs.layers, transfers)
    arrived = arrivals(bits, shares, pairs)
    if heard is not None:
        arrived = np.maximum(arrivals(heard.own_bits, shares, pairs), heard.arrived)
    ready = available(arrived, pairs.copy_s)
    frequency = _frequencies(pairs, ready, speeds)
    seconds = pairs.fixed_s + pairs.work / frequency
    finishes = layer_finishes(ready, seconds, pairs.ready_s)
    joules = pairs.eta * energy(pairs.work, frequency)
    last = last_of_transfer(pairs.layers, pairs.work.shape[1], transfers) if transfers else None
    ratios = frequency / pairs.hz[:, None]
    users = []
    for n, row in enumerate(rows.tolist()):
        user = table.problem.users[table.users[row]]
        count = int(pairs.layers[n])
        layers = tuple(finishes[n, :count].tolist())
        users.append(
            ServedUser(
                id=user.id,
                model=table.problem.models[table.models[row]].id,
                share=float(shares[n]),
                speeds=tuple(ratios[n, :count].tolist()),
                layer_finish_s=layers,
                finish_s=layers[-1] + user.tail_s,
                energy_j=user.fixed_j + float(joules[n]),
                transfers=None if last is None else _sizes(last[n, :count]),
                multicast=None if heard is None else heard.group,
            )
        )
    return users


def _frequencies(pairs: Pairs, ready: Floats, speeds: Speeds) -> Floats:
    """z_l f of every layer: the top frequency where the energy allows it, else as `speeds` says."""
    top = np.repeat(pairs.hz[:, None], pairs.work.shape[1], axis=1)
    if speeds == "uniform":
        return top * uniform_speed(pairs)[:, None]
    over = pairs.eta * energy(pairs.work, top) > pairs.energy_j * (1 + TOLERANCE)
    release, end = releases(ready, pairs)
    slopes = lower_hull_speeds(release[over], pairs.work[over], end[over])
    # Layers without work have no speed to choose; rounding may pass the top by a little.
    top[over] = np.where(slopes > 0, np.minimum(slopes, top[over]), top[over])
    return top


def _sizes(last: Ints) -> tuple[int, ...]:
    """How many layers each transfer has, from the last layer of every layer's transfer."""
    return tuple(np.unique(last, return_counts=True)[1].tolist())
