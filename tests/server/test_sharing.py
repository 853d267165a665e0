"""What models share, for the page: against sums that a person can do."""

from __future__ import annotations

import pytest

from tests.server.still_engine import digest, served
from trunkline.server.sharing import MOST_SHOWN, Sharing, key_of

A = served("a", {"bottom": 100, "middle": 40, "a": 60})
B = served("b", {"bottom": 100, "middle": 40, "b": 10})
C = served("c", {"bottom": 100, "c": 300})
LONE = served("lone", {"lone": 70})
STORED = [one.stored for one in (LONE, A, B, C)]


def test_bytes_of_ones_own() -> None:
    """A model's own bytes are those of blocks that no other model holds."""
    assert Sharing.of(STORED).own_bytes == {"lone": 70, "a": 60, "b": 10, "c": 300}


def test_resident_bytes_by_holders() -> None:
    """Resident blocks are counted once, apart for those of several models and of one; blocks of
    models that left are not known."""
    blocks = [digest(name) for name in ("bottom", "middle", "c", "left long ago")]
    assert Sharing.of(STORED).resident(blocks) == (140, 300)


def test_families_and_matrix() -> None:
    """The largest family comes first, and a row says how much of its model each other one holds."""
    document = Sharing.of(STORED).document
    assert document["models"] == ["a", "b", "c", "lone"]
    assert document["percent"] == [
        [100, 70, 50, 0],  # a has 200 bytes: 140 also in b, 100 in c
        [93, 100, 67, 0],  # b has 150
        [25, 25, 100, 0],  # c has 400
        [0, 0, 0, 100],
    ]
    assert document["families"] == [
        {"models": 3, "first": "a", "distinct_bytes": 510, "whole_bytes": 750, "common_bytes": 100},
        {"models": 1, "first": "lone", "distinct_bytes": 70, "whole_bytes": 70, "common_bytes": 70},
    ]
    assert (document["distinct_bytes"], document["whole_bytes"]) == (580, 820)


@pytest.mark.parametrize("count", [0, 1, MOST_SHOWN + 20])
def test_any_number_of_models(count: int) -> None:
    """No model, one, or more than fit into a matrix: the document is whole, and says what it
    leaves out."""
    models = [served(f"m{i:03}", {"bottom": 10, f"{i}": 0 if i else 5}) for i in range(count)]
    document = Sharing.of([one.stored for one in models]).document
    shown = min(count, MOST_SHOWN)
    assert len(document["models"]) == len(document["percent"]) == shown
    assert document["left_out"] == count - shown
    assert all(len(row) == shown for row in document["percent"])


def test_key_changes_with_the_models() -> None:
    """The key is that of the set of models: not of their order, but of each one's content."""
    assert key_of(STORED) == key_of(STORED[::-1])
    assert key_of(STORED) != key_of(STORED[1:])
    changed = served("lone", {"lone": 71}).stored
    object.__setattr__(changed, "digest", digest("other"))
    assert key_of([changed, *STORED[1:]]) != key_of(STORED)
