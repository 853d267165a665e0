"""The header parser accepts what safetensors accepts, bar what it says it refuses."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import WeightsFormatError
from trunkline.store.dtypes import ITEM_BYTES
from trunkline.store.header import encode_header, header_length, parse_header
from trunkline.store.model import TensorSpec

NAMES = st.text(max_size=12).filter(lambda name: name != "__metadata__")
SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)


@st.composite
def files(draw: st.DrawFn) -> tuple[list[TensorSpec], bytes, bytes]:
    """A valid file: its tensors, header bytes (its order shuffled) and data."""
    names = draw(st.lists(NAMES, unique=True, max_size=5))
    tensors, begin = [], 0
    for name in names:
        dtype, shape = draw(st.sampled_from(sorted(ITEM_BYTES))), draw(SHAPES)
        count = ITEM_BYTES[dtype]
        for size in shape:
            count *= size
        tensors.append(TensorSpec(name, dtype, shape, begin, begin + count))
        begin += count
    header = encode_header(draw(st.permutations(tensors)), {"k": draw(st.text(max_size=5))})
    return tensors, header, draw(st.binary(min_size=begin, max_size=begin))


def parse(content: bytes) -> Any:
    """Parse a whole file."""
    length = header_length(content[:8], len(content), "file")
    return parse_header(content[8 : 8 + length], len(content), "file")


def accepted_by_safetensors(content: bytes) -> bool:
    """Whether the library itself reads these bytes."""
    safetensors = pytest.importorskip("safetensors")
    try:
        safetensors.deserialize(content)
    except safetensors.SafetensorError:
        return False
    return True


@given(files())
@settings(max_examples=150, deadline=None)
def test_a_valid_file_reads_as_written(file: tuple[list[TensorSpec], bytes, bytes]) -> None:
    """What the writer wrote the parser reads, and so does safetensors; the payload is aligned."""
    tensors, header, data = file
    found = parse(header + data)
    assert set(found.tensors) == set(tensors)
    assert [one.begin for one in found.tensors] == sorted(one.begin for one in tensors)
    assert found.data_start == len(header)
    assert len(header) % 64 == 0
    assert accepted_by_safetensors(header + data)


@given(files(), st.data())
@settings(max_examples=400, deadline=None)
def test_never_laxer_than_safetensors(
    file: tuple[list[TensorSpec], bytes, bytes], data: st.DataObject
) -> None:
    """Of damaged files, the parser accepts none that safetensors refuses, and never crashes."""
    _, header, payload = file
    content = bytearray(header + payload)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1)) if content else 0
        piece = data.draw(st.binary(max_size=3) | st.sampled_from([b'"', b"0", b"-", b"[", b" "]))
        content[at : at + data.draw(st.integers(0, 3))] = piece
    try:
        parse(bytes(content))
    except WeightsFormatError:
        return
    assert accepted_by_safetensors(bytes(content))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["dtype", "shape", "data_offsets", "a", "__metadata__"]), inner
            )
        ),
        max_leaves=12,
    )
)
@settings(max_examples=300, deadline=None)
def test_any_json_is_refused_or_agreed_on(document: Any) -> None:
    """Any JSON at all: refused with a WeightsFormatError, or read by safetensors, too."""
    raw = json.dumps(document).encode()
    content = struct.pack("<Q", len(raw)) + raw
    try:
        parse(content)
    except WeightsFormatError:
        return
    assert accepted_by_safetensors(content)


def test_a_shape_entry_may_be_stricter_only_where_documented() -> None:
    """Each documented strictness holds, where safetensors itself is laxer."""
    one = b'{"dtype":"U8","shape":[1],"data_offsets":[0,1]'
    cases = {
        b" {}": b"",  # does not begin with a brace
        b'{"a":' + one + b',"x":1}}': b"1",  # an unknown field
        b'{"a":["U8",[1],[0,1]]}': b"1",  # a tensor as an array
        b'{"__metadata__":null}': b"",
        b'{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}': b"1",  # less than a byte
    }
    for raw, data in cases.items():
        content = struct.pack("<Q", len(raw)) + raw + data
        assert accepted_by_safetensors(content)
        with pytest.raises(WeightsFormatError):
            parse(content)


def test_trailing_spaces_are_part_of_the_format() -> None:
    """A header padded with spaces, as safetensors writes it, is read."""
    assert parse(struct.pack("<Q", 8) + b"{}      ").tensors == ()


def test_equal_tensors_encode_to_equal_bytes() -> None:
    """The encoder is a function of its arguments, down to the padding."""
    tensors = [TensorSpec("é\n", "F32", (1,), 0, 4)]
    expected = '{"é\\n":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.encode()
    header = encode_header(tensors, {})
    assert header[8:].rstrip(b" ") == expected
    # 8 + 57 bytes of JSON: padded to 128.
    assert len(expected) == 57
    assert len(header) == 128
