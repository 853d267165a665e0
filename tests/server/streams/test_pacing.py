"""The token bucket, by a clock that is told the time."""

from __future__ import annotations

import math
import random

import pytest

from trunkline.server.streams.pacing import BURST_S, Bucket


def sent_in(bucket: Bucket, wakes_s: list[float]) -> list[tuple[float, int]]:
    """What a sender sends that looks at these times: when, and how many bytes."""
    found = []
    for now in wakes_s:
        while bucket.wait_s(count := bucket.piece_bytes, now) == 0:
            bucket.spend(count, now)
            found.append((now, count))
    return found


@pytest.mark.parametrize("rate", [2e4, 1e6, 2.5e6, 12.5e6, 1.25e9])
def test_rate_over_a_second(rate: float) -> None:
    """A sender that wakes up late at random, up to 10 ms, is within 3 % of its rate in every second
    (after its start, with pieces that are small beside a second's bytes)."""
    chance, now, wakes = random.Random(1), 0.0, []
    while now < 5:
        now += chance.uniform(0, 0.01)
        wakes.append(now)
    found = sent_in(Bucket(rate, 0.0), wakes)
    for start in (0.0, 0.5, 1.3, 2.7, 3.9):
        count = sum(count for at, count in found if start < at <= start + 1)
        piece = Bucket(rate, 0.0).piece_bytes
        # the bucket's depth at either end, of which late wakes of 10 ms use up to 10 ms' bytes
        assert abs(count - rate) <= 0.015 * rate + piece
        assert abs(count / rate - 1) <= 0.03 or piece > 0.01 * rate


def test_bursts_are_bounded() -> None:
    """After a pause of any length no more than the depth goes out at once: a piece and what
    comes in 20 ms."""
    bucket = Bucket(1e6, 0.0)
    count = sum(count for _, count in sent_in(bucket, [1000.0]))
    assert 0 < count <= bucket.piece_bytes + BURST_S * 1e6


def test_wait_is_exact() -> None:
    """An empty bucket of 1,000 bytes a second has 500 bytes after half a second."""
    bucket = Bucket(1000.0, 10.0)
    assert bucket.wait_s(500, 10.0) == pytest.approx(0.5)
    assert bucket.wait_s(500, 10.2) == pytest.approx(0.3)
    assert bucket.wait_s(500, 10.5) == 0.0


def test_rate_changes() -> None:
    """Tokens come at each rate as long as it holds; none at rate 0."""
    bucket = Bucket(1000.0, 0.0)
    bucket.set_rate(0.0, 0.1)  # 100 bytes so far
    assert bucket.wait_s(100, 50.0) == 0.0
    assert bucket.wait_s(200, 50.0) == math.inf
    bucket.set_rate(2000.0, 60.0)
    assert bucket.wait_s(200, 60.0) == pytest.approx(0.05)


def test_clock_that_stands_still() -> None:
    """A time before the last one adds nothing, and takes nothing away."""
    bucket = Bucket(1000.0, 10.0)
    bucket.spend(0, 10.1)
    assert bucket.wait_s(100, 9.0) == pytest.approx(0.0, abs=1e-9)


def test_piece_of_a_higher_rate() -> None:
    """A piece that is larger than what the bucket now holds goes all the same, when it is full, and
    is paid for: of 40 kB at 1 MB/s, 25 kB after 25 ms, and the next 1,000 bytes 16 ms later."""
    bucket = Bucket(8e6, 0.0)
    piece = bucket.piece_bytes
    assert piece == 40_000
    bucket.set_rate(1e6, 0.0)
    assert bucket.wait_s(piece, 0.0) == pytest.approx(0.025)
    bucket.spend(piece, 0.025)
    assert bucket.wait_s(1000, 0.025) == pytest.approx(0.016)
