"""A store as a read-only registry: an ASGI app that speaks OCI distribution, version 2."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, quote

import msgspec
from starlette.types import Message, Receive, Scope, Send

from trunkline.errors import HttpError, NotInStoreError, StoreError
from trunkline.server import headers as header_lines
from trunkline.server.distribution import calls, names
from trunkline.server.distribution.calls import Call
from trunkline.server.distribution.holdings import Document, Holdings
from trunkline.server.distribution.sendfile import EXTENSION
from trunkline.server.ranges import ranged
from trunkline.server.replies import JSON, Reply
from trunkline.server.security import Gate
from trunkline.server.work import ServerSettings
from trunkline.store.digests import is_digest
from trunkline.store.reading import FileReader
from trunkline.units import shorten

log = logging.getLogger(__name__)

PIECE_BYTES: Final = 2**18
"""A blob goes in such pieces where the kernel cannot send it."""

API: Final = {"Docker-Distribution-Api-Version": "registry/2.0"}

CODES: Final = {401: "UNAUTHORIZED", 403: "DENIED", 405: "UNSUPPORTED", 416: "SIZE_INVALID"}
"""The specification's code of an error by its status, where none is told."""


class RegistryError(HttpError):
    """A request that is refused, with a code of the specification."""

    def __init__(self, status: int, code: str, message: str, detail: Any = None) -> None:
        super().__init__(status, message)
        self.code = code
        self.detail = detail


