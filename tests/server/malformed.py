"""Requests that are mostly not good, for a model `m`."""

from __future__ import annotations

import gzip
import json
import random
from typing import Any

from hypothesis import strategies as st

from trunkline.server.tensors import DTYPES

values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "y", ""]) | values,
        "datatype": st.sampled_from(sorted(DTYPES)) | values,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | values,
    },
    optional={
        "data": st.lists(st.integers(-1, 300) | st.floats() | st.booleans(), max_size=8) | values,
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data_size": st.integers(-1, 40) | values}
        )
        | values,
    },
)
questions = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=3) | values},
    optional={
        "id": st.text(max_size=5) | values,
        "parameters": st.fixed_dictionaries(
            {},
            optional={
                "timeout": st.integers(0, 10**9) | values,
                "binary_data_output": st.booleans() | values,
            },
        )
        | values,
        "outputs": st.lists(st.fixed_dictionaries({"name": st.sampled_from("xyz")})) | values,
    },
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes, dict[str, str]]:
    """A path, a body and its headers: a question that is mostly not good, raw bytes after it, parts
    of it, packed or not."""
    body = json.dumps(draw(questions)).encode()
    headers: dict[str, Any] = {}
    size = len(body)
    if draw(st.booleans()):
        body += draw(st.binary(max_size=60))
        headers["Inference-Header-Content-Length"] = str(
            draw(st.just(size) | st.integers(-1, size + 80))
        )
    if draw(st.integers(0, 4)) == 0:
        headers["Content-Encoding"] = draw(st.sampled_from(["gzip", "deflate", "identity", "x"]))
        body = gzip.compress(body, mtime=0) if draw(st.booleans()) else body
    if draw(st.integers(0, 9)) == 0:
        body = draw(st.binary(max_size=100)) or body[: draw(st.integers(0, len(body)))]
    path = draw(
        st.sampled_from(
            ["/v2/models/m/infer"] * 4
            + ["/v2/repository/index", "/v2/repository/models/m/load", "/v2/models/%ff%00/infer"]
        )
    )
    return path, body, headers


def damaged(good: bytes, chance: random.Random) -> bytes:
    """Bytes with some changed, left out or put in anywhere."""
    raw = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(raw))
        raw[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    return bytes(raw)
