"""Texts into what a model of Transformers takes, by the tokenizer that came with it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from trunkline.errors import InputError
from trunkline.server.work import TensorInfo
from trunkline.store.building import UNEXPECTED, told

MAX_TEXT_BYTES: Final = 2**20
"""A longer text is refused; what a model does not read of a shorter one is cut off."""

LONGEST: Final = 8192
"""Tokens of one text, for a model that sets no limit."""

BUCKET: Final = 16
"""Texts that get one label each are filled up to a multiple of so many tokens, so that texts of
different lengths can be computed in one batch."""

_FROM_PAD: Final = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "mpnet"}
    | {"data2vec-text", "longformer", "ibert", "xmod", "luke", "markuplm", "layoutlmv3", "esm"}
)
"""Types of models whose positions begin after the number of the padding token."""


class Texts:
    """The input `text`: UTF-8, one text a sample.

    Attributes:
        info: what it takes.
        longest: the most tokens of a text that the model reads; the rest is cut off.

    Args:
        tokenizer: Transformers' own; used by one thread at a time.
        config: the model's `config.json`.
        accepted: the names that the model's forward takes.
        bucket: whether answers do not depend on how far a text is filled up.
    """

    def __init__(
        self, tokenizer: Any, config: Mapping[str, Any], accepted: frozenset[str], bucket: bool
    ) -> None:
        self.info = TensorInfo("text", "BYTES", (-1,))
        self.longest = longest(tokenizer, config)
        self._tokenizer = tokenizer
        self._accepted = accepted
        self._pads = tokenizer.pad_token is not None and "attention_mask" in accepted
        self._multiple = BUCKET if bucket and self.longest % BUCKET == 0 else None
        known = _of_text(config).get("vocab_size")
        self._vocabulary = known if type(known) is int else 2**31
        self._lock = threading.Lock()  # a fast tokenizer keeps its settings in itself

    def encode(self, array: NDArray[Any]) -> dict[str, torch.Tensor]:
        """Tokens and masks, each of shape (texts, tokens of the longest).

        Raises:
            InputError: no texts, too long ones, bytes that are no UTF-8, texts of different lengths
                for a model that has no padding, or tokens that the model does not know.
        """
        encoded = self._tokens([_text(one, i) for i, one in enumerate(elements(array, "text"))])
        rows = encoded["input_ids"]
        if len({len(row) for row in rows}) > 1:
            raise InputError(
                "input 'text': the texts have different numbers of tokens, and this model has no "
                "padding; send them one by one"
            )
        highest = max((token for row in rows for token in row), default=0)
        if highest >= self._vocabulary:  # an accelerator would stop for good at such a one
            raise InputError(
                f"input 'text': the tokenizer gives token {highest}, the model has "
                f"{self._vocabulary} of them"
            )
        return {
            name: torch.tensor(encoded[name], dtype=torch.int64)
            for name in encoded
            if name in self._accepted
        }

    def _tokens(self, texts: list[str]) -> Any:
        try:
            with self._lock:
                return self._tokenizer(
                    texts,
                    truncation=True,
                    max_length=self.longest,
                    padding=self._pads,
                    pad_to_multiple_of=self._multiple if self._pads else None,
                )
        except UNEXPECTED as error:
            raise InputError(f"input 'text': it cannot be encoded: {told(error)}") from None


def longest(tokenizer: Any, config: Mapping[str, Any]) -> int:
    """The most tokens of a text: the tokenizer's and the model's limits, whichever is less."""
    inner = _of_text(config)
    limits = [LONGEST]
    for name in ("max_position_embeddings", "n_positions"):
        if type(inner.get(name)) is int:
            offset = inner.get("pad_token_id") if inner.get("model_type") in _FROM_PAD else None
            limits.append(inner[name] - (offset + 1 if type(offset) is int else 0))
    limits.append(int(min(tokenizer.model_max_length, LONGEST)))
    return max(min(limits), 1)


def elements(array: NDArray[Any], name: str) -> list[Any]:
    """The elements of a BYTES tensor of shape (n,) or (n, 1) (InputError: another one)."""
    flat = array.reshape(-1)
    if array.dtype != np.dtype(object) or array.ndim not in (1, 2) or len(array) != len(flat):
        raise InputError(
            f"input {name!r} is {array.dtype} of shape {list(array.shape)}; it must be BYTES of "
            "shape [n] or [n, 1]"
        )
    if not len(flat):
        raise InputError(f"input {name!r} is empty")
    return list(flat)


def _of_text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that is about texts, where a model takes images, too."""
    part = config.get("text_config")
    return part if isinstance(part, dict) else config


def _text(raw: Any, i: int) -> str:
    content = raw.encode() if isinstance(raw, str) else bytes(raw)
    if len(content) > MAX_TEXT_BYTES:
        raise InputError(f"input 'text': element {i} has {len(content)} bytes, limit 1 MiB")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InputError(f"input 'text': element {i} is no UTF-8") from None
