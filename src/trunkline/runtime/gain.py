"""Whether a forward should begin before its model is loaded.

While blocks are copied from the system's cache a processor works, and computing beside it gains
nothing where computing takes all processors; while the disk is waited for, none works, and on an
accelerator those of the host are free. So the bytes that are waited for are weighed against the
tensors that have to be stood in for. [derived]
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import torch

from trunkline.runtime.pages import cached_bytes
from trunkline.runtime.resident import Residents
from trunkline.store import StoredBlock

TENSOR_BYTES: Final = 128 * 1024
"""To stand in for a tensor, and to wait for it, takes some tens of microseconds, in which a disk of
2 GB/s brings about so many bytes."""

LOOKED_AT: Final = 8
"""Of so many files, the largest, is asked how much the system has of them (50 us each)."""


def gains(blocks: Mapping[str, StoredBlock], residents: Residents, device: torch.device) -> bool:
    """Whether a forward that runs while the missing ones of a model's blocks are read is likely to
    end earlier than after them. Where the system does not tell what it has cached: no.
    """
    missing = residents.missing(blocks)
    least = TENSOR_BYTES * sum(len(block.tensors) for block in blocks.values())
    total = sum(block.bytes for block in missing)
    if total < least or not total:
        return False
    if device.type != "cpu":
        return True
    sample = sorted(missing, key=lambda block: -block.size)[:LOOKED_AT]
    size = sum(block.size for block in sample)
    waited = sum(_uncached(residents.path(block), block.size) for block in sample)
    return total * waited >= least * size


def _uncached(path: str, size: int) -> int:
    """Bytes of a file that the disk would be waited for; 0 if it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        return max(0, size - cached_bytes(fd))
    except (OSError, ValueError):
        return 0
    finally:
        os.close(fd)
