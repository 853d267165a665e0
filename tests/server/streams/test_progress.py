"""How far a device has come, as its server sees it."""

from __future__ import annotations

import pytest

from tests.server.streams.streaming import layout_of
from trunkline.server.streams.progress import Progress
from trunkline.server.streams.wish import Wish

WISH = Wish(deadline_s=10.0, compute_s=[1.0, 2.0, 4.0], first_byte_s=0.5)


def test_before_anything_is_sent() -> None:
    """The header counts to the first block; the device is ready at once."""
    demand = Progress(layout_of([10, 20, 30]), WISH, 100.0).demand(101.0, True)
    assert demand.bytes == (110, 20, 30)
    assert demand.compute_s == (1.0, 2.0, 4.0)
    assert (demand.left_s, demand.ready_s, demand.delay_s) == (9.0, 0.0, 0.5)


def test_blocks_that_are_there_compute() -> None:
    """Block 1 sent at 101 arrives at 101.5 and is computed at 102.5; block 2, sent at 101.2, waits
    for it and is computed at 104.5."""
    progress = Progress(layout_of([10, 20, 30]), WISH, 100.0)
    assert progress.advance(110, 101.0)
    assert not progress.advance(120, 101.1)
    demand = progress.demand(101.1, True)
    assert (demand.bytes, demand.compute_s) == ((10, 30), (2.0, 4.0))
    assert demand.ready_s == pytest.approx(1.4)
    assert progress.advance(130, 101.2)
    assert progress.demand(101.2, True).ready_s == pytest.approx(3.3)
    assert progress.left_bytes == 30


def test_held_blocks() -> None:
    """A block that the device holds takes no bytes: at the front it is computed from the start,
    between others when its turn comes."""
    demand = Progress(layout_of([10, 20, 30], held=(0,)), WISH, 100.0).demand(100.0, True)
    assert (demand.bytes, demand.ready_s) == ((120, 30), 1.0)
    progress = Progress(layout_of([10, 20, 30], held=(1,)), WISH, 100.0)
    assert progress.demand(100.0, True).bytes == (110, 0, 30)
    progress.advance(110, 101.0)  # arrives at 101.5; then 1 s and 2 s of computing
    demand = progress.demand(101.0, True)
    assert (demand.bytes, demand.ready_s) == ((30,), pytest.approx(3.5))


def test_the_header_alone() -> None:
    """Who holds all blocks still gets a header."""
    progress = Progress(layout_of([10], held=(0,)), Wish(), 0.0)
    assert progress.demand(0.0, True).bytes == (100,)
    progress.advance(100, 1.0)
    assert not any(progress.demand(1.0, True).bytes)


def test_going_on_from_before() -> None:
    """A client that lost bytes on the way gets them again, and nothing counts as computed that it
    has not."""
    progress = Progress(layout_of([10, 20, 30]), WISH, 100.0)
    progress.advance(130, 101.0)
    progress.return_to(115, 102.0)
    demand = progress.demand(102.0, True)
    assert demand.bytes == (15, 30)
    assert demand.ready_s == pytest.approx(0.5)  # block 1: 101 + 0.5 + 1
    progress.return_to(0, 103.0)
    demand = progress.demand(103.0, True)
    assert (demand.bytes, demand.ready_s) == ((110, 20, 30), 0.0)
