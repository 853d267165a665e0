"""Where weights come from: what every source tells an import, and the two simplest sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trunkline.errors import StoreError, WeightsFormatError
from trunkline.store.architecture import Architecture, InputSpec
from trunkline.store.header import check_tensor_name, tensor_bytes
from trunkline.store.model import StoredBlock
from trunkline.store.order import natural_key
from trunkline.store.reading import BufferReader, FileReader, Reader, read_header
from trunkline.units import shorten


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """A tensor to be imported: what it is, and where its bytes are."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    reader: Reader
    position: int


@dataclass(frozen=True)
class Source:
    """Everything an import needs to know. Made by the functions of this package.

    Attributes:
        tensors: in execution order.
        architecture: how to build the model, None for bare weights.
        input: what it takes, None if unknown.
        metadata: `__metadata__` of the file.
        tied: names without bytes of their own: dropped name -> name among `tensors`.
        files: small files to keep beside the weights: name -> content.
        notes: what the importer should tell the user.
        held: blocks of the model that the store has already and that are taken as they are (an
            adapter's base).
        early: so many of the blocks made of `tensors` come before those held, the others after.
        block_of: the block of a tensor that does not go with its leaf module: name -> block id.
        close: gives back the open files.
    """

    tensors: Sequence[SourceTensor]
    architecture: Architecture | None = None
    input: InputSpec | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tied: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    held: tuple[StoredBlock, ...] = ()
    early: int = 0
    block_of: Mapping[str, str] = field(default_factory=dict)
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Tensors:
    """Tensors in memory, for `Store.add`: from numpy, PyTorch or anything with a buffer.

    Attributes:
        tensors: `(name, dtype, shape, buffer)` in execution order; `dtype` is the safetensors name
            (`F32`, `BF16`, ...), `buffer` the row-major little-endian bytes (anything with the
            buffer protocol, or a contiguous numpy array of any type).
        architecture: how to build the model.
        input: what it takes.
        metadata: texts to keep with the model.
        tied: names that share another's storage: dropped name -> name among `tensors`.
    """

    tensors: Iterable[tuple[str, str, tuple[int, ...], Any]]
    architecture: Architecture | None = None
    input: InputSpec | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tied: Mapping[str, str] = field(default_factory=dict)


def open_tensors(given: Tensors) -> Source:
    """A source over tensors in memory.

    Raises:
        WeightsFormatError: a name twice or not usable, an unknown type, or a buffer whose length
            is not that of its type and shape.
    """
    where = "tensors in memory"
    tensors: dict[str, SourceTensor] = {}
    for name, dtype, shape, buffer in given.tensors:
        check_tensor_name(name, where)
        what = f"{where}: {shorten(name)!r}"
        if name in tensors:
            raise WeightsFormatError(f"{what} is there twice: two tensors of one name")
        sizes = tuple(int(size) for size in shape)
        if any(size < 0 for size in sizes):
            raise WeightsFormatError(f"{what}: shape {list(sizes)} has a negative size")
        expected = tensor_bytes(name, dtype, sizes, where)
        view = _bytes_of(buffer, what)
        if len(view) != expected:
            raise WeightsFormatError(
                f"{what}: {dtype} of shape {list(sizes)} takes {expected} bytes, "
                f"its buffer has {len(view)}"
            )
        tensors[name] = SourceTensor(name, dtype, sizes, expected, BufferReader(view), 0)
    check_tied(given.tied, tensors, where)
    return Source(
        tuple(tensors.values()), given.architecture, given.input, given.metadata, given.tied
    )


def open_safetensors(path: Path) -> Source:
    """A source over one safetensors file, its tensors in natural order of their names.

    `safetensors.torch.save_model` drops all but one name of a shared tensor and notes
    `dropped name -> kept name` in the metadata; such notes become `tied`.

    Raises:
        WeightsFormatError: not a safetensors file, or one that breaks its format.
        StoreError: it cannot be read.
    """
    file = FileReader(path)
    try:
        header = read_header(file)
    except BaseException:
        file.close()
        raise
    tensors = [
        SourceTensor(one.name, one.dtype, one.shape, one.bytes, file, header.data_start + one.begin)
        for one in header.tensors
    ]
    tensors.sort(key=lambda tensor: natural_key(tensor.name))
    names = {tensor.name for tensor in tensors}
    tied = {
        dropped: kept
        for dropped, kept in header.metadata.items()
        if kept in names and dropped not in names and dropped != "format"
    }
    return Source(tuple(tensors), metadata=header.metadata, tied=tied, close=file.close)


def check_tied(
    tied: Mapping[str, str], names: Iterable[str] | Mapping[str, Any], where: str
) -> None:
    """Refuse a tie to a tensor that is not there, or of a name that has bytes of its own."""
    there = set(names)
    for dropped, kept in tied.items():
        check_tensor_name(dropped, where)
        if kept not in there or dropped in there:
            raise WeightsFormatError(
                f"{where}: {shorten(dropped)!r} is tied to {shorten(kept)!r}, so only the latter "
                "may be among the tensors, and must be"
            )


def _bytes_of(buffer: Any, where: str) -> memoryview:
    import numpy as np  # only for who has tensors in memory

    if isinstance(buffer, np.ndarray):
        if not buffer.flags.c_contiguous:
            buffer = np.ascontiguousarray(buffer)
        return memoryview(buffer.reshape(-1).view(np.uint8))
    try:
        view = memoryview(buffer)
        return view.cast("B") if view.nbytes else memoryview(b"")
    except TypeError as error:
        raise StoreError(f"{where}: its buffer cannot be read as bytes: {error}") from None
