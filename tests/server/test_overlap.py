"""Whether loading beside computing is worth it."""

from __future__ import annotations

import pytest

from trunkline.server.overlap import FIRST_TRIALS, LATER_TRIALS, LEAST, Overlap, Work


class Machine:
    """Loads of 2 s and batches of 4 s, as the profile says, on a virtual clock.

    Args:
        slower: how many times as long each takes beside the other.
    """

    def __init__(self, overlap: Overlap, slower: float) -> None:
        self.overlap, self.slower, self.now_s = overlap, slower, 0.0

    def alone(self) -> None:
        """A load, then a batch."""
        for work, seconds in ((Work.LOAD, 2.0), (Work.BATCH, 4.0)):
            self.overlap.begin(work, self.now_s)
            self.now_s += seconds
            self.overlap.end(work, self.now_s, seconds)

    def together(self) -> None:
        """A load that begins with a batch and ends before it."""
        self.overlap.begin(Work.BATCH, self.now_s)
        self.overlap.begin(Work.LOAD, self.now_s)
        both_s = 2.0 * self.slower
        self.overlap.end(Work.LOAD, self.now_s + both_s, 2.0)
        # of the batch both_s / slower = 2 s are done by then, and the other 2 s follow alone
        self.now_s += both_s + 2.0
        self.overlap.end(Work.BATCH, self.now_s, 4.0)


@pytest.mark.parametrize(("slower", "gain"), [(1.0, 2.0), (1.25, 1.6), (2.0, 1.0)])
def test_the_gain_is_that_of_the_machine(slower, gain):
    """Where each takes s times as long beside the other, both together do 2/s of the work."""
    overlap = Overlap()
    machine = Machine(overlap, slower)
    for _ in range(2 * LEAST):
        machine.alone()
        machine.together()
    assert overlap.gain == pytest.approx(gain)


@pytest.mark.parametrize(("slower", "wanted"), [(1.25, True), (2.0, False)])
@pytest.mark.parametrize("at_first", [True, False])
def test_it_is_done_where_it_gains(slower, wanted, at_first):
    """Whatever is done at first, loads run beside batches in the end just where that gains time,
    but for one trial in a while."""
    overlap = Overlap(at_first=at_first)
    machine = Machine(overlap, slower)
    for _ in range(LEAST):
        machine.alone()
    for _ in range(8 * FIRST_TRIALS):
        machine.together() if overlap.next_batch() else machine.alone()
    later = [overlap.next_batch() for _ in range(LATER_TRIALS)]
    assert later.count(wanted) >= LATER_TRIALS - 1
    assert any(later)


@pytest.mark.parametrize(("mode", "wanted"), [("always", True), ("never", False)])
def test_a_fixed_mode_is_kept(mode, wanted):
    """What the operator fixed is not changed by what is measured."""
    overlap = Overlap(mode)
    machine = Machine(overlap, slower=2.0 if wanted else 1.0)
    for _ in range(2 * LEAST):
        machine.alone()
        machine.together()
    assert {overlap.next_batch() for _ in range(LATER_TRIALS)} == {wanted}


def test_work_that_was_not_done_says_nothing():
    """A load that failed, or a batch of which nothing is expected, is not learned from."""
    overlap = Overlap()
    machine = Machine(overlap, slower=1.0)
    for _ in range(LEAST):
        machine.alone()
    for work in Work:
        for _ in range(LEAST):
            overlap.begin(work.other, machine.now_s)
            overlap.begin(work, machine.now_s)
            machine.now_s += 9.0
            overlap.end(work, machine.now_s, None)
            overlap.end(work.other, machine.now_s, None)
    assert overlap.gain is None
