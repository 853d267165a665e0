"""Whatever a valid safetensors file or tensors in memory hold comes back unchanged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.errors import StoreError, WeightsFormatError
from trunkline.store import Store, Tensors
from trunkline.store.dtypes import ITEM_BYTES
from trunkline.store.sources import open_safetensors, open_tensors

ODD_NAMES = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/abs",
    "a\nb",
    "a\0b",
    "é.ü",
    "a.b.",
    "\\",
    "🦜.w",
    '"',
]


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_tensors_come_back(
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
    contents: Callable[..., dict[str, Any]],
) -> None:
    """Random names, types, shapes and bytes survive the store bit by bit."""
    names = st.text(max_size=8) | st.sampled_from(ODD_NAMES)
    chosen = data.draw(st.lists(names, unique=True, max_size=6))
    tensors = []
    for name in chosen:
        dtype = data.draw(st.sampled_from(sorted(ITEM_BYTES)))
        shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
        size = ITEM_BYTES[dtype] * int(np.prod(shape, dtype=int))
        tensors.append((name, dtype, shape, data.draw(st.binary(min_size=size, max_size=size))))
    store = Store.open(tmp_path_factory.mktemp("any") / "store", create=True)
    store.add("m", Tensors(tensors))
    model = Store.open(store.path).model("m")
    found = contents(store, model)
    assert found == {name: (dtype, shape, raw) for name, dtype, shape, raw in tensors}
    assert all(block.data_start % 64 == 0 for block in model.blocks)
    assert store.verify().ok


def test_odd_names_and_shapes_of_a_file(
    store: Store, write_file: Callable[..., Path], contents: Callable[..., dict[str, Any]]
) -> None:
    """Odd names, scalars, empty tensors and buffers of whole numbers go through a file."""
    arrays: dict[str, np.ndarray[Any, Any]] = {
        name: np.full((i % 3, 2), i, "<f4") for i, name in enumerate(ODD_NAMES)
    }
    arrays["bn.num_batches_tracked"] = np.array(7, "<i8")
    arrays["bn.mask"] = np.array([True, False])
    store.add("m", write_file(arrays))
    found = contents(store, store.model("m"))
    assert {name: one[2] for name, one in found.items()} == {
        name: array.tobytes() for name, array in arrays.items()
    }
    assert found["bn.num_batches_tracked"][:2] == ("I64", ())


def test_the_order_of_the_header_need_not_be_that_of_the_data(
    store: Store, write_file: Callable[..., Path], contents: Callable[..., dict[str, Any]]
) -> None:
    """A header whose order differs from that of the offsets is read; so are blocks from it."""
    arrays = {f"l{i}.w": np.arange(i, i + 4, dtype="<f4") for i in (2, 0, 1)}
    path = write_file(arrays, header_order=["l0.w", "l1.w", "l2.w"])
    store.add("m", path)
    model = store.model("m")
    assert [block.id for block in model.blocks] == ["l0", "l1", "l2"]
    assert {k: v[2] for k, v in contents(store, model).items()} == {
        k: v.tobytes() for k, v in arrays.items()
    }


def test_a_bare_file_is_ordered_by_the_numbers_in_its_names(
    write_file: Callable[..., Path],
) -> None:
    """Without an architecture, layer 2 comes before layer 10."""
    arrays = {f"l{i}.w": np.zeros(1, "<f4") for i in (10, 2, 1)}
    source = open_safetensors(write_file(arrays))
    source.close()
    assert [one.name for one in source.tensors] == ["l1.w", "l2.w", "l10.w"]


def test_ties_noted_in_the_metadata_are_kept(store: Store, write_file: Callable[..., Path]) -> None:
    """`save_model` notes dropped names in the metadata; these become ties, other notes do not."""
    metadata = {"head.w": "emb.w", "format": "pt", "author": "emb.x"}
    store.add("m", write_file({"emb.w": np.ones(2, "<f4")}, metadata=metadata))
    model = store.model("m")
    assert model.tied == {"head.w": "emb.w"}
    assert model.metadata == metadata


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ([("a", "F32", (1,), b"123")], "takes 4 bytes"),
        ([("a", "U8", (), b"1"), ("a", "U8", (), b"1")], "two tensors"),
        ([("a", "F99", (1,), b"1")], "unknown type"),
        ([("a", "F4", (2,), b"1")], "less than a byte"),
        ([("a", "U8", (-1,), b"")], "negative"),
        ([("__metadata__", "U8", (), b"1")], "no tensor may be called"),
        ([("\ud800", "U8", (), b"1")], "Unicode"),
        ([("a", "U8", (1,), 7)], "cannot be read as bytes"),
    ],
)
def test_tensors_in_memory_that_are_refused(tensors: list[Any], says: str) -> None:
    """Tensors in memory are checked as those of a file are."""
    with pytest.raises(StoreError, match=says):
        open_tensors(Tensors(tensors))


def test_ties_must_lead_to_a_tensor() -> None:
    """A tie to a name that is not there, or of a name that is, is refused."""
    one = [("a", "U8", (), b"1"), ("b", "U8", (), b"2")]
    for tied in ({"c": "d"}, {"b": "a"}):
        with pytest.raises(WeightsFormatError, match="is tied to"):
            open_tensors(Tensors(one, tied=tied))


def test_numpy_arrays_of_any_layout_are_taken() -> None:
    """Transposed, scalar and empty arrays are read in row-major order."""
    square = np.arange(4, dtype="<f4").reshape(2, 2)
    source = open_tensors(
        Tensors(
            [
                ("t", "F32", (2, 2), square.T),
                ("s", "I64", (), np.array(3)),
                ("e", "F32", (0, 3), np.zeros((0, 3), "<f4")),
            ]
        )
    )
    read = {}
    for tensor in source.tensors:
        buffer = bytearray(tensor.bytes)
        tensor.reader.read_into(tensor.position, memoryview(buffer))
        read[tensor.name] = bytes(buffer)
    assert read == {"t": square.T.copy().tobytes(), "s": np.array(3).tobytes(), "e": b""}
