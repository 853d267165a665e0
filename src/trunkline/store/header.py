"""The safetensors header: a strict parser and a deterministic writer.

A file is eight bytes of header length n (little-endian), n bytes of UTF-8 JSON that begin with
`{`, and the data. The JSON maps each tensor name to its type, shape and `data_offsets` within the
data; `__metadata__` maps strings to strings. Together the tensors cover the data exactly, without
holes or overlaps; the order of the header need not be the order of the offsets.

The parser accepts nothing that the safetensors library refuses. It is stricter in that it also
refuses a header that does not begin with `{` (the format says it must), duplicate keys, unknown
fields, tensors written as JSON arrays, a `__metadata__` of null, names over 4,096 bytes, more than
a million tensors, a dimension over 2^63 - 1, and the types of less than a byte.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from trunkline.errors import WeightsFormatError
from trunkline.store.dtypes import ITEM_BYTES, SUB_BYTE
from trunkline.store.model import TensorSpec
from trunkline.units import shorten

MAX_HEADER_BYTES: Final = 100_000_000
MAX_TENSORS: Final = 1_000_000
MAX_NAME_BYTES: Final = 4_096
MAX_ELEMENTS: Final = 2**63 - 1
METADATA_KEY: Final = "__metadata__"
ALIGNMENT: Final = 64
"""The payload of every block begins at a multiple of this many bytes of its file."""


@dataclass(frozen=True)
class Header:
    """What a safetensors header says.

    Attributes:
        tensors: in the order of their offsets (empty tensors before what begins where they do).
        metadata: `__metadata__`, empty if there is none.
        data_start: where in the file the data begin.
        data_bytes: how many bytes of data there are.
    """

    tensors: tuple[TensorSpec, ...]
    metadata: Mapping[str, str]
    data_start: int
    data_bytes: int


def header_length(first_bytes: bytes, file_bytes: int, where: str) -> int:
    """The length of the JSON, from the first eight bytes of a file of `file_bytes` bytes.

    Raises:
        WeightsFormatError: fewer than eight bytes, or a length over the limit or the file's own.
    """
    if len(first_bytes) < 8:
        raise WeightsFormatError(
            f"{where}: {file_bytes} bytes are too few for a safetensors file (8 and a header)"
        )
    (length,) = struct.unpack("<Q", first_bytes[:8])
    if length > MAX_HEADER_BYTES:
        raise WeightsFormatError(
            f"{where}: header length {length} is over the limit of {MAX_HEADER_BYTES} bytes; "
            "this is no safetensors file"
        )
    if 8 + length > file_bytes:
        raise WeightsFormatError(
            f"{where}: header length {length} passes the end of the file ({file_bytes} bytes); "
            "the file is truncated or no safetensors file"
        )
    return int(length)


def parse_header(raw: bytes, file_bytes: int, where: str) -> Header:
    """Parse the JSON `raw` of a file of `file_bytes` bytes; `where` names it in messages.

    Raises:
        WeightsFormatError: anything the format forbids, or beyond the limits above.
    """
    document = _load_json(raw, where)
    data_start = 8 + len(raw)
    data_bytes = file_bytes - data_start
    metadata = _metadata(document.pop(METADATA_KEY, {}), where)
    if len(document) > MAX_TENSORS:
        raise WeightsFormatError(
            f"{where}: {len(document)} tensors are over the limit of {MAX_TENSORS}"
        )
    tensors = [_tensor(name, entry, data_bytes, where) for name, entry in document.items()]
    tensors.sort(key=lambda tensor: (tensor.begin, tensor.end))
    _check_cover(tensors, data_bytes, where)
    return Header(tuple(tensors), metadata, data_start, data_bytes)


def encode_header(
    tensors: Iterable[TensorSpec], metadata: Mapping[str, str], alignment: int = ALIGNMENT
) -> bytes:
    """The eight bytes and the JSON of a header, padded with spaces to a multiple of `alignment`.

    The same tensors in the same order give the same bytes.
    """
    document: dict[str, Any] = {METADATA_KEY: dict(metadata)} if metadata else {}
    for tensor in tensors:
        document[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [tensor.begin, tensor.end],
        }
    raw = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    raw += b" " * (-(8 + len(raw)) % alignment)
    return struct.pack("<Q", len(raw)) + raw


def element_count(shape: tuple[int, ...]) -> int | None:
    """The product of a shape, or None where it (or a part of it, from the left) overflows."""
    count = 1
    for dimension in shape:
        count *= dimension
        if count > MAX_ELEMENTS:
            return None
    return count


def check_tensor_name(name: str, where: str) -> None:
    """Refuse a tensor name that the format or a store cannot hold; any other text is fine.

    Raises:
        WeightsFormatError: `__metadata__`, text that is not Unicode, or over 4,096 bytes.
    """
    try:
        length = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        raise WeightsFormatError(
            f"{where}: the name {shorten(name)!r} is not valid Unicode text"
        ) from None
    if length > MAX_NAME_BYTES:
        raise WeightsFormatError(
            f"{where}: tensor name {shorten(name)!r} has {length} bytes, limit {MAX_NAME_BYTES}"
        )
    if name == METADATA_KEY:
        raise WeightsFormatError(f"{where}: no tensor may be called {METADATA_KEY!r}")


def _load_json(raw: bytes, where: str) -> dict[str, Any]:
    if not raw.startswith(b"{"):
        found = f"begins with {raw[:8]!r} and not with '{{'" if raw else "is empty"
        raise WeightsFormatError(f"{where}: the header {found}; this is no safetensors file")
    try:
        document = _DECODER.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # Unicode and JSON errors are ValueErrors
        raise WeightsFormatError(f"{where}: the header is not valid: {error}") from None
    if not isinstance(document, dict):
        raise WeightsFormatError(f"{where}: the header is no JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {shorten(key)!r} stands there twice")
            seen.add(key)
    return result


def _natural(digits: str) -> int:
    if digits.startswith("-"):
        raise ValueError(f"negative number {digits[:30]}")
    if len(digits) > 19:  # 2^63 - 1 has 19 digits
        raise ValueError(f"number {digits[:30]}... is too large")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_natural, parse_constant=_refuse_constant
)


def _metadata(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise WeightsFormatError(f"{where}: __metadata__ is no object")
    for key, text in value.items():
        if not isinstance(text, str):
            raise WeightsFormatError(f"{where}: __metadata__[{shorten(key)!r}] is no string")
        try:
            (key + text).encode("utf-8")
        except UnicodeEncodeError:
            raise WeightsFormatError(
                f"{where}: __metadata__[{shorten(key)!r}] is not valid Unicode text"
            ) from None
    return value


def _tensor(name: str, entry: Any, data_bytes: int, where: str) -> TensorSpec:
    check_tensor_name(name, where)
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise WeightsFormatError(
            f"{_place(where, name)} must have exactly the fields dtype, shape, data_offsets"
        )
    dtype, offsets = entry["dtype"], entry["data_offsets"]
    shape = _naturals(entry["shape"])
    if shape is None:
        raise WeightsFormatError(
            f"{_place(where, name)}: shape is no list of whole numbers from 0 to 2^63 - 1"
        )
    span = _naturals(offsets)
    if span is None or len(span) != 2:
        raise WeightsFormatError(f"{_place(where, name)}: data_offsets is no pair of whole numbers")
    begin, end = span
    if not begin <= end <= data_bytes:
        raise WeightsFormatError(
            f"{_place(where, name)}: offsets {begin}..{end} do not lie within the "
            f"{data_bytes} bytes of data (a truncated file, or a wrong header)"
        )
    expected = tensor_bytes(name, dtype, shape, where)
    if end - begin != expected:
        raise WeightsFormatError(
            f"{_place(where, name)}: {dtype} of shape {_sizes(shape)} takes {expected} bytes, "
            f"its offsets {begin}..{end} hold {end - begin}"
        )
    return TensorSpec(name, dtype, shape, begin, end)


def tensor_bytes(name: str, dtype: Any, shape: tuple[int, ...], where: str) -> int:
    """The bytes of a tensor of this type and shape.

    Raises:
        WeightsFormatError: a type that is unknown or refused, or a shape whose product overflows.
    """
    if dtype in SUB_BYTE if isinstance(dtype, str) else False:
        raise WeightsFormatError(
            f"{_place(where, name)} has the type {dtype}, less than a byte per element; "
            "a store holds whole-byte types only (repack it as U8)"
        )
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise WeightsFormatError(
            f"{_place(where, name)} has the unknown type {dtype!r:.80} "
            f"(known: {', '.join(ITEM_BYTES)})"
        )
    count = element_count(shape)
    if count is None or count * ITEM_BYTES[dtype] > MAX_ELEMENTS:
        raise WeightsFormatError(
            f"{_place(where, name)}: shape {shorten(str(list(shape)))} overflows"
        )
    return count * ITEM_BYTES[dtype]


def _place(where: str, name: str) -> str:
    return f"{where}: tensor {shorten(name)!r}"


def _sizes(shape: tuple[int, ...]) -> str:
    return shorten(str(list(shape)))


def _naturals(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list):
        return None
    if not all(type(one) is int and 0 <= one <= MAX_ELEMENTS for one in value):
        return None
    return tuple(value)


def _check_cover(tensors: list[TensorSpec], data_bytes: int, where: str) -> None:
    reached, last = 0, "the header"
    for tensor in tensors:
        if tensor.begin > reached:
            raise WeightsFormatError(
                f"{where}: bytes {reached}..{tensor.begin} of the data, between {last} and "
                f"{shorten(tensor.name)!r}, belong to no tensor"
            )
        if tensor.begin < reached:
            raise WeightsFormatError(
                f"{where}: tensor {shorten(tensor.name)!r} begins at {tensor.begin}, inside {last} "
                f"(which ends at {reached})"
            )
        reached, last = tensor.end, repr(shorten(tensor.name))
    if reached != data_bytes:
        raise WeightsFormatError(
            f"{where}: the last {data_bytes - reached} bytes of the file belong to no tensor"
        )
