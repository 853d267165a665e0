"""Who is served, with which model: optimal for static shares where all users count the same.

A user that is served costs its share and counts one, so its model of least share is the best one,
and of any plan the served users can be exchanged for as many with the least shares: serving the
users of least shares until the band is full serves the most (an exchange argument; derived). With
resource blocks costs are whole numbers, and the same holds. A downlink that is divided in time
instead can serve more.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from trunkline.streaming.pairs import Floats, Ints, PairTable
from trunkline.streaming.problem import TOLERANCE, StreamingProblem


def provision(table: PairTable, shares: Floats) -> Ints:
    """The row of each user's model of least share, for users that can be served at all.

    Of models of one share that of the higher accuracy, then of the fewer bits, then of the first
    id.
    """
    models = table.problem.models
    accuracy = np.array([model.accuracy for model in models])
    names = ranks(model.id for model in models)
    rows = np.flatnonzero(shares <= 1 + TOLERANCE)
    of = table.models[rows]
    keys = (names[of], table.missing_bits[rows], -accuracy[of], shares[rows], table.users[rows])
    rows = rows[np.lexsort(keys)]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = table.users[rows][1:] != table.users[rows][:-1]
    return rows[first]


def by_share(table: PairTable, shares: Floats, rows: Ints) -> Ints:
    """Rows by their share, the least first; of one share by the user's id."""
    names = ranks(user.id for user in table.problem.users)
    return rows[np.lexsort((names[table.users[rows]], shares[rows]))]


def admit(table: PairTable, shares: Floats) -> Ints:
    """The rows of the most users whose shares fit into the band together."""
    rows = by_share(table, shares, provision(table, shares))
    return rows[: fitting(shares[rows])]


def fitting(costs: Floats) -> int:
    """How many of the costs, from the first on, sum to at most 1."""
    return int(np.searchsorted(np.cumsum(costs), 1 + TOLERANCE, side="right"))


def ranks(names: Iterable[str]) -> Ints:
    """The place of each name among the sorted names."""
    listed = list(names)
    order = sorted(range(len(listed)), key=listed.__getitem__)
    places = np.empty(len(listed), dtype=np.intp)
    places[order] = np.arange(len(listed))
    return places


def is_whole(problem: StreamingProblem, served: int) -> bool:
    """Whether everybody is served, so that no plan serves more."""
    return served == len(problem.users)
