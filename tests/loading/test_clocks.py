"""Clocks between batches: what is latest allowed is exactly what still leaves all in time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.loading.clocks import ANY_TIME, NEVER, OneByOne

SECONDS = st.integers(0, 9).map(float)
BATCH = st.tuples(SECONDS, SECONDS, SECONDS, SECONDS, st.booleans(), st.integers(0, 40).map(float))
KINDS = [OneByOne()]


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


def test_a_batch_waits_for_its_tasks():
    """It starts when the last has arrived, and is late if that is too late."""
    assert OneByOne().step((1.0,) * 3, 4.0, 1.0, 2.0, 3.0) == (10.0,) * 3
    assert OneByOne().latest(ANY_TIME, 9.0, 4.0, 1.0, 2.0, 3.0) == NEVER
    assert OneByOne().latest(ANY_TIME, 11.0, 4.0, 1.0, 2.0, 3.0) == (5.0,) * 3
