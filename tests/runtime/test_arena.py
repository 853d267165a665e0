"""Memory that is used again."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.runtime.arena import Arena, Buffer


def test_freed_memory_is_handed_out_again() -> None:
    """The same size comes back at the same address, and what is left of a larger run follows."""
    arena = Arena()
    first = arena.allocate(4096)
    address = first.tensor.data_ptr()
    arena.free(first)
    small, rest = arena.allocate(1024), arena.allocate(3072)
    assert small.tensor.data_ptr() == address
    assert rest.tensor.data_ptr() == address + 1024
    assert arena.warm_bytes == 0


def test_neighbours_are_joined() -> None:
    """Three buffers freed in any order make one run that a larger buffer fits into."""
    arena = Arena()
    buffers = [arena.allocate(1000) for _ in range(3)]  # 1024 each
    address = buffers[0].tensor.data_ptr()
    for i in (2, 0, 1):
        arena.free(buffers[i])
    assert arena.allocate(3072).tensor.data_ptr() == address


def test_trimmed_memory_is_given_back_zeroed() -> None:
    """After `trim(0)` nothing warm is left, and whole pages come back as zeros."""
    arena = Arena()
    buffer = arena.allocate(1 << 20)
    buffer.tensor.fill_(7)
    arena.free(buffer)
    arena.trim(0)
    assert arena.warm_bytes == 0
    again = arena.allocate(1 << 20)
    assert int(again.tensor.max()) == 0


def test_a_request_beyond_a_mapping_gets_its_own() -> None:
    """A buffer larger than the reserve of address space is still found."""
    arena = Arena()
    assert arena.allocate((256 << 20) + 1).size == (256 << 20) + 64


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("new"), st.integers(0, 5000)),
            st.tuples(st.just("free"), st.integers(0, 20)),
            st.tuples(st.just("trim"), st.integers(0, 9000)),
        ),
        max_size=40,
    )
)
def test_buffers_never_overlap_and_keep_their_bytes(steps: list[tuple[str, int]]) -> None:
    """Whatever is allocated, freed and trimmed, live buffers are disjoint, aligned, untouched."""
    arena = Arena()
    live: list[tuple[Buffer, int]] = []
    for mark, (what, n) in enumerate(steps):
        if what == "new":
            buffer = arena.allocate(n)
            buffer.tensor.fill_(mark)
            live.append((buffer, mark))
        elif what == "free" and live:
            arena.free(live.pop(n % len(live))[0])
        elif what == "trim":
            arena.trim(n)
            assert arena.warm_bytes <= n
        for buffer, value in live:
            assert buffer.size == 0 or bool((buffer.tensor == value).all())
            assert buffer.tensor.data_ptr() % 64 == 0
    spans = sorted((b.tensor.data_ptr(), b.size) for b, _ in live if b.size)
    for (start, size), (following, _) in pairwise(spans):
        assert start + size <= following
