"""How fast a client is sent to: a token bucket.

Tokens are bytes. They come at the rate, and no more are kept than a piece and what comes in
`BURST_S`: so a sender that wakes up late by less than that loses nothing of its rate, and in any
second no more goes out than rate (1 s + BURST_S) and a piece. (The usual token bucket; numbers
chosen for an error under 3 % over a second, 2.5 % here.)
"""

from __future__ import annotations

import math
from typing import Final

BURST_S: Final = 0.02
PIECE_S: Final = 0.005
"""A piece is what the rate sends in this time, within the two limits below."""
LEAST_PIECE_BYTES: Final = 2**10
MOST_PIECE_BYTES: Final = 2**18


class Bucket:
    """A token bucket that follows a rate that may change.

    Args:
        rate: bytes a second, 0 for none.
        now_s: the clock's time; times given later never go back behind it.
    """

    def __init__(self, rate: float, now_s: float) -> None:
        self.rate = rate
        self._tokens = 0.0
        self._filled_s = now_s

    @property
    def piece_bytes(self) -> int:
        """How much to send at a time."""
        piece = min(self.rate * PIECE_S, MOST_PIECE_BYTES)
        return max(LEAST_PIECE_BYTES, int(piece))

    def set_rate(self, rate: float, now_s: float) -> None:
        """Fill at another rate from now on."""
        self._fill(now_s)
        self.rate = rate
        self._tokens = min(self._tokens, self._depth)

    def wait_s(self, count: int, now_s: float) -> float:
        """How long until `count` bytes may go; 0 for at once, infinite where the rate is 0.

        More than the bucket holds (a piece of a higher rate that was) go when it is full, and are
        paid for afterwards.
        """
        self._fill(now_s)
        lacking = min(float(count), self._depth) - self._tokens
        if lacking <= 0:
            return 0.0
        return lacking / self.rate if self.rate > 0 else math.inf

    def spend(self, count: int, now_s: float) -> None:
        """Bytes went out."""
        self._fill(now_s)
        self._tokens -= count

    @property
    def _depth(self) -> float:
        return self.piece_bytes + self.rate * BURST_S

    def _fill(self, now_s: float) -> None:
        passed = max(0.0, now_s - self._filled_s)
        self._tokens = min(self._tokens + passed * self.rate, self._depth)
        self._filled_s = max(self._filled_s, now_s)
