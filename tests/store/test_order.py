"""Names are ordered as people number them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.store.order import natural_key


def test_digits_count_as_numbers() -> None:
    """`layer.10` comes after `layer.2`, and equal numbers fall back to the text."""
    names = ["b.10", "b.2", "a.01", "a.1", "", "10", "9"]
    assert sorted(names, key=natural_key) == ["", "9", "10", "a.01", "a.1", "b.2", "b.10"]


@given(st.lists(st.text(alphabet="a1٣²٠.0", max_size=6)))
def test_any_names_can_be_ordered(names: list[str]) -> None:
    """Any texts compare, foreign digits too, and only equal ones tie."""
    once = list(dict.fromkeys(names))
    backwards = once[::-1]
    assert sorted(once, key=natural_key) == sorted(backwards, key=natural_key)


def test_a_very_long_number_is_no_error() -> None:
    """Ten thousand digits, more than Python converts by default, compare all the same."""
    assert natural_key("9" * 10_000) > natural_key("5")