class RegistryApp:
    """Serves a store's manifests and blobs, and changes nothing.

    Every call needs the token, if there is one: as `Authorization: Bearer TOKEN`, or as the
    password of Basic with any name, which is what registry clients can be told.
    """

    def __init__(self, holdings: Holdings, settings: ServerSettings) -> None:
        self._holdings = holdings
        self._limits = settings.limits
        self._gate = Gate(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it holds."""
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here")
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            reply = await self._reply(scope, noting)
        except RegistryError as found:
            reply = _error(found.status, found.code, str(found), found.detail, found.headers)
        except HttpError as found:
            headers = dict(found.headers)
            if found.status == 401:
                headers["WWW-Authenticate"] = 'Basic realm="trunkline"'
            code = CODES.get(found.status, "UNSUPPORTED")
            reply = _error(found.status, code, str(found), None, headers)
        except StoreError as found:
            if begun:  # the connection is closed, so that the client sees less than was promised
                raise
            log.error("%s: %s", shorten(scope["path"]), found)
            reply = _error(500, "UNKNOWN", "the store is damaged there; the server's log says how")
        except Exception:  # a bug; whoever called has to be answered all the same
            if begun:
                raise
            log.exception("%s %s", scope["method"], shorten(scope["path"]))
            reply = _error(500, "UNKNOWN", "an error inside the server; its log says more")
        if reply is not None:
            await reply.send(send)

    async def _reply(self, scope: Scope, send: Send) -> Reply | None:
        """The reply; None if it was sent."""
        found = header_lines.read(scope, self._limits.head_bytes)
        self._gate.check(_as_bearer(found), needs_token=True)
        call = calls.read(scope["path"])
        if call is None:
            raise RegistryError(404, "NAME_UNKNOWN", f"{scope['path'][:200]!r}: no such call")
        if scope["method"] not in ("GET", "HEAD"):
            raise HttpError(
                405, f"{scope['method']}: this registry is read-only (GET, HEAD)", Allow="GET, HEAD"
            )
        if call.what == "base":
            return _json({})
        if call.what == "catalog":
            return _page([names.REPOSITORY], "repositories", {}, "/v2/_catalog", scope)
        _check_repository(call.repository)
        if call.what == "tags":
            tags = await asyncio.to_thread(self._holdings.tags)
            path = f"/v2/{names.REPOSITORY}/tags/list"
            return _page(list(tags), "tags", {"name": names.REPOSITORY}, path, scope)
        if call.what == "manifests":
            return _manifest(await self._manifest(call))
        if call.what == "blobs":
            return await self._blob(call.reference, scope, found, send)
        raise RegistryError(404, "UNSUPPORTED", f"{call.what}: not offered here")

    async def _manifest(self, call: Call) -> Document:
        """The manifest of a tag or digest (RegistryError for none)."""
        reference = call.reference
        try:
            if ":" in reference:
                if not is_digest(reference):
                    raise RegistryError(
                        400, "DIGEST_INVALID", f"{reference[:100]!r}: sha256: and 64 hex digits"
                    )
                return await asyncio.to_thread(self._holdings.by_digest, reference)
            if not names.is_tag(reference):
                raise RegistryError(
                    400, "TAG_INVALID", f"{reference[:140]!r}: no tag (letters, digits, ._-)"
                )
            return await asyncio.to_thread(self._holdings.by_tag, reference)
        except NotInStoreError as error:
            raise RegistryError(
                404, "MANIFEST_UNKNOWN", str(error), {"reference": reference}
            ) from None

    async def _blob(
        self, digest: str, scope: Scope, found: Mapping[bytes, bytes], send: Send
    ) -> Reply | None:
        """Send a blob or a range of it; a reply where it was not sent."""
        if not is_digest(digest):
            raise RegistryError(
                400, "DIGEST_INVALID", f"{digest[:100]!r}: sha256: and 64 hex digits"
            )
        try:
            file = self._holdings.blob(digest)  # at once: a thread would take longer to wake
        except NotInStoreError as error:
            raise RegistryError(404, "BLOB_UNKNOWN", str(error), {"digest": digest}) from None
        with file:
            status, answer, begin, count = ranged(
                scope["method"], found, "blob", file.size, f'"{digest}"'
            )
            headers = {
                **API,
                **answer,
                "Content-Type": "application/octet-stream",
                "Docker-Content-Digest": digest,
                "Cache-Control": "max-age=31536000, immutable",
            }
            await _start(send, status, headers)
            await _send_part(scope, send, file, begin, count)
            return None


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    lines = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})


async def _send_part(scope: Scope, send: Send, file: FileReader, begin: int, count: int) -> None:
    """The body: by the kernel where it can, else in pieces."""
    if scope["method"] == "HEAD" or count == 0:
        await send({"type": "http.response.body", "body": b""})
        return
    if EXTENSION in scope.get("extensions", {}):
        await send({"type": EXTENSION, "file": file, "offset": begin, "count": count})
        return
    end = begin + count
    for position in range(begin, end, PIECE_BYTES):
        size = min(PIECE_BYTES, end - position)
        piece = await asyncio.to_thread(file.read, position, size)
        more = position + size < end
        await send({"type": "http.response.body", "body": piece, "more_body": more})


def _as_bearer(found: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """The headers, a Basic password in them as a Bearer token."""
    scheme, _, value = found.get(b"authorization", b"").strip().partition(b" ")
    if scheme.lower() != b"basic":
        return found
    try:
        _, _, password = base64.b64decode(value.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        password = b""
    return {**found, b"authorization": b"Bearer " + password}


def _check_repository(name: str) -> None:
    if not names.is_repository(name):
        raise RegistryError(400, "NAME_INVALID", f"{name[:100]!r}: no name of a repository")
    if name != names.REPOSITORY:
        raise RegistryError(
            404,
            "NAME_UNKNOWN",
            f"no repository {name[:100]!r}: this store is {names.REPOSITORY!r}, a model is a tag",
            {"name": name},
        )


def _manifest(document: Document) -> Reply:
    headers = {
        **API,
        "Content-Type": document.media_type,
        "Docker-Content-Digest": document.digest,
        "ETag": f'"{document.digest}"',
    }
    return Reply(200, [document.content], headers)


def _page(
    all_of_them: Sequence[str], key: str, more: Mapping[str, str], path: str, scope: Scope
) -> Reply:
    """A page of a sorted list: `n` entries at most, those after `last`."""
    query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
    most, last = query.get("n"), query.get("last")
    found = [one for one in all_of_them if last is None or one > last]
    headers = {**API, **JSON}
    if most is not None:
        count = header_lines.whole(most)
        if count is None:
            raise RegistryError(
                400, "PAGINATION_NUMBER_INVALID", f"n {most[:40]!r}: a whole number", {"n": most}
            )
        if 0 < count < len(found):
            following = f"{path}?n={count}&last={quote(found[count - 1], safe='')}"
            headers["Link"] = f'<{following}>; rel="next"'
        found = found[:count]
    return Reply(200, [msgspec.json.encode({**more, key: found})], headers)


def _json(document: Any) -> Reply:
    return Reply(200, [msgspec.json.encode(document)], {**API, **JSON})


def _error(
    status: int,
    code: str,
    message: str,
    detail: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    one = {"code": code, "message": message.encode(errors="replace").decode(), "detail": detail}
    return Reply(
        status, [msgspec.json.encode({"errors": [one]})], {**API, **JSON, **(headers or {})}
    )
