"""HTTP with the server that streams: a transfer is opened, read from any byte on, and ended."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, NewConnectionError, SSLError

from trunkline.errors import InputError, StreamError, StreamUnavailableError
from trunkline.store.digests import is_digest
from trunkline.store.header import MAX_HEADER_BYTES
from trunkline.store.manifest import MAX_BLOB_BYTES, MAX_LAYERS
from trunkline.store.registry.failures import retry_after, why_lost
from trunkline.store.registry.transport import Patience
from trunkline.units import shorten

MAX_HAVE: Final = 100_000
"""So many digests may be told to a server."""

MAX_ANSWER_BYTES: Final = 96 * 2**20
"""What opens a transfer holds a model's small files, written in base64."""

END_S: Final = 2.0
"""So long a server may take to hear that a transfer is not needed any more."""

USE_S: Final = 0.02
"""A server is told to count so long from the sending of a block's last byte until it can be used:
the way, pacing in pieces, hashing, copying, waking up. Loopback took 2 to 12 ms."""

_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Transfer:
    """A transfer that a server has opened.

    Attributes:
        id: its name there.
        manifest: digest of the model's manifest.
        size: bytes of the whole stream.
        etag: stands for these bytes; another means other bytes.
        rate_bytes_per_s: the pace granted, None where the server does not pace.
        admitted: whether the server promises that pace.
        blocks: digests of the model's blocks, as the server uses them one after the other.
        sends: digests of those in the stream.
        documents: the model's small files by digest, as they came: not compared with it yet.
    """

    id: str
    manifest: str
    size: int
    etag: str
    rate_bytes_per_s: float | None
    admitted: bool
    blocks: tuple[str, ...]
    sends: frozenset[str]
    documents: Mapping[str, bytes]


class _Block(msgspec.Struct):
    digest: str
    held: bool = False


class _Answer(msgspec.Struct):
    id: str
    manifest: str
    bytes: int
    etag: str
    blocks: list[_Block]
    documents: dict[str, str] = {}  # msgspec copies it
    rate_bytes_per_s: float | None = None
    admitted: bool = True


