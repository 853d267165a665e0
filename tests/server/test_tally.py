"""The tally: counts since the start, and of the last minute."""

from __future__ import annotations

import threading

from tests.server.still_engine import load, record
from trunkline.errors import Reason
from trunkline.server.tally import Second, Tally


def test_last_minute() -> None:
    """Ends are counted in the second in which they happened, for sixty seconds."""
    now = [100.2]
    tally = Tally(lambda: now[0])
    tally.answered("a", 0.1, True)
    now[0] = 100.9
    tally.answered("a", 0.1, False)
    now[0] = 103.0
    tally.refused("a", Reason.DEADLINE)
    assert tally.counts().recent == (Second(3, 1, 1, 0), Second(0, 0, 0, 1))
    now[0] = 160.0  # the 100th second is 60 seconds ago
    assert tally.counts().recent == (Second(57, 0, 0, 1),)
    assert tally.counts().in_time == 1


def test_batches() -> None:
    """Batches, failed ones and bytes are added up."""
    tally = Tally()
    tally.batch(record())
    tally.batch(record(error="broken"))
    tally.loaded(load())
    tally.loaded(load())
    counts = tally.counts()
    assert (counts.batches, counts.failed) == (2, 1)
    assert (counts.bytes_moved, counts.bytes_asked) == (100, 400)


def test_threads_lose_nothing() -> None:
    """Threads that report at once are all counted."""
    tally = Tally()

    def report() -> None:
        for _ in range(2000):
            tally.received("a")
            tally.answered("a", 0.0, True)

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = tally.counts()
    assert (counts.received, counts.in_time, counts.in_flight) == (8000, 8000, 0)
