"""Shares of a link: hand cases of the streaming planner, and what they leave."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.server.streams.dividing import Demand, admits, divide, shares

LINK = 5e6
"""40 Mbit/s."""
CASE = Demand((1_000_000, 2_000_000, 2_000_000), (0.2, 0.3, 0.1), 1.6)
"""The hand case of the specification: 8, 16 and 16 Mbit; its least share is 2/3."""


def test_least_share_of_the_hand_case() -> None:
    """y = max C_l/(r (T - A_l)) = max(8/1, 24/1.2, 40/1.5)/40 = 2/3; with the first layer held
    max(16/1.2, 32/1.5)/40 = 0.53333."""
    assert shares(LINK, {"a": CASE}) == {"a": pytest.approx(2 / 3)}
    held = replace(CASE, bytes=(0, 2_000_000, 2_000_000))
    assert shares(LINK, {"a": held}) == {"a": pytest.approx(0.533333, rel=1e-5)}


def test_what_passed_counts() -> None:
    """At 0.4 s with 2/3 of the link, 10.667 Mbit went: block 1 and 2.667 Mbit of block 2. What is
    left needs the same share: (13.333/0.8 | 29.333/1.1)/40 = 2/3."""
    left = Demand((1_666_667, 2_000_000), (0.3, 0.1), 1.2, ready_s=0.1)
    assert shares(LINK, {"a": left}) == {"a": pytest.approx(2 / 3, rel=1e-4)}


def test_delay_counts() -> None:
    """With 0.1 s on the way: max(8/0.9, 24/1.1, 40/1.4)/40 = 0.71429."""
    assert shares(LINK, {"a": replace(CASE, delay_s=0.1)}) == {"a": pytest.approx(5 / 7)}


def test_what_cannot_be_in_time_gets_no_share() -> None:
    """A deadline that is over, or leaves no time to compute, is nobody's to keep."""
    for left_s in (-1.0, 0.0, 0.1, 0.59):
        assert shares(LINK, {"a": replace(CASE, left_s=left_s)}) == {}
        assert not admits(LINK, {}, replace(CASE, left_s=left_s))


def test_admission() -> None:
    """2/3 and 1/3 fit, 2/3 twice do not, and without a deadline everybody is let in."""
    assert admits(LINK, {}, CASE)
    assert not admits(LINK, {"a": CASE}, CASE)
    third = Demand((1_666_666,), (0.0,), 1.0)  # 1.6667 MB in 1 s of 5 MB/s
    assert admits(LINK, {"a": CASE}, third)
    assert not admits(LINK, {"a": CASE, "b": third}, third)
    assert admits(LINK, {"a": CASE, "b": third}, replace(CASE, left_s=None))


def test_a_smaller_one_does_not_push_out() -> None:
    """The planner would serve two of 0.5 rather than one of 0.9; who was let in stays."""
    large, small = Demand((4_500_000,), (0.0,), 1.0), Demand((2_500_000,), (0.0,), 1.0)
    assert not admits(LINK, {"a": large}, small)
    # one that is late already keeps nobody out
    assert admits(LINK, {"a": replace(large, left_s=0.5)}, small)


def test_rest_goes_to_those_without_a_deadline() -> None:
    """2/3 to the one with a deadline, 1/6 to each of two without."""
    free = replace(CASE, left_s=None)
    found = divide(LINK, {"a": CASE, "b": free, "c": free})
    assert found == pytest.approx({"a": LINK * 2 / 3, "b": LINK / 6, "c": LINK / 6})


def test_rest_goes_to_all_where_all_have_deadlines() -> None:
    """Shares 2/5 and 1/5 become 2/3 and 1/3."""
    one, two = Demand((2_000_000,), (0.0,), 1.0), Demand((1_000_000,), (0.0,), 1.0)
    found = divide(LINK, {"a": one, "b": two})
    assert found == pytest.approx({"a": LINK * 2 / 3, "b": LINK / 3})


def test_who_does_not_read_lends() -> None:
    """What nobody reads goes to the others; a transfer that is all sent gets nothing."""
    away = replace(CASE, sending=False)
    done = Demand((0, 0), (0.1, 0.1), 1.0)
    free = replace(CASE, left_s=None)
    found = divide(LINK, {"a": away, "b": free, "c": done})
    assert found == pytest.approx({"a": 0.0, "b": LINK, "c": 0.0})
    assert divide(LINK, {}) == {}


demands = st.builds(
    lambda sizes, compute, left, sending: Demand(
        tuple(sizes), (compute,) * len(sizes), left, sending=sending
    ),
    st.lists(st.integers(0, 3_000_000), min_size=1, max_size=4),
    st.floats(0, 0.3),
    st.none() | st.floats(0.01, 5),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(demands, max_size=5))
def test_the_link_is_used_and_not_passed(given_: list[Demand]) -> None:
    """Rates sum to the link's where anybody reads; nobody that the plan serves gets less than its
    share."""
    named = {str(i): one for i, one in enumerate(given_)}
    rates = divide(LINK, named)
    reads = {name: one for name, one in named.items() if one.sending and any(one.bytes)}
    assert sum(rates.values()) == pytest.approx(LINK if reads else 0.0)
    for name, share in shares(LINK, reads).items():
        assert rates[name] >= share * LINK * (1 - 1e-9)
