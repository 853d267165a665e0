"""Bodies of the call that opens a stream."""

from __future__ import annotations

import json

import pytest

from trunkline.errors import HttpError, InputError
from trunkline.server.streams.wish import MOST_HAVE, read_wish

DIGEST = "sha256:" + "a" * 64


def test_empty_bodies() -> None:
    """No body, blanks and an empty object are the same: all blocks, no deadline."""
    assert read_wish(b"") == read_wish(b" \n") == read_wish(b"{}")
    assert read_wish(b"").deadline_s is None


def test_seconds_of_blocks() -> None:
    """One number is the whole forward's, a list has a value for each block."""
    assert read_wish(b'{"compute_s": 3}').compute_of(4) == (0.75,) * 4
    assert read_wish(b'{"compute_s": [1, 0.5]}').compute_of(2) == (1.0, 0.5)
    with pytest.raises(InputError, match="2 values; the model has 3 blocks"):
        read_wish(b'{"compute_s": [1, 0.5]}').compute_of(3)
    assert read_wish(b"{}").compute_of(0) == ()


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b"\xff",
        b'{"deadline": 1}',
        b'{"deadline_s": 0}',
        b'{"deadline_s": -1}',
        b'{"deadline_s": "1"}',
        b'{"deadline_s": 1e400}',
        b'{"deadline_s": 1e6}',
        b'{"compute_s": -1}',
        b'{"compute_s": [true]}',
        b'{"first_byte_s": null}',
        b'{"have": "sha256:aa"}',
        b'{"have": ["sha256:aa"]}',
        b'{"have": ["SHA256:' + b"a" * 64 + b'"]}',
        b'{"have": ["sha256:' + b"a" * 64 + b'\\n"]}',
        b'{"have": [1]}',
        b"[" * 100_000,
    ],
)
def test_bad_bodies(body: bytes) -> None:
    """Each is refused with one line that says what is wrong."""
    with pytest.raises(InputError) as error:
        read_wish(body)
    assert "\n" not in str(error.value)


def test_too_many_digests() -> None:
    """As many as allowed are taken, one more is too large."""
    assert len(read_wish(json.dumps({"have": [DIGEST] * MOST_HAVE}).encode()).have) == MOST_HAVE
    with pytest.raises(HttpError) as error:
        read_wish(json.dumps({"have": [DIGEST] * (MOST_HAVE + 1)}).encode())
    assert error.value.status == 413
