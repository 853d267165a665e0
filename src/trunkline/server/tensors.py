"""Tensors of the Open Inference Protocol (version 2), as JSON and as raw bytes.

Datatypes are the protocol's (`FP32`, `INT64`, `BYTES`, ...) and Triton's `BF16`. Raw tensors are
little-endian and row-major; an element of `BYTES` is four bytes of length and then the bytes. NumPy
has no bfloat16: a `BF16` tensor is an array of its 16 bits (uint16).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from trunkline.errors import InputError

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""NumPy's type for each datatype."""

MAX_DIMENSIONS: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor with the protocol's datatype.

    Attributes:
        name: its name in the request or response.
        datatype: a key of `DTYPES`.
        array: the values; `BF16` as uint16, `BYTES` as objects of type bytes.
    """

    name: str
    datatype: str
    array: np.ndarray[Any, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.array.shape)


def elements(shape: Sequence[int], limit: int, where: str) -> int:
    """The number of elements of a shape, checked before anything is allocated.

    Raises:
        InputError: a dimension is negative, or there are more dimensions or elements than allowed.
    """
    if len(shape) > MAX_DIMENSIONS:
        raise InputError(f"{where}: {len(shape)} dimensions, limit {MAX_DIMENSIONS}")
    if any(size < 0 for size in shape):
        raise InputError(f"{where}: a negative dimension in {list(shape)}")
    count = math.prod(shape)
    if count > limit:
        raise InputError(f"{where}: {count} elements, limit {limit}")
    return count


def from_json(
    data: object, datatype: str, shape: Sequence[int], where: str
) -> np.ndarray[Any, Any]:
    """The array of a tensor given as JSON: a list in row-major order, flat or nested.

    Raises:
        InputError: the count is not the shape's, or an element is not of the datatype.
    """
    flat = _flat(data, where)
    count = math.prod(shape)
    if len(flat) != count:
        raise InputError(f"{where}: {len(flat)} elements in its data, {count} in its shape")
    dtype = DTYPES[datatype]
    if datatype == "BYTES":
        texts = np.empty(count, dtype=object)
        for i, one in enumerate(flat):
            if not isinstance(one, str):
                raise InputError(f"{where}: element {i} is no text: {_short(one)}")
            texts[i] = one.encode()
        return texts.reshape(shape)
    whole = dtype.kind in "iu" and datatype != "BF16"
    kinds = (bool,) if datatype == "BOOL" else (int,) if whole else (int, float)
    wrong = next((i for i, one in enumerate(flat) if type(one) not in kinds), None)
    if wrong is not None:
        raise InputError(f"{where}: element {wrong} is no {datatype}: {_short(flat[wrong])}")
    try:
        with np.errstate(over="ignore"):
            array = np.array(flat, dtype=np.float32 if datatype == "BF16" else dtype)
    except OverflowError:
        raise InputError(f"{where}: an element is out of the range of {datatype}") from None
    return (_to_bf16(array) if datatype == "BF16" else array).reshape(shape)


def from_bytes(
    raw: memoryview, datatype: str, shape: Sequence[int], where: str
) -> np.ndarray[Any, Any]:
    """The array of a tensor given as raw bytes; not a copy, and not writable, unless `BYTES`.

    Raises:
        InputError: the bytes are not as many as the datatype and shape need.
    """
    count = math.prod(shape)
    if datatype == "BYTES":
        return _texts(raw, count, where).reshape(shape)
    dtype = DTYPES[datatype]
    if len(raw) != count * dtype.itemsize:
        raise InputError(
            f"{where}: {len(raw)} bytes of raw data, {datatype} of shape {list(shape)} has "
            f"{count * dtype.itemsize}"
        )
    array: np.ndarray[Any, Any] = np.frombuffer(raw, np.uint8 if datatype == "BOOL" else dtype)
    return (array != 0 if datatype == "BOOL" else array).reshape(shape)


def to_json(tensor: Tensor) -> list[Any]:
    """The values as a flat list in row-major order.

    Raises:
        InputError: a value that JSON has no number for, or bytes that are no UTF-8 text.
    """
    flat = tensor.array.reshape(-1)
    if tensor.datatype == "BYTES":
        try:
            return [bytes(one).decode() for one in flat]
        except UnicodeDecodeError:
            raise InputError(
                f"output {tensor.name!r} is no UTF-8 text; ask for it as binary data"
            ) from None
    if tensor.datatype == "BF16":
        flat = _from_bf16(flat)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        raise InputError(
            f"output {tensor.name!r} has values that are not finite, which JSON cannot say; ask "
            "for it as binary data"
        )
    return list(flat.tolist())


def to_bytes(tensor: Tensor) -> bytes | memoryview:
    """The values as raw bytes."""
    if tensor.datatype == "BYTES":
        flat = [bytes(one) for one in tensor.array.reshape(-1)]
        return b"".join(len(one).to_bytes(4, "little") + one for one in flat)
    wanted = np.ascontiguousarray(tensor.array, dtype=DTYPES[tensor.datatype])
    return memoryview(wanted.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def _flat(data: object, where: str) -> list[Any]:
    if not isinstance(data, list):
        raise InputError(f"{where}: its data is no list")
    flat: list[Any] = data
    for _ in range(MAX_DIMENSIONS):
        if not flat or not isinstance(flat[0], list):
            break
        width = len(flat[0])
        if any(not isinstance(row, list) or len(row) != width for row in flat):
            raise InputError(f"{where}: its nested data is ragged")
        flat = [one for row in flat for one in row]
    return flat


def _texts(raw: memoryview, count: int, where: str) -> np.ndarray[Any, Any]:
    array = np.empty(count, dtype=object)
    at = 0
    if count * 4 > len(raw):
        raise InputError(f"{where}: {len(raw)} bytes cannot hold {count} elements of BYTES")
    for i in range(count):
        size = int.from_bytes(raw[at : at + 4], "little")
        at += 4
        if at + size > len(raw):
            raise InputError(f"{where}: element {i} of BYTES ends beyond its {len(raw)} bytes")
        array[i] = bytes(raw[at : at + size])
        at += size
    if at != len(raw):
        raise InputError(f"{where}: {len(raw) - at} bytes after its last element")
    return array


def _to_bf16(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Round to the nearest bfloat16, ties to even (the upper half of a float32's bits)."""
    bits = values.view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype("<u2")


def _from_bf16(bits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
