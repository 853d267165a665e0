"""Texts as tokens: padding, the model's limit, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.server.pipelines import WORDS, library, save_tokenizer, texts
from trunkline.errors import InputError
from trunkline.server.texts import BUCKET, LONGEST, MAX_TEXT_BYTES, Texts, longest

library()
ACCEPTED = frozenset({"input_ids", "attention_mask"})
CONFIG: dict[str, Any] = {"max_position_embeddings": 2 * BUCKET, "vocab_size": len(WORDS)}


def made(folder: Path, bucket: bool = False, **settings: Any) -> Texts:
    """Texts of the test's words."""
    return Texts(save_tokenizer(folder, **settings), CONFIG, ACCEPTED, bucket)


def test_texts_are_filled_up_and_masked(tmp_path: Path) -> None:
    """To the longest of the request, or in buckets; a mask tells words from filling, and what the
    forward does not take is left out."""
    given = texts("w1 w2", "w3")
    plain = made(tmp_path).encode(given)
    assert plain.keys() == ACCEPTED
    assert plain["input_ids"].tolist() == [[2, 5, 6, 3], [2, 7, 3, 0]]
    assert plain["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    filled = made(tmp_path, bucket=True).encode(given.reshape(2, 1))
    assert filled["input_ids"].shape == (2, BUCKET)
    assert filled["attention_mask"].sum(1).tolist() == [4, 3]


@pytest.mark.parametrize("bucket", [False, True])
def test_long_texts_are_cut(tmp_path: Path, bucket: bool) -> None:
    """No text has more tokens than the model reads, the end's mark among them."""
    found = made(tmp_path, bucket).encode(texts("w1 " * 1000))["input_ids"]
    assert found.shape == (1, 2 * BUCKET)
    assert found[0, -1] == 3


@pytest.mark.parametrize(
    ("config", "most"),
    [
        ({"max_position_embeddings": 7}, 7),
        ({"n_positions": 9}, 9),
        ({"text_config": {"max_position_embeddings": 5}}, 5),
        # Positions of a RoBERTa begin after the padding's number, 1.
        ({"max_position_embeddings": 514, "pad_token_id": 1, "model_type": "roberta"}, 512),
        ({"max_position_embeddings": 10**9}, LONGEST),
        ({"max_position_embeddings": "many"}, LONGEST),
        ({}, LONGEST),
        ({"max_position_embeddings": -3}, 1),
    ],
)
def test_the_limit_is_the_model_s_or_the_tokenizer_s(
    tmp_path: Path, config: dict[str, Any], most: int
) -> None:
    """Whichever is less, and ours where neither says."""
    assert longest(save_tokenizer(tmp_path), config) == most
    assert longest(save_tokenizer(tmp_path, model_max_length=4), config) == min(4, most)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (texts(), "is empty"),
        (texts(b"\xff"), "element 0 is no UTF-8"),
        (texts("w1", "x" * (MAX_TEXT_BYTES + 1)), "element 1 has .* bytes"),
        (np.zeros((1,), np.int64), "must be BYTES"),
        (texts("w1", "w2").reshape(1, 2), r"shape \[1, 2\]"),
    ],
)
def test_what_is_refused(tmp_path: Path, array: Any, says: str) -> None:
    """No texts, no UTF-8, too long, no BYTES, another shape: each says what is wrong."""
    with pytest.raises(InputError, match=says):
        made(tmp_path).encode(array)


def test_a_model_without_padding(tmp_path: Path) -> None:
    """Texts of equal lengths go together, others are refused."""
    found = made(tmp_path, pad_token=None)
    assert found.encode(texts("w1 w2", "w3 w4"))["input_ids"].shape == (2, 4)
    with pytest.raises(InputError, match="one by one"):
        found.encode(texts("w1 w2", "w3"))


def test_tokens_that_the_model_does_not_have(tmp_path: Path) -> None:
    """A tokenizer of another model gives an error, not an index out of range on a device."""
    small = Texts(save_tokenizer(tmp_path), {"vocab_size": 10}, ACCEPTED, False)
    assert small.encode(texts("w1"))["input_ids"].tolist() == [[2, 5, 3]]
    with pytest.raises(InputError, match="gives token 34, the model has 10"):
        small.encode(texts("w30"))
