"""Weights in several safetensors files, tied together by an index."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, Final

from trunkline.errors import StoreError, WeightsFormatError
from trunkline.store.order import natural_key
from trunkline.store.reading import FileReader, refuse_pickle
from trunkline.store.sources import Source, SourceTensor, open_safetensors
from trunkline.units import count, shorten

INDEX_SUFFIX: Final = ".safetensors.index.json"
MAX_SHARDS: Final = 10_000
MAX_SMALL_FILE_BYTES: Final = 64 * 2**20


def open_shards(index_path: Path) -> Source:
    """A source over the shards that a `model.safetensors.index.json` names.

    Raises:
        WeightsFormatError: an index that is none, that names a file outside its folder or a
            tensor that its shard lacks, or a shard that is no safetensors file.
        StoreError: a shard is missing or cannot be read.
    """
    weight_map = _weight_map(index_path)
    by_shard: dict[str, list[str]] = {}
    for name, shard in weight_map.items():
        by_shard.setdefault(shard, []).append(name)
    if len(by_shard) > MAX_SHARDS:
        raise WeightsFormatError(f"{index_path}: {len(by_shard)} shards, limit {MAX_SHARDS}")
    tensors: list[SourceTensor] = []
    metadata: dict[str, str] = {}
    tied: dict[str, str] = {}
    ignored: list[str] = []
    with ExitStack() as stack:
        for shard in sorted(by_shard, key=natural_key):
            source = _open_shard(index_path, shard)
            stack.callback(source.close)
            chosen = _choose(source, by_shard[shard], shard, index_path)
            ignored += [one.name for one in source.tensors if one.name not in weight_map]
            tensors += chosen
            metadata |= source.metadata
            tied |= source.tied
        opened = stack.pop_all()
    tensors.sort(key=lambda tensor: natural_key(tensor.name))
    notes = (
        (
            f"left out, since the index does not name them: {count(len(ignored), 'tensor')}, the "
            f"first {shorten(ignored[0])!r}",
        )
        if ignored
        else ()
    )
    tied = {dropped: kept for dropped, kept in tied.items() if kept in weight_map}
    return Source(tuple(tensors), metadata=metadata, tied=tied, notes=notes, close=opened.close)


def read_small(path: Path) -> bytes:
    """A small file whole (StoreError if it is missing, too large, or cannot be read)."""
    with FileReader(path) as file:
        if file.size > MAX_SMALL_FILE_BYTES:
            raise StoreError(f"{path}: {file.size} bytes, limit {MAX_SMALL_FILE_BYTES}")
        return file.read(0, file.size)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a small file (WeightsFormatError if it is none)."""
    try:
        document = json.loads(read_small(path))
    except (ValueError, RecursionError) as error:
        raise WeightsFormatError(f"{path} is no valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise WeightsFormatError(f"{path} is no JSON object")
    return document


def _weight_map(index_path: Path) -> dict[str, str]:
    weight_map = read_object(index_path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise WeightsFormatError(f"{index_path}: 'weight_map' is no object of tensor: file")
    for name, shard in weight_map.items():
        where = f"{index_path}: weight_map[{shorten(name)!r}]"
        if not isinstance(shard, str) or not shard:
            raise WeightsFormatError(f"{where}: {shard!r:.100} is no file name")
        path = PurePosixPath(shard)
        if path.is_absolute() or ".." in path.parts or "\\" in shard or "\0" in shard:
            raise WeightsFormatError(
                f"{where}: {shorten(shard)!r} is absolute or leaves the folder of the index"
            )
    return weight_map


def _open_shard(index_path: Path, shard: str) -> Source:
    path = index_path.parent / shard
    refuse_pickle(path)
    if not path.exists():
        raise StoreError(f"{index_path} names the shard {shorten(shard)!r}, which is missing")
    return open_safetensors(path)


def _choose(source: Source, names: list[str], shard: str, index_path: Path) -> list[SourceTensor]:
    there = {tensor.name: tensor for tensor in source.tensors}
    for name in names:
        if name not in there:
            raise WeightsFormatError(
                f"{index_path} says that {shorten(shard)!r} holds the tensor {shorten(name)!r}; it "
                "does not"
            )
    return [there[name] for name in names]
