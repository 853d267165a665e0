"""What a client asks of a stream: the body of the call that opens one."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from trunkline.errors import HttpError, InputError

MOST_HAVE: Final = 100_000
"""Digests that one client may say it holds."""
BODY_BYTES: Final = 8 * 2**20
"""Enough for them."""
LONGEST_S: Final = 86_400.0

_Seconds = Annotated[float, Meta(ge=0, le=LONGEST_S)]
_Digest = Annotated[str, Meta(pattern="^sha256:[a-f0-9]{64}$", max_length=71)]


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a client wants a model.

    Attributes:
        have: digests of the blocks (and small files) that it holds.
        deadline_s: until when it wants to have computed, from now; None for no deadline.
        compute_s: what it computes with each of the model's blocks, in the order of the manifest;
            one number: with all of them together, as long with each.
        first_byte_s: from the sending of a byte to its arrival.
    """

    have: list[_Digest] = []
    deadline_s: Annotated[float, Meta(gt=0, le=LONGEST_S)] | None = None
    compute_s: _Seconds | list[_Seconds] = 0.0
    first_byte_s: _Seconds = 0.0

    def compute_of(self, blocks: int) -> tuple[float, ...]:
        """Seconds for each block (InputError: not one for each)."""
        if isinstance(self.compute_s, list):
            if len(self.compute_s) != blocks:
                raise InputError(
                    f"compute_s: {len(self.compute_s)} values; the model has {blocks} blocks"
                )
            return tuple(self.compute_s)
        return (self.compute_s / blocks,) * blocks if blocks else ()


def read_wish(body: bytes | bytearray) -> Wish:
    """Read the body, which may be empty.

    Raises:
        InputError: it is not JSON, or a value is not what it must be; says where.
        HttpError: 413, too many digests.
    """
    if not body.strip():
        return Wish()
    try:
        wish = msgspec.json.decode(body, type=Wish)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"request: {error}") from None
    if len(wish.have) > MOST_HAVE:
        raise HttpError(413, f"have: {len(wish.have)} digests, at most {MOST_HAVE}")
    return wish
