"""The protocol's bodies: what a client nobody here wrote sends and reads, and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trunkline.errors import InputError
from trunkline.server.protocol import HEADER_LENGTH, parse, render
from trunkline.server.tensors import DTYPES, Tensor

LIMIT = 10**6
NUMERIC = sorted(set(DTYPES) - {"BYTES", "BF16"})


def body(*inputs: dict[str, Any], raw: bytes = b"", **more: Any) -> tuple[bytes, str | None]:
    """A request's body and the length of its JSON."""
    head = json.dumps({"inputs": list(inputs), **more}).encode()
    return head + raw, str(len(head)) if raw else None


def x(**changes: Any) -> dict[str, Any]:
    """A good input, changed."""
    one = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2.5], **changes}
    return {key: value for key, value in one.items() if value is not ...}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_triton_requests_arrive_as_they_were_meant(data: st.DataObject) -> None:
    """Whatever type and shape, as JSON or raw, tritonclient's request gives its array back."""
    datatype = data.draw(st.sampled_from(NUMERIC))
    array = data.draw(
        arrays.arrays(
            DTYPES[datatype],
            arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
            elements={"allow_nan": False, "allow_infinity": False}
            if DTYPES[datatype].kind == "f"
            else None,
        )
    )
    binary = data.draw(st.booleans()) or datatype == "FP16"
    given_ = triton.InferInput("x", list(array.shape), datatype)
    given_.set_data_from_numpy(array, binary_data=binary)
    raw, size = triton.InferenceServerClient.generate_request_body([given_], request_id="q")
    request = parse(raw, None if size is None else str(size), LIMIT)
    assert request.id == "q"
    (found,) = request.inputs
    assert found.array.dtype == array.dtype
    np.testing.assert_array_equal(found.array, array)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_triton_reads_our_responses(data: st.DataObject) -> None:
    """Every type, raw or as JSON, is read back by tritonclient as it was."""
    datatype = data.draw(st.sampled_from(NUMERIC))
    array = data.draw(
        arrays.arrays(
            DTYPES[datatype],
            arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
            elements={"allow_nan": False, "allow_infinity": False}
            if DTYPES[datatype].kind == "f"
            else None,
        )
    )
    binary = data.draw(st.booleans())
    wanted = [triton.InferRequestedOutput("y", binary_data=binary)]
    given_ = triton.InferInput("x", [1], "FP32")
    given_.set_data_from_numpy(np.zeros(1, np.float32))
    raw, size = triton.InferenceServerClient.generate_request_body([given_], outputs=wanted)
    request = parse(raw, str(size), LIMIT)
    pieces, headers = render("m", "1", request, [Tensor("y", datatype, array)])
    length = headers.get(HEADER_LENGTH)
    result = triton.InferenceServerClient.parse_response_body(
        b"".join(pieces), header_length=None if length is None else int(length)
    )
    found = result.as_numpy("y")
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)


def test_texts_go_both_ways() -> None:
    """BYTES of any content raw, UTF-8 as JSON, in both directions."""
    array = np.array([b"", "größer".encode(), b"\xff\x00"], dtype=object)
    given_ = triton.InferInput("x", [3], "BYTES")
    given_.set_data_from_numpy(array)
    raw, size = triton.InferenceServerClient.generate_request_body([given_])
    request = parse(raw, str(size), LIMIT)
    assert request.inputs[0].array.tolist() == array.tolist()
    pieces, headers = render("m", "", request, [Tensor("y", "BYTES", array)])
    result = triton.InferenceServerClient.parse_response_body(
        b"".join(pieces), header_length=int(headers[HEADER_LENGTH])
    )
    assert result.as_numpy("y").tolist() == array.tolist()
    text, none = body(x(datatype="BYTES", shape=[1], data=["größer"]))
    request = parse(text, none, LIMIT)
    assert request.inputs[0].array.tolist() == ["größer".encode()]
    with pytest.raises(InputError, match="no UTF-8 text; ask for it as binary"):
        render("m", "", request, [Tensor("y", "BYTES", array)])


def test_bfloat16_as_json_is_rounded_to_nearest() -> None:
    """1.00390625 = 1 + 2^-8 lies between 1 and 1 + 2^-7 and goes to the even one, 1; 3e38 stays
    finite; and back. As raw data it is its 16 bits."""
    text, none = body(x(datatype="BF16", shape=[3], data=[1.00390625, -2, 3e38]))
    request = parse(text, none, LIMIT)
    assert request.inputs[0].array.tolist() == [0x3F80, 0xC000, 0x7F62]
    pieces, _ = render("m", "", request, [Tensor("y", "BF16", request.inputs[0].array)])
    assert json.loads(b"".join(pieces))["outputs"][0]["data"][:2] == [1, -2]