class StreamServer:
    """A server of streams.

    Args:
        url: `http://HOST:PORT`, or https.
        token: sent with every request, if there is one.
        patience: how long one read may take, and how often a lost connection is tried again.

    Raises:
        InputError: no such address.
    """

    def __init__(
        self, url: str, token: str | None = None, patience: Patience | None = None
    ) -> None:
        self.patience = patience or Patience()
        self.url = _checked(url)
        self._headers = {"User-Agent": "trunkline"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        timeout = urllib3.Timeout(connect=self.patience.connect_s, read=self.patience.read_s)
        self._pool = urllib3.PoolManager(timeout=timeout, maxsize=2, blocksize=2**18)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def open(
        self,
        model: str,
        have: Iterator[str],
        *,
        deadline_s: float | None = None,
        compute_s: float | Sequence[float] | None = None,
    ) -> Transfer:
        """Open a transfer of what the device lacks.

        Args:
            have: digests of what it holds; as many as may be told are.
            deadline_s: seconds from now until the output must be there; the server refuses what it
                cannot keep.
            compute_s: of the whole forward, or of each block in the manifest's order.

        Raises:
            StreamUnavailableError: the server cannot be reached, or may accept it later.
            StreamError: it refuses, or answers what cannot be used.
        """
        asked: dict[str, Any] = {"have": list(islice(have, MAX_HAVE))}
        if deadline_s is not None:
            asked |= {"deadline_s": deadline_s, "first_byte_s": USE_S}
        if compute_s is not None:
            asked["compute_s"] = compute_s
        path = f"/v2/models/{quote(model, safe='')}/stream"
        with self._asking("POST", path, (201,), body=msgspec.json.encode(asked)) as response:
            return self._opened(_whole(response, self.url))

    @contextmanager
    def stream(self, transfer: Transfer, begin: int) -> Iterator[urllib3.BaseHTTPResponse]:
        """The stream's bytes from `begin` on.

        Raises:
            StreamUnavailableError: no answer, or one that says to come again.
            StreamError: of status 404, the server knows no such transfer (any more); of 200 or
                416, it has other bytes than it promised; else it refuses.
        """
        headers = {"Range": f"bytes={begin}-", "If-Range": transfer.etag} if begin else {}
        path = f"/v2/streams/{quote(transfer.id, safe='')}"
        with self._asking("GET", path, (200, 206), headers=headers) as response:
            self._check_span(response, transfer, begin)
            yield response

    def end(self, transfer: Transfer) -> None:
        """Say that the transfer is not needed any more; a server that does not hear it notices."""
        path = f"/v2/streams/{quote(transfer.id, safe='')}"
        with (
            suppress(StreamError),
            self._asking("DELETE", path, (200, 202, 204), timeout=END_S),
        ):
            pass

    def _check_span(
        self, response: urllib3.BaseHTTPResponse, transfer: Transfer, begin: int
    ) -> None:
        if response.status == 200:
            if begin:
                raise StreamError(f"{self.url}: the stream is another one now", 200)
            told = response.headers.get("Content-Length")
            if told is not None and told != str(transfer.size):
                raise StreamError(
                    f"{self.url} sends {shorten(told, 30)} bytes and promised {transfer.size}"
                )
            return
        told = response.headers.get("Content-Range", "")
        found = _RANGE.fullmatch(told)
        if found is None or (int(found[1]), int(found[3])) != (begin, transfer.size):
            raise StreamError(
                f"{self.url} answers for another range ({told!r:.60}) than byte {begin} on of "
                f"{transfer.size}"
            )

    def _opened(self, raw: bytes) -> Transfer:
        try:
            answer = msgspec.json.decode(raw, type=_Answer)
            documents = {
                digest: base64.b64decode(text, validate=True)
                for digest, text in answer.documents.items()
            }
        except (msgspec.MsgspecError, UnicodeError, binascii.Error, RecursionError) as error:
            raise StreamError(f"{self.url}: the answer cannot be used: {error!s:.200}") from None
        most = MAX_HEADER_BYTES + MAX_LAYERS * MAX_BLOB_BYTES
        if not is_digest(answer.manifest) or not 8 <= answer.bytes <= most:
            raise StreamError(
                f"{self.url}: the answer cannot be used: manifest {answer.manifest!r:.80}, "
                f"{answer.bytes} bytes"
            )
        return Transfer(
            answer.id,
            answer.manifest,
            answer.bytes,
            answer.etag,
            answer.rate_bytes_per_s,
            answer.admitted,
            tuple(block.digest for block in answer.blocks),
            frozenset(block.digest for block in answer.blocks if not block.held),
            documents,
        )

    @contextmanager
    def _asking(
        self,
        method: str,
        path: str,
        expect: Sequence[int],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        response = self._send(method, path, headers or {}, body, timeout)
        try:
            if response.status not in expect:
                raise self._refused(response)
            yield response
        finally:
            response.close()

    def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float | None,
    ) -> urllib3.BaseHTTPResponse:
        sent = {**self._headers, **headers}
        options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            return self._pool.request(
                method,
                self.url + path,
                headers=sent,
                body=body,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                **options,
            )
        except SSLError as error:
            raise StreamError(f"no TLS with {self.url}: {why_lost(error)}") from None
        except (LocationValueError, UnicodeError):
            raise StreamError(f"{self.url} is an address that cannot be used") from None
        except NewConnectionError as error:
            raise StreamUnavailableError(f"no answer from {self.url}: {why_lost(error)}") from None
        except (HTTPError, OSError) as error:
            raise lost(self.url, error) from None

    def _refused(self, response: urllib3.BaseHTTPResponse) -> StreamError:
        said = _said(response)
        if not said and response.status == 404:
            said = "so no `trunkline serve` answers there"
        message = f"{self.url}: status {response.status}{f', {said}' if said else ''}"
        if response.status in _AGAIN:
            after_s = retry_after(response.headers)
            return StreamUnavailableError(message, response.status, after_s)
        return StreamError(message, response.status)


def lost(url: str, error: BaseException, place: str = "") -> StreamUnavailableError:
    """The error for a connection that broke."""
    return StreamUnavailableError(f"the connection to {url} broke{place}: {why_lost(error)}")


def _whole(response: urllib3.BaseHTTPResponse, url: str) -> bytes:
    """A response's body, of at most `MAX_ANSWER_BYTES` bytes."""
    parts, left = [], MAX_ANSWER_BYTES
    try:
        while piece := response.read(min(left + 1, 2**20)):
            parts.append(piece)
            left -= len(piece)
            if left < 0:
                raise StreamError(f"{url}: an answer of more than {MAX_ANSWER_BYTES} bytes")
    except (HTTPError, OSError) as error:
        raise lost(url, error) from None
    return b"".join(parts)


def _said(response: urllib3.BaseHTTPResponse) -> str:
    """What the server says about an error, in one line."""
    try:
        raw = response.read(4096)
        text = msgspec.json.decode(raw, type=dict[str, Any]).get("error", "")
    except (HTTPError, OSError, msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
    plain = "".join(c if c.isprintable() else " " for c in str(text))
    return shorten(plain, 300)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.username is not None or parts.query or parts.fragment:
        raise InputError(f"{shorten(url)!r} is no address of a server: http(s)://HOST:PORT")
    return url.rstrip("/")
