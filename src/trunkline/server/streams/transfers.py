"""The transfers that are open, and the pace of each. For the event loop only."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from trunkline.errors import HttpError, Reason, RefusedError
from trunkline.server.streams.dividing import admits, divide
from trunkline.server.streams.layout import Layout
from trunkline.server.streams.pacing import Bucket
from trunkline.server.streams.progress import Progress
from trunkline.server.streams.wish import Wish
from trunkline.units import count as number_of

MOST: Final = 256
"""Transfers that are open at once."""
IDLE_S: Final = 300.0
"""A transfer that nobody reads is forgotten after this."""
REPLAN_S: Final = 0.1
"""Between comings and goings the link is divided anew at most this often."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What streams may take.

    Attributes:
        link_bytes_per_s: the rate of the link that all share; None to send as fast as it goes.
        most: transfers that are open at once.
        idle_s: how long one is kept that nobody reads.
    """

    link_bytes_per_s: float | None = None
    most: int = MOST
    idle_s: float = IDLE_S


class Transfer:
    """A stream on its way to a client.

    Attributes:
        id: not to be guessed.
        bucket: its pace; None for none.
        reserved: whether the link was found to suffice for its deadline.
        turn: how often a client began to read; the one that began last counts.
        blocked: whether its reader takes nothing at the moment.
    """

    def __init__(self, layout: Layout, wish: Wish, paced: bool, now_s: float) -> None:
        self.id = secrets.token_urlsafe(18)
        self.layout = layout
        self.progress = Progress(layout, wish, now_s)
        self.reserved = paced and wish.deadline_s is not None
        self.bucket = Bucket(0.0, now_s) if paced else None
        self.used_s = now_s
        self.turn = 0
        self.sending = False
        self.blocked = False


@dataclass
class Counts:
    """What became of all transfers since the start."""

    opened: int = 0
    bytes: int = 0
    refused_deadline: int = 0
    refused_full: int = 0


class Transfers:
    """Opens transfers, divides the link among them, and forgets those that nobody reads."""

    def __init__(self, limits: StreamLimits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self._open: dict[str, Transfer] = {}
        self._planned_s = -math.inf
        self.counts = Counts()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def sending(self) -> int:
        """How many are being read; for any thread."""
        return sum(one.sending for one in list(self._open.values()))

    def open(self, layout: Layout, wish: Wish) -> Transfer:
        """A new transfer.

        Raises:
            RefusedError: too many are open, or its deadline cannot be met beside the others'.
            InputError: `wish.compute_s` has not a value for each block.
        """
        self._forget_idle()
        now = self._clock()
        link = self.limits.link_bytes_per_s
        new = Transfer(layout, wish, link is not None, now)
        if len(self._open) >= self.limits.most:
            self.counts.refused_full += 1
            raise RefusedError(Reason.QUEUE_FULL, f"{len(self._open)} streams are open", 1.0)
        if link is not None:
            self._check_deadline(link, new, now)
        self._open[new.id] = new
        self.counts.opened += 1
        return new

    def get(self, id: str) -> Transfer:
        """An open transfer (HttpError: 404)."""
        self._forget_idle()
        found = self._open.get(id)
        if found is None:
            raise HttpError(404, "no such stream: it ended, was idle too long, or never was")
        found.used_s = self._clock()
        return found

    def close(self, transfer: Transfer) -> None:
        """End one; who reads it is cut off."""
        self._open.pop(transfer.id, None)
        transfer.turn += 1
        transfer.sending = False
        self.divide()

    def rate(self, transfer: Transfer) -> float | None:
        """Bytes a second that a transfer gets while all that are open are read; None: unpaced."""
        link = self.limits.link_bytes_per_s
        if link is None:
            return None
        now = self._clock()
        demands = {one.id: one.progress.demand(now, True) for one in self._open.values()}
        return divide(link, demands)[transfer.id]

    @contextmanager
    def reading(self, transfer: Transfer, position: int) -> Iterator[int]:
        """While a client reads a transfer from a position on; yields its turn. One that read it
        before loses its own: its connection broke, or the client has two."""
        transfer.turn += 1
        turn = transfer.turn
        transfer.progress.return_to(position, self._clock())
        transfer.sending, transfer.blocked = True, False
        self.divide()
        try:
            yield turn
        finally:
            if transfer.turn == turn:
                transfer.sending, transfer.used_s = False, self._clock()
                self.divide()

    def sent(self, transfer: Transfer, position: int, count: int) -> None:
        """Bytes went out, up to a position; the link is divided anew where a block ended."""
        now = self._clock()
        self.counts.bytes += count
        if transfer.bucket is not None:
            transfer.bucket.spend(count, now)
        ended = transfer.progress.advance(position, now)
        if (ended or transfer.blocked) and now - self._planned_s >= REPLAN_S:
            transfer.blocked = False
            self.divide()

    def block(self, transfer: Transfer) -> None:
        """A reader takes nothing: what it would get goes to the others meanwhile."""
        if transfer.sending and not transfer.blocked:
            transfer.blocked = True
            self.divide()

    def divide(self) -> None:
        """Divide the link anew."""
        link = self.limits.link_bytes_per_s
        if link is None:
            return
        now = self._planned_s = self._clock()
        demands = {one.id: one.progress.demand(now, _takes(one)) for one in self._open.values()}
        for id, rate in divide(link, demands).items():
            one = self._open[id]
            if one.bucket is not None and not one.blocked:
                one.bucket.set_rate(rate, now)

    def _check_deadline(self, link: float, new: Transfer, now: float) -> None:
        demands = {
            one.id: one.progress.demand(now, one.sending)
            for one in self._open.values()
            if one.reserved
        }
        wanted = new.progress.demand(now, True)
        if admits(link, demands, wanted):
            return
        self.counts.refused_deadline += 1
        left = [one.progress.left_bytes for one in self._open.values() if one.reserved]
        again = min(filter(None, left), default=0) / link
        beside = f" beside {number_of(len(demands), 'other')}" if demands else ""
        why = f"the link is too slow for this deadline{beside}"
        computing, due = wanted.ready_s + sum(wanted.compute_s), wanted.left_s
        if due is not None and computing >= due:
            why = f"computing alone takes {computing:.3g} s, and the deadline is in {due:.3g} s"
        raise RefusedError(Reason.DEADLINE, why, max(1.0, again))

    def _forget_idle(self) -> None:
        old = self._clock() - self.limits.idle_s
        for one in [one for one in self._open.values() if not one.sending and one.used_s < old]:
            self.close(one)


def _takes(transfer: Transfer) -> bool:
    return transfer.sending and not transfer.blocked
