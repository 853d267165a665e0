"""Transfers under a clock that is told the time: admission, pace, ends."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest

from tests.server.streams.streaming import Clock, layout_of
from trunkline.errors import HttpError, Reason, RefusedError
from trunkline.server.streams.transfers import StreamLimits, Transfer, Transfers
from trunkline.server.streams.wish import Wish
from trunkline.streaming.recursion import layer_finishes

LINK = 5e6
SIZES = [999_900, 2_000_000, 2_000_000]
"""With a header of 100 bytes, 8, 16 and 16 Mbit: the hand case of the specification."""
WISH = Wish(deadline_s=1.6, compute_s=[0.2, 0.3, 0.1])


def made(clock: Clock, **limits: float) -> Transfers:
    """Transfers over a link of 40 Mbit/s."""
    return Transfers(StreamLimits(**{"link_bytes_per_s": LINK, **limits}), clock)  # type: ignore[arg-type]


def run(transfers: Transfers, clock: Clock, *read: Transfer, seconds: float = 60.0) -> None:
    """Clients read these until they have all, or the time is over; senders wake each 2 ms."""
    end = clock.now_s + seconds
    with ExitStack() as stack:
        for one in read:
            stack.enter_context(transfers.reading(one, one.progress.position))
        while clock.now_s < end and any(one.progress.left_bytes for one in read):
            clock.now_s += 0.002
            for one in read:
                push(transfers, one, clock)


def push(transfers: Transfers, one: Transfer, clock: Clock) -> None:
    """Send what may go."""
    while left := one.progress.left_bytes:
        assert one.bucket is not None
        count = min(left, one.bucket.piece_bytes)
        if one.bucket.wait_s(count, clock.now_s) > 0:
            return
        transfers.sent(one, one.progress.position + count, count)


def finish_s(one: Transfer) -> float:
    """When its device has computed all."""
    assert not one.progress.left_bytes
    return one.progress._finished[-1]


def test_a_reserved_share_is_kept() -> None:
    """The hand case needs 2/3 of the link; beside two that take all they can get it is in time, and
    has no more than its share until it is nearly done."""
    clock = Clock()
    transfers = made(clock)
    first = transfers.open(layout_of(SIZES), WISH)
    others = [transfers.open(layout_of([50_000_000]), Wish()) for _ in range(2)]
    assert transfers.rate(first) == pytest.approx(LINK * 2 / 3)
    run(transfers, clock, first, *others, seconds=1.6)
    # pieces are 5 ms long, and senders wake each 2 ms
    assert finish_s(first) <= 101.6 + 0.01
    assert finish_s(first) >= 101.6 - 0.05
    for one in others:
        # a sixth while the first is sent, 1.5 s, and then half
        assert one.progress.position == pytest.approx((1.5 / 6 + 0.1 / 2) * LINK, rel=0.05)


def test_the_set_that_is_admitted_is_in_time() -> None:
    """Of eight that ask at once, of growing deadlines and sizes, those that are let in meet their
    deadlines, and there is no room for any that was not."""
    clock = Clock()
    transfers = made(clock)
    admitted, refused = [], []
    for i in range(8):
        wish = Wish(deadline_s=1.0 + 0.25 * i, compute_s=[0.05, 0.1, 0.05])
        layout = layout_of([400_000 + 60_000 * i, 600_000, 500_000 - 40_000 * i])
        try:
            admitted.append((transfers.open(layout, wish), 100 + 1.0 + 0.25 * i))
        except RefusedError as error:
            refused.append(error.reason)
    assert len(admitted) + len(refused) == 8
    assert set(refused) == {Reason.DEADLINE}
    run(transfers, clock, *(one for one, _ in admitted))
    for one, deadline_s in admitted:
        assert finish_s(one) <= deadline_s + 0.01


def test_refused_and_free_again() -> None:
    """A second one beside the hand case is refused, told when to ask again, and counted; where the
    first ends before its time, the second gets in."""
    clock = Clock()
    transfers = made(clock)
    first = transfers.open(layout_of(SIZES), WISH)
    with pytest.raises(RefusedError, match=r"beside 1 other$") as error:
        transfers.open(layout_of(SIZES), WISH)
    assert error.value.retry_after_s == pytest.approx(1.0)  # 5 MB at 5 MB/s
    assert transfers.counts.refused_deadline == 1
    transfers.close(first)
    assert transfers.open(layout_of(SIZES), WISH).reserved


def test_refused_for_its_computing() -> None:
    """Who needs 0.6 s to compute, due in 0.5 s, is told that, and not that the link is slow."""
    with pytest.raises(RefusedError, match=r"computing alone takes 0\.6 s.* in 0\.5 s$"):
        made(Clock()).open(layout_of(SIZES), Wish(deadline_s=0.5, compute_s=[0.2, 0.3, 0.1]))


def test_reserved_while_it_does_not_read() -> None:
    """Until it begins to read, others may use its share, but not reserve it; once it can no longer
    be in time its reservation is gone."""
    clock = Clock()
    transfers = made(clock)
    transfers.open(layout_of(SIZES), WISH)
    free = transfers.open(layout_of([50_000_000]), Wish())
    run(transfers, clock, free, seconds=0.4)  # then the first one needs 40/(1.5 - 0.4)/40 = 0.91
    assert free.progress.position == pytest.approx(0.4 * LINK, rel=0.05)
    with pytest.raises(RefusedError):
        transfers.open(layout_of(SIZES), WISH)
    clock.now_s += 1.3  # past the first one's deadline
    assert transfers.open(layout_of(SIZES), WISH).reserved


def test_half_each() -> None:
    """Two and eight without deadlines get equal rates, within 3 % over a second."""
    for count in (2, 8):
        clock = Clock()
        transfers = made(clock)
        all_of_them = [transfers.open(layout_of([10**8]), Wish()) for _ in range(count)]
        run(transfers, clock, *all_of_them, seconds=1.0)
        for one in all_of_them:
            assert one.progress.position == pytest.approx(LINK / count, rel=0.03)


def test_a_reader_that_takes_nothing_lends() -> None:
    """What a blocked reader would get goes to the other, until it takes something again."""
    clock = Clock()
    transfers = made(clock)
    slow, quick = (transfers.open(layout_of([10**8]), Wish()) for _ in range(2))
    with transfers.reading(slow, 0), transfers.reading(quick, 0):
        assert quick.bucket is not None
        assert quick.bucket.rate == pytest.approx(LINK / 2)
        transfers.block(slow)
        assert quick.bucket.rate == pytest.approx(LINK)
        clock.now_s += 1
        transfers.sent(slow, 1000, 1000)
        assert quick.bucket.rate == pytest.approx(LINK / 2)


def test_the_last_reader_counts() -> None:
    """A client that comes back before its broken connection was noticed takes over, and the end of
    the old one changes nothing."""
    transfers = made(Clock())
    one = transfers.open(layout_of([1000]), Wish())
    with transfers.reading(one, 500) as new:
        with transfers.reading(one, 200) as newer:
            assert new < newer == one.turn
        assert not one.sending
    assert not one.sending
    old = transfers.reading(one, 0)
    old.__enter__()
    with transfers.reading(one, 300):
        old.__exit__(None, None, None)
        assert one.sending
        assert one.progress.position == 300


def test_limits() -> None:
    """No more than allowed are open; idle ones make room, those that are read do not."""
    clock = Clock()
    transfers = made(clock, most=2, idle_s=60)
    first = transfers.open(layout_of([1000]), Wish())
    second = transfers.open(layout_of([1000]), Wish())
    with pytest.raises(RefusedError) as error:
        transfers.open(layout_of([1000]), Wish())
    assert error.value.reason is Reason.QUEUE_FULL
    with transfers.reading(first, 0):
        clock.now_s += 61
        third = transfers.open(layout_of([1000]), Wish())
        with pytest.raises(HttpError, match="no such stream"):
            transfers.get(second.id)
        assert transfers.get(first.id) is first
        assert transfers.get(third.id) is third
    assert (transfers.counts.opened, transfers.counts.refused_full) == (3, 1)
    assert len({first.id, second.id, third.id}) == 3


def test_without_a_link() -> None:
    """Nothing is paced and no deadline is promised."""
    transfers = made(Clock(), link_bytes_per_s=None)  # type: ignore[arg-type]
    one = transfers.open(layout_of(SIZES), Wish(deadline_s=1e-3))
    assert (one.bucket, one.reserved, transfers.rate(one)) == (None, False, None)


def test_progress_agrees_with_the_planner() -> None:
    """A transfer's own estimate of its end is the planner's recursion over the times at which its
    blocks were sent."""
    clock = Clock()
    transfers = made(clock)
    one = transfers.open(layout_of(SIZES), WISH)
    sent: list[float] = []
    with transfers.reading(one, 0):
        while one.progress.left_bytes:
            clock.now_s += 0.002
            before = one.progress.position
            push(transfers, one, clock)
            ends = [block.end for block in one.layout.blocks]
            sent += [clock.now_s for end in ends if before < end <= one.progress.position]
    expected = layer_finishes(np.array([sent]), np.array([[0.2, 0.3, 0.1]]), np.array([100.0]))
    np.testing.assert_allclose(one.progress._finished[1:], expected[0])
