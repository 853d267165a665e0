"""Reading at positions, and telling a pickle from weights."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trunkline.errors import StoreError, WeightsFormatError
from trunkline.store.reading import FileReader, read_header, refuse_pickle


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    """Bytes that were promised and are gone end in a message, not in a signal."""
    path = tmp_path / "weights"
    path.write_bytes(b"0123456789")
    with FileReader(path) as file:
        assert file.read(2, 3) == b"234"
        os.truncate(path, 4)
        with pytest.raises(WeightsFormatError, match="ends at byte 4"):
            file.read(2, 8)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """Folders, missing files and devices are errors that name the path."""
    for path in (tmp_path, tmp_path / "none", Path("/dev/null"), tmp_path / "a\0b"):
        with pytest.raises(StoreError) as refused:
            FileReader(path)
        assert str(path) in str(refused.value)


def test_a_header_of_640_bytes_is_no_pickle(tmp_path: Path) -> None:
    """Its first two bytes are those of a protocol-2 pickle; the brace after them tells."""
    # 640 = 0x280, so the length begins with 0x80 0x02.
    content = (640).to_bytes(8, "little") + b"{}".ljust(640)
    assert content[:2] == b"\x80\x02"
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with FileReader(path) as file:
        assert read_header(file).tensors == ()
    refuse_pickle(path, content[:16])
