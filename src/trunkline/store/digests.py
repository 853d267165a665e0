"""Digests of blobs: their one form, checked before any of them meets a path."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from trunkline.errors import StoreError

_DIGEST: Final = re.compile(r"sha256:[a-f0-9]{64}")


def is_digest(value: Any) -> bool:
    """Whether a value reads `sha256:` and 64 small hexadecimal digits."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def check_digest(value: Any, where: object) -> str:
    """The digest itself, if it is one.

    Raises:
        StoreError: anything else; `where` names the place.
    """
    if not is_digest(value):
        raise StoreError(f"{where}: {value!r:.100} is no digest (sha256: and 64 hex digits)")
    return str(value)


def digest_of(content: bytes | memoryview) -> str:
    """The digest of some bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()
