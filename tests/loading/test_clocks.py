"""Clocks between batches: what is latest allowed is exactly what still leaves all in time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.loading.clocks import ANY_TIME, NEVER, OneByOne, Overlapping

SECONDS = st.integers(0, 9).map(float)
BATCH = st.tuples(SECONDS, SECONDS, SECONDS, SECONDS, st.booleans(), st.integers(0, 40).map(float))
KINDS = [OneByOne(), Overlapping()]


@given(st.sampled_from(KINDS), st.lists(BATCH, min_size=1, max_size=5), SECONDS, SECONDS, SECONDS)
def test_latest_is_the_edge_of_what_is_in_time(stages, batches, upload, load, compute):
    """From clocks no later than `latest` all batches are in time; from any other one is late."""
    clocks = (compute,) * 3 if isinstance(stages, OneByOne) else (upload, load, compute)
    latest = ANY_TIME
    for *work, due in reversed(batches):
        latest = stages.latest(latest, due, *work)
    in_time = True
    after = clocks
    for *work, due in batches:
        after = stages.step(after, *work)
        in_time = in_time and after[2] <= due
    assert in_time == all(a <= b for a, b in zip(clocks, latest, strict=True))


@given(st.sampled_from(KINDS), BATCH, SECONDS, SECONDS, SECONDS)
def test_the_end_follows_from_the_starts(stages, batch, upload, load, compute):
    """A batch ends when its computation, begun at the third start, is over."""
    arrival, upload_s, load_s, compute_s, waits, _ = batch
    clocks = (compute,) * 3 if isinstance(stages, OneByOne) else (upload, load, compute)
    starts = stages.starts(clocks, arrival, upload_s, load_s, waits)
    after = stages.step(clocks, arrival, upload_s, load_s, compute_s, waits)
    assert after[2] == pytest.approx(starts[2] + compute_s)
    assert starts[0] >= max(arrival, clocks[0])
    assert starts[1] >= max(starts[0] + upload_s, clocks[2] if waits else clocks[1])
    assert starts[2] >= max(starts[1] + load_s, clocks[2])


def test_three_batches_overlap_by_hand():
    """Uploads of 2, loads of 3, computations of 4: 0-2, 2-5, 5-9; 2-4, 5-8, 9-13; then 4-6, and the
    third load waits until the first batch has ended: 9-12, 13-17."""
    stages, clocks = Overlapping(), (0.0, 0.0, 0.0)
    starts = []
    for _ in range(3):
        starts.append(stages.starts(clocks, 0.0, 2.0, 3.0))
        clocks = stages.step(clocks, 0.0, 2.0, 3.0, 4.0)
    assert starts == [(0, 2, 5), (2, 5, 9), (4, 9, 13)]
    assert clocks == (6, 13, 17)
    # a load that waits for the batch before it begins when that has ended
    assert stages.starts((6, 13, 17), 0.0, 2.0, 3.0, True) == (6, 17, 20)


def test_a_batch_waits_for_its_tasks():
    """It starts when the last has arrived, and is late if that is too late."""
    assert OneByOne().step((1.0,) * 3, 4.0, 1.0, 2.0, 3.0) == (10.0,) * 3
    assert OneByOne().latest(ANY_TIME, 9.0, 4.0, 1.0, 2.0, 3.0) == NEVER
    assert OneByOne().latest(ANY_TIME, 11.0, 4.0, 1.0, 2.0, 3.0) == (5.0,) * 3
