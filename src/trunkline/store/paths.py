"""What lies at a path: a safetensors file, an index of shards, or a Hugging Face folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from trunkline.errors import StoreError, WeightsFormatError
from trunkline.store.architecture import InputSpec
from trunkline.store.lora import ADAPTER_CONFIG
from trunkline.store.reading import refuse_pickle
from trunkline.store.shards import INDEX_SUFFIX, open_shards
from trunkline.store.sources import Source, open_safetensors

CONFIG: Final = "config.json"


def open_path(path: Path, given: InputSpec | None = None) -> Source:
    """A source over what lies at a path; with its architecture if a `config.json` lies there.

    Raises:
        WeightsFormatError: not weights, or weights of a refused format.
        ArchitectureError: weights that don't fit the `config.json` beside them.
        StoreError: nothing is there, or it cannot be read.
    """
    if path.is_dir() and (path / CONFIG).exists():
        from trunkline.store.huggingface import open_folder

        return open_folder(path, given)
    if path.is_dir() and (path / ADAPTER_CONFIG).exists():
        raise WeightsFormatError(
            f"{path} holds an adapter and no whole model: name its base, --base MODEL_OR_FOLDER "
            "(in Python: open_adapter)"
        )
    source = open_weights(path)
    return source if given is None else replace(source, input=given)


def open_weights(path: Path) -> Source:
    """A source over the weights at a path, in natural order of their names.

    Raises:
        WeightsFormatError, StoreError: as in `open_path`.
    """
    if path.is_dir():
        return open_weights(_weights_in(path))
    if path.name.endswith(INDEX_SUFFIX):
        return open_shards(path)
    if not path.exists():
        raise StoreError(f"there is no file or folder {path}")
    if path.suffix == ".json":
        where = f"; import the folder it lies in, {path.parent}" if path.name == CONFIG else ""
        raise WeightsFormatError(f"{path} is a JSON file and holds no weights{where}")
    return open_safetensors(path)


def _weights_in(folder: Path) -> Path:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise StoreError(f"cannot list {folder}: {error.strerror}") from None
    for name in ("model.safetensors", f"model{INDEX_SUFFIX}"):
        if name in names:
            return folder / name
    indices = [name for name in names if name.endswith(INDEX_SUFFIX)]
    files = [name for name in names if name.endswith(".safetensors")]
    for choice in (indices, files):
        if len(choice) == 1:
            return folder / choice[0]
    if files:
        raise WeightsFormatError(
            f"{folder} holds {len(files)} safetensors files ({files[0]}, ...) and no "
            f"model{INDEX_SUFFIX}; name one of them"
        )
    for name in names:
        refuse_pickle(folder / name)
    raise WeightsFormatError(f"{folder} holds no model.safetensors and no model{INDEX_SUFFIX}")
