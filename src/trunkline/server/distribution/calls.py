"""Which call of the distribution protocol a path means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

What = Literal["base", "catalog", "tags", "manifests", "blobs", "referrers", "uploads"]


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of which repository; `reference` is a tag or a digest."""

    what: What
    repository: str = ""
    reference: str = ""


def read(path: str) -> Call | None:
    """The call of a path; None if there is none such."""
    if path in ("/v2", "/v2/"):
        return Call("base")
    if path == "/v2/_catalog":
        return Call("catalog")
    if not path.startswith("/v2/"):
        return None
    rest = path.removeprefix("/v2/")
    if rest.endswith("/tags/list"):
        return Call("tags", rest.removesuffix("/tags/list"))
    name, mark, upload = rest.rpartition("/blobs/uploads/")
    if mark:
        return Call("uploads", name, upload)
    name, _, reference = rest.rpartition("/")
    repository, _, kind = name.rpartition("/")
    if repository and reference:
        if kind == "manifests":
            return Call("manifests", repository, reference)
        if kind == "blobs":
            return Call("blobs", repository, reference)
        if kind == "referrers":
            return Call("referrers", repository, reference)
    return None
