"""Blocks that are used where they lie: in the pages that the system keeps of their files.

To copy a block out of the system's cache takes as long as a memory copy; to map its pages takes a
small part of that, and no second copy of the weights stands in memory. The pages are brought in
before anything computes with them, so the disk is waited for in the load, and what cannot be read
is an error there. They are mapped privately: whatever writes into them writes into a copy of its
own, and the file stays as it is.

A file in use must not be shortened in place: then the system ends the process, as any program that
maps weights. The store never writes into a blob, and removing one takes nothing from who uses it.
"""

from __future__ import annotations

import errno
import os
from typing import Final

import numpy as np
import torch

from trunkline.errors import StoreError
from trunkline.runtime.pages import Pages
from trunkline.runtime.reading import open_block
from trunkline.store import StoredBlock

LEAST_BYTES: Final = 256 * 1024
"""Smaller blocks are copied: their files' first and last pages would weigh, and a copy of them
takes no longer than the system's calls."""


def map_block(path: str, block: StoredBlock) -> tuple[Pages, torch.Tensor]:
    """The pages of a block's file, and its payload there as bytes.

    Raises:
        NotInStoreError, CorruptBlobError, StoreError: as `BlockReader.read`.
        OSError: as `Pages`.
    """
    descriptor = open_block(path, block)
    try:
        pages = Pages(descriptor, block.size)
    finally:
        os.close(descriptor)
    whole = torch.from_numpy(np.asarray(pages))
    return pages, whole[block.data_start : block.data_start + block.bytes]


def populate(path: str, block: StoredBlock, pages: Pages) -> None:
    """Bring the pages of a block in.

    Raises:
        NotInStoreError, CorruptBlobError, StoreError: they cannot be read.
    """
    try:
        pages.populate()
    except OSError as error:
        os.close(open_block(path, block))  # says so if the file is not as long as it was
        failed = error.errno == errno.EFAULT
        reason = os.strerror(errno.EIO) if failed else error.strerror
        raise StoreError(f"cannot read {path}: {reason}") from None
