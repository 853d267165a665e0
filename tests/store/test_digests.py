"""Only true digests meet a path."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from trunkline.errors import StoreError
from trunkline.store import Store
from trunkline.store.digests import check_digest, digest_of


@pytest.mark.parametrize(
    "digest",
    [
        "",
        None,
        7,
        "a" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 64 + "\n",
        "sha256:../../../etc/passwd",
        "sha512:" + "a" * 128,
    ],
)
def test_what_is_no_digest_is_refused(digest: Any, store: Store) -> None:
    """Anything but `sha256:` and 64 small hex digits is refused before it becomes a path."""
    with pytest.raises(StoreError, match="is no digest"):
        check_digest(digest, "here")
    with pytest.raises(StoreError, match="is no digest"):
        store.blob_path(digest)


def test_a_digest_is_that_of_the_content() -> None:
    """`digest_of` is sha256 in OCI's form."""
    assert digest_of(b"abc") == "sha256:" + hashlib.sha256(b"abc").hexdigest()
    assert check_digest(digest_of(b""), "here") == digest_of(b"")
