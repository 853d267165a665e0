"""How far a device has come with a stream: what it has, and until when it computes on that."""

from __future__ import annotations

from bisect import bisect_right

from trunkline.server.streams.dividing import Demand
from trunkline.server.streams.layout import Layout
from trunkline.server.streams.wish import Wish


class Progress:
    """Follows one transfer.

    A block that was sent in full at time s is there at s + delay, and the device computes block
    after block: F_l = max(s_l + delay, F_{l-1}) + T_l (the recursion of `trunkline.streaming`; no
    delay for a block that it held). That is an estimate, made of what the client said.

    Args:
        now_s: when the transfer was opened; the deadline counts from there.
    """

    def __init__(self, layout: Layout, wish: Wish, now_s: float) -> None:
        self._ends = [one.end for one in layout.blocks]
        self._held = [one.held for one in layout.blocks]
        self._compute_s = wish.compute_of(len(self._ends))
        self._delay_s = wish.first_byte_s
        self._deadline_s = None if wish.deadline_s is None else now_s + wish.deadline_s
        self._bytes = layout.bytes
        self._finished = [now_s]
        """When the device has computed the first 0, 1, 2 ... blocks."""
        self.position = 0
        """Bytes sent."""
        self._catch_up(now_s)

    @property
    def left_bytes(self) -> int:
        """Bytes that are not sent."""
        return self._bytes - self.position

    def advance(self, position: int, now_s: float) -> bool:
        """All bytes before a position were sent by now; whether a block was completed."""
        before = len(self._finished)
        self.position = position
        self._catch_up(now_s)
        return len(self._finished) > before

    def return_to(self, position: int, now_s: float) -> None:
        """The client has the bytes before a position and wants to go on from there."""
        there = bisect_right(self._ends, position)
        del self._finished[there + 1 :]
        self.advance(position, now_s)

    def demand(self, now_s: float, sending: bool) -> Demand:
        """What remains."""
        done = len(self._finished) - 1
        at, counts = self.position, []
        for end in self._ends[done:]:
            counts.append(max(0, end - at))
            at = max(at, end)
        compute_s = self._compute_s[done:]
        if at < self._bytes:  # the header of a stream of no blocks
            counts.append(self._bytes - at)
            compute_s += (0.0,)
        return Demand(
            tuple(counts),
            compute_s,
            None if self._deadline_s is None else self._deadline_s - now_s,
            max(0.0, self._finished[-1] - now_s),
            self._delay_s,
            sending,
        )

    def _catch_up(self, now_s: float) -> None:
        """Count the blocks that are there in full."""
        ends, finished = self._ends, self._finished
        while len(finished) <= len(ends) and self._is_there(len(finished) - 1):
            block = len(finished) - 1
            arrival = 0.0 if self._held[block] else now_s + self._delay_s
            finished.append(max(arrival, finished[-1]) + self._compute_s[block])

    def _is_there(self, block: int) -> bool:
        return self._held[block] or self._ends[block] <= self.position
