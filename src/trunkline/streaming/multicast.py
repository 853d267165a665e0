"""Multicast of blocks that users of a group lack: a dynamic programme over groups (derived).

The stream of group g sends its blocks once, in order, with a share at a spectral efficiency R*, at
q* = share B R* bits per second. A user k can hear it if R_k >= R*. With a model of which layer l is
the stream's block at its bits M_l, it is in time if (with the terms of `shares`)

    q* >= q_ki = max over l in the stream of M_l / (Tbar - P - t0 - B_l),

and its other layers need a private share p_ki, by `shares` with only their own bits. The two
conditions are independent, so for every pair (q*, R*) of the group's own values the cheapest way to
serve n of its users is the n least costs, where a user costs

    min(y_k, min over i with q_ki <= q* of p_ki)  if R_k >= R*,  else y_k,

plus q*/(B R*) for the stream. c_g(n), the least of these over all pairs and over no stream, is not
convex in n, so groups are put together by a dynamic programme over the number of users served.
Exact for static shares among plans in which a group has one stream at most, and a user has all of
its blocks from there or none. A group of n users with m models each takes O(m n^3 log n): hundreds
of users, not thousands.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trunkline.errors import UnsupportedProblemError
from trunkline.streaming.admission import by_share, fitting, provision, ranks
from trunkline.streaming.demands import in_blocks
from trunkline.streaming.pairs import Bools, Floats, Ints, PairTable
from trunkline.streaming.plan import MulticastStream, ServedUser, StreamingPlan
from trunkline.streaming.problem import TOLERANCE, MulticastGroup, StreamingProblem
from trunkline.streaming.schedule import Heard, make_plan, serve
from trunkline.streaming.shares import least_share, possible, seconds_after_arrival


def with_multicast(table: PairTable, shares: Floats) -> StreamingPlan:
    """The plan that serves the most users where every group may have a stream.

    Args:
        table: the pairs.
        shares: their least shares without any stream.

    Raises:
        UnsupportedProblemError: weights, or an energy budget in a group.
    """
    problem = table.problem
    _require_plain(problem)
    best = provision(table, shares)
    groups = [Group(table, shares, best, group) for group in problem.multicast]
    grouped = [problem.user_index[user] for one in problem.multicast for user in one.users]
    alone = by_share(table, shares, best[~np.isin(table.users[best], grouped)])
    alone = alone[: fitting(shares[alone])]
    counts = divide([_sums(shares[alone]), *(group.costs for group in groups)])
    rows = alone[: counts[0]]
    served = serve(table, rows, shares[rows])
    streams = []
    for one, count in zip(groups, counts[1:], strict=True):
        users, stream = one.serve(count)
        served += users
        streams += [stream] if stream else []
    return make_plan(table, "optimal", served, proven=True, streams=tuple(streams))


def divide(costs: Sequence[Floats]) -> list[int]:
    """How many users of each group to serve: of all counts with sum_g c_g(n_g) <= 1 the one with
    the largest sum, and of those the cheapest.

    Args:
        costs: c_g(0), c_g(1), ... of each group; c_g(0) = 0.
    """
    least = np.zeros(1)
    picks: list[Ints] = []
    for cost in costs:
        after = np.full(len(least) + len(cost) - 1, np.inf)
        pick = np.zeros(len(after), dtype=np.intp)
        for count, price in enumerate(cost.tolist()):
            here = slice(count, count + len(least))
            better = least + price < after[here]
            after[here][better] = (least + price)[better]
            pick[here][better] = count
        kept = np.flatnonzero(after <= 1 + TOLERANCE).max() + 1
        least = after[:kept]
        picks.append(pick)
    left = len(least) - 1
    counts = []
    for pick in reversed(picks):
        counts.append(int(pick[left]))
        left -= counts[-1]
    return counts[::-1]


class Group:
    """What it costs to serve users of a group, with a stream or without.

    Attributes:
        costs: c_g(n) for n = 0, 1, ..., the least share for n of its users together.
    """

    def __init__(self, table: PairTable, shares: Floats, best: Ints, group: MulticastGroup) -> None:
        problem = table.problem
        self._table, self._group = table, group
        users = np.array([problem.user_index[user] for user in group.users], dtype=np.intp)
        users = users[np.argsort(ranks(group.users))]  # equal costs in the order of the names
        self._users = users
        self._efficiency = np.array([problem.users[k].bits_per_s_per_hz for k in users.tolist()])
        self._alone_row = np.full(len(users), -1)
        place = {user: n for n, user in enumerate(users.tolist())}
        for row in best.tolist():
            if (n := place.get(int(table.users[row]))) is not None:
                self._alone_row[n] = row
        able = self._alone_row >= 0
        self._alone = np.full(len(users), np.inf)
        self._alone[able] = shares[self._alone_row[able]]
        self._rows = np.flatnonzero(np.isin(table.users, users))
        self._place = np.array([place[k] for k in table.users[self._rows].tolist()], dtype=np.intp)
        self._stream_bits, self._in_stream = self._layers()
        self._need, self._private = self._needs()
        self.costs = _sums(np.sort(self._alone))
        self._how: list[tuple[float, float] | None] = [None] * len(self.costs)
        self._try_streams()

    def _layers(self) -> tuple[Floats, Bools]:
        """M_l, the bits of the stream up to each layer, and which layers come from it."""
        problem = self._table.problem
        sent = np.cumsum([problem.block_bits[block] for block in self._group.blocks])
        until = dict(zip(self._group.blocks, sent.tolist(), strict=True))
        pairs = self._table.take(self._rows)
        bits = np.zeros_like(pairs.bits)
        for n, model in enumerate(self._table.models[self._rows].tolist()):
            for column, layer in enumerate(problem.models[model].layers):
                bits[n, column] = until.get(layer.block or "", 0.0)
        lacking = (bits > 0) & (pairs.bits > 0)
        return np.where(lacking, bits, 0.0), lacking

    def _needs(self) -> tuple[Floats, Floats]:
        """q and p of each row: the stream's least rate, and the least share beside it."""
        pairs = self._table.take(self._rows)
        after = seconds_after_arrival(pairs.seconds, pairs)
        slack = np.maximum((pairs.limit_s - pairs.first_byte_s)[:, None] - after, 0.0)
        need = np.zeros_like(slack)
        with np.errstate(divide="ignore"):
            np.divide(self._stream_bits, slack, out=need, where=self._in_stream)
        rate = np.where(possible(pairs, pairs.seconds, after), need.max(axis=1, initial=0), np.inf)
        own = np.cumsum(np.where(self._in_stream, 0.0, pairs.bits), axis=1)
        private = least_share(pairs, own, pairs.seconds)
        return rate, in_blocks(private, self._table.problem.resource_blocks)

    def _try_streams(self) -> None:
        """Put the cheapest stream for each number of users into `costs`."""
        rates = np.unique(self._need[np.isfinite(self._need) & (self._need > 0)])
        efficiencies = np.unique(self._efficiency)
        for rate in rates.tolist():
            private, _ = self._with_stream(rate)
            for efficiency in efficiencies.tolist():
                stream = self._stream_share(rate, efficiency)
                if stream > 1 + TOLERANCE:
                    continue
                hears = self._efficiency >= efficiency
                users = np.where(hears, np.minimum(private, self._alone), self._alone)
                total = stream + _sums(np.sort(users))
                for count in np.flatnonzero(total < self.costs).tolist():
                    self.costs[count] = total[count]
                    self._how[count] = (rate, efficiency)

    def _stream_share(self, rate: float, efficiency: float) -> float:
        problem = self._table.problem
        hertz = problem.bandwidth_hz * efficiency
        share = np.array([rate / hertz if hertz > 0 else np.inf])
        return float(in_blocks(share, problem.resource_blocks)[0])

    def _with_stream(self, rate: float) -> tuple[Floats, Ints]:
        """The least private share of each user beside a stream of this rate, and the row with it
        (infinite and -1 where there is none)."""
        able = np.flatnonzero(self._need <= rate)
        order = able[np.argsort(-self._private[able], kind="stable")]  # the least comes last
        private, rows = np.full(len(self._users), np.inf), np.full(len(self._users), -1)
        private[self._place[order]] = self._private[order]
        rows[self._place[order]] = order
        return private, rows

    def serve(self, count: int) -> tuple[list[ServedUser], MulticastStream | None]:
        """The cheapest `count` users, and the stream if there is one."""
        how = self._how[count]
        costs, hearing = self._alone, np.full(len(self._users), -1)
        if how is not None:
            private, rows = self._with_stream(how[0])
            hears = (self._efficiency >= how[1]) & (private < self._alone)
            costs, hearing = np.where(hears, private, costs), np.where(hears, rows, -1)
        chosen = np.argsort(costs, kind="stable")[:count]
        alone = chosen[hearing[chosen] < 0]
        served = serve(self._table, self._alone_row[alone], self._alone[alone])
        if how is None:
            return served, None
        rate, efficiency = how
        share = self._stream_share(rate, efficiency)
        stream = MulticastStream(self._group.id, share, efficiency)
        heard = hearing[chosen[hearing[chosen] >= 0]]
        rows = self._rows[heard]
        return served + serve(
            self._table, rows, self._private[heard], heard=self._heard(heard, rows, stream)
        ), stream

    def _heard(self, heard: Ints, rows: Ints, stream: MulticastStream) -> Heard:
        """What some rows have from the stream."""
        pairs = self._table.take(rows)
        inside = self._in_stream[heard]
        speed = stream.share * self._table.problem.bandwidth_hz * stream.bits_per_s_per_hz
        sent = pairs.first_byte_s[:, None] + self._stream_bits[heard] / speed
        own = np.cumsum(np.where(inside, 0.0, pairs.bits), axis=1)
        return Heard(self._group.id, own, np.where(inside, sent, 0.0))


def _sums(costs: Floats) -> Floats:
    """0 and the running sums of costs."""
    return np.concatenate(([0.0], np.cumsum(costs)))


def _require_plain(problem: StreamingProblem) -> None:
    if problem.is_weighted:
        raise UnsupportedProblemError(
            "'optimal' plans multicast for users that count the same (no weight)"
        )
    for group in problem.multicast:
        for user in group.users:
            if problem.users[problem.user_index[user]].energy_j is not None:
                raise UnsupportedProblemError(
                    f"multicast group {group.id!r}: user {user!r} has an energy budget; with one "
                    "the speeds depend on both streams, and 'optimal' does not plan that"
                )
