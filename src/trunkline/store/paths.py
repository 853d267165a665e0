"""What lies at a path: a safetensors file, or a folder as Hugging Face writes them."""

from __future__ import annotations

from pathlib import Path

from trunkline.errors import StoreError
from trunkline.store.sources import Source, open_safetensors


def open_path(path: Path) -> Source:
    """A source over the weights at a path.

    Raises:
        WeightsFormatError: not weights, or weights of a refused format.
        StoreError: nothing is there, or it cannot be read.
    """
    if path.is_dir():
        raise StoreError(f"{path}: folders come later")
    if not path.exists():
        raise StoreError(f"no file or folder {path}")
    return open_safetensors(path)
