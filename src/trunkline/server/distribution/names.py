"""Which repository and tag a store's model has.

A store is one repository, `models`, and each model is a tag in it: `HOST:PORT/models:NAME`. A name
that `trunkline import` accepts is a tag as it stands. Another tool may have written other names
into the index; such a name's tag is `_` and the name, with every byte but letters, digits, `.` and
`-` as `_` and two hexadecimal digits (`a/b:1` is `_a_2fb_3a1`), or, where that would pass 128
characters, `_sha256-` and the digest of the name. No name that is accepted begins with `_`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

REPOSITORY: Final = "models"

_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME: Final = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_AS_IT_STANDS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-")
LONGEST_NAME: Final = 255


def tag_of(name: str) -> str:
    """The tag of a model of that name."""
    if _AS_IT_STANDS.fullmatch(name):
        return name
    raw = name.encode(errors="surrogatepass")
    tag = "_" + "".join(chr(one) if one in _PLAIN else f"_{one:02x}" for one in raw)
    return tag if len(tag) <= 128 else f"_sha256-{hashlib.sha256(raw).hexdigest()}"


def is_repository(text: str) -> bool:
    """Whether a text may name a repository (OCI distribution specification)."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether a text may be a tag (OCI distribution specification)."""
    return _TAG.fullmatch(text) is not None