def test_only_wanted_outputs_come_in_the_wanted_form() -> None:
    """One raw, one as JSON, one not at all; a request for another is refused with those there."""
    wanted = [
        {"name": "a", "parameters": {"binary_data": True}},
        {"name": "b", "parameters": {"binary_data": False}},
    ]
    outputs = [Tensor(n, "INT8", np.array([i], "<i1")) for i, n in enumerate("abc")]
    request = parse(*body(x(), outputs=wanted), LIMIT)
    pieces, headers = render("m", "1", request, outputs)
    head = json.loads(bytes(pieces[0]))
    assert [one["name"] for one in head["outputs"]] == ["a", "b"]
    assert [bytes(one) for one in pieces[1:]] == [b"\0"]
    assert int(headers[HEADER_LENGTH]) == len(pieces[0])
    request = parse(*body(x(), outputs=[{"name": "z"}]), LIMIT)
    with pytest.raises(InputError, match="no output 'z'; it has 'a', 'b', 'c'"):
        render("m", "1", request, outputs)


@pytest.mark.parametrize(
    ("inputs", "raw", "message"),
    [
        ([x(datatype="FP8")], b"", "input 'x': datatype must be one of"),
        ([x(shape=[3])], b"", "input 'x': 2 elements in its data, 3 in its shape"),
        ([x(shape=[-2])], b"", "negative dimension"),
        ([x(shape=[10**6, 10**6])], b"", "elements, limit 1000000"),
        ([x(shape=[2.0])], b"", "shape must be a list of whole numbers"),
        ([x(shape=[True, 2])], b"", "shape must be a list of whole numbers"),
        ([x(shape=[1] * 40)], b"", "40 dimensions"),
        ([x(data=...)], b"", "neither data nor binary_data_size"),
        ([x(data=[1, "2"])], b"", "element 1 is no FP32: '2'"),
        ([x(datatype="INT8", data=[1, 300])], b"", "out of the range of INT8"),
        ([x(datatype="UINT8", data=[1, -1])], b"", "out of the range of UINT8"),
        ([x(datatype="BF16", data=[1, 10**400])], b"", "out of the range of BF16"),
        ([x(datatype="INT8", data=[1, 2.5])], b"", "element 1 is no INT8"),
        ([x(datatype="BOOL", data=[True, 1])], b"", "element 1 is no BOOL"),
        ([x(shape=[2, 2], data=[[1, 2], [3]])], b"", "ragged"),
        ([x(data={"a": 1})], b"", "its data is no list"),
        ([x(parameters={"binary_data_size": 8})], b"12345678", "both data and binary_data_size"),
        ([x(data=..., parameters={"binary_data_size": 9})], b"12345678", "9 bytes .* only 8 come"),
        ([x(data=..., parameters={"binary_data_size": -1})], b"1", "whole number of bytes"),
        ([x(data=..., parameters={"binary_data_size": 4})], b"1234", r"4 bytes .* \[2\] has 8"),
        ([x(data=..., parameters={"binary_data_size": 8})], b"123456789", "1 bytes that no input"),
        ([x(parameters=[1])], b"", "parameters must be an object"),
        ([x(parameters={"a": None})], b"", "parameter 'a' must be a text, a number"),
        ([x(), x()], b"", "inputs: 'x' twice"),
        ([x(name="")], b"", r"inputs\[0\]: name must be a text"),
        ([], b"", "no inputs"),
        (
            [x(datatype="BYTES", data=..., parameters={"binary_data_size": 9})],
            b"\xff\xff\xff\xff12345",
            "element 0 of BYTES ends beyond",
        ),
    ],
)
def test_faulty_requests_are_refused_by_name(
    inputs: list[dict[str, Any]], raw: bytes, message: str
) -> None:
    """Each fault is an InputError that names the input and the rule."""
    with pytest.raises(InputError, match=message):
        parse(*body(*inputs, raw=raw), LIMIT)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99", "", "٣", "9" * 30])
def test_a_lying_header_length(length: str) -> None:
    """No number, or beyond the body: refused."""
    with pytest.raises(InputError, match=HEADER_LENGTH):
        parse(b"{}", length, LIMIT)


@settings(max_examples=300, deadline=None)
@given(
    raw=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["inputs", "name", "shape", "datatype", "data", "parameters", "id"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    ).map(lambda value: json.dumps(value).encode()),
    length=st.none() | st.integers(0, 220).map(str),
)
def test_any_bytes_are_a_request_or_an_input_error(raw: bytes, length: str | None) -> None:
    """No other exception leaves the parser."""
    with suppress(InputError):
        assert parse(raw, length, LIMIT).inputs
