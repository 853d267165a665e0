"""Requests joined to a batch, and answers taken apart: small ones by numpy, all as PyTorch does."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trunkline.server import batching
from trunkline.server.batching import copy_of, joined, parted

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.sampled_from(DTYPES),
    st.sampled_from([0, 3, 5000]),
    st.integers(0, 2**16),
)
def test_a_batch_is_its_requests_one_after_the_other(
    counts: list[int], dtype: torch.dtype, width: int, seed: int
) -> None:
    """And taken apart again it is what it was, whatever the type and the size."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(0, 2, (n, width), generator=generator).to(dtype) for n in counts]
    whole = joined([{"x": one} for one in rows])
    assert torch.equal(whole["x"], torch.cat(rows))
    assert whole["x"].dtype is dtype
    parts = parted(whole, counts)
    for part, one in zip(parts, rows, strict=True):
        assert torch.equal(part["x"], one)


@pytest.mark.parametrize("size", [5, batching.SMALL + 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_copy_shares_nothing(size: int, dtype: torch.dtype) -> None:
    """Small or large; strided and negated views too."""
    tensor = torch.ones(2 * size).to(dtype)[::2]
    copy = copy_of(tensor)
    assert torch.equal(copy, tensor)
    tensor.zero_()
    assert copy.all()


def test_a_copy_of_a_negated_view() -> None:
    """numpy knows no such views; PyTorch copies them."""
    view = torch.tensor([1 + 2j, 3 + 4j]).conj().imag
    assert view.is_neg()
    assert copy_of(view).tolist() == [-2.0, -4.0]
