"""HTTP with one registry: TLS, authorization, redirects, and another try after a lost connection.

Credentials go to the registry's own scheme, host and port alone, and to the token service that it
names; a redirect leads elsewhere without them, and never from TLS to plain HTTP.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any, Final, TypeVar
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    NewConnectionError,
    SSLError,
    TimeoutError,
)

from trunkline.errors import RegistryError, RegistryUnavailableError, UnavailableError
from trunkline.store.registry.authorization import MAX_TOKEN_BYTES, Authorization
from trunkline.store.registry.credentials import Credentials, find_credentials
from trunkline.store.registry.failures import failure, why_lost

Body = Callable[[], IO[bytes] | bytes]
"""Makes a request's body, anew for every try."""

T = TypeVar("T")

MAX_REDIRECTS: Final = 5
WORKERS: Final = 8
"""Requests in flight: a registry takes some milliseconds to answer each."""

_WORTH_READING: Final = 2**16
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a registry, and how often to ask it again.

    Try k (1, 2, ...) is followed by a wait of `first_s` 2^(k-1) seconds, at most `most_s`, times a
    draw from [0.5, 1]; or by the wait that the registry asks for, if that is at most `most_s`.

    Attributes:
        tries: of one request, or of a blob without progress.
        connect_s, read_s: a connection or any single read may take so long.
    """

    tries: int = 5
    first_s: float = 0.25
    most_s: float = 30.0
    connect_s: float = 10.0
    read_s: float = 60.0

    def delay_s(self, tried: int, error: UnavailableError) -> float | None:
        """Seconds to wait after so many tries; None if there is to be no other."""
        if tried >= self.tries:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s <= self.most_s else None
        return min(self.most_s, self.first_s * 2.0 ** (tried - 1)) * random.uniform(0.5, 1)


class Transport:
    """Requests to one registry, from several threads.

    Args:
        host: with its port, if that is not the scheme's.
        insecure: plain HTTP in place of TLS.
        patience: see there.
        credentials: finds what the user has for a host.
    """

    def __init__(
        self,
        host: str,
        *,
        insecure: bool = False,
        patience: Patience | None = None,
        credentials: Callable[[str], Credentials | None] = find_credentials,
    ) -> None:
        self.host = host
        self.insecure = insecure
        self.patience = patience or Patience()
        server = "registry-1.docker.io" if host == "docker.io" else host
        self.origin = f"{'http' if insecure else 'https'}://{server}"
        self.authorization = Authorization(host, credentials, self._ask, insecure)
        self._pools: dict[str | None, urllib3.PoolManager] = {}  # by proxy
        self._pools_lock = threading.Lock()
        self._proxy_for = lru_cache(_proxy_for)  # the environment is looked at once for each host
        self._reached = False

    def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.clear()

    def patiently(self, action: Callable[[], T]) -> T:
        """The action's result; it is tried again while the registry is unavailable.

        Raises:
            RegistryUnavailableError: it stayed so.
        """
        tried = 0
        while True:
            try:
                return action()
            except RegistryUnavailableError as error:
                tried += 1
                self.wait(tried, error)

    def wait(
        self, tried: int, error: RegistryUnavailableError, stop: threading.Event | None = None
    ) -> None:
        """Wait before another try, or raise the error if there is to be none, or `stop` is set."""
        delay_s = self.patience.delay_s(tried, error)
        if delay_s is None or (stop or threading.Event()).wait(delay_s):
            raise error

    def document(
        self, path: str, limit: int, headers: Mapping[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        """A small body whole, and the headers that came with it; tried again as in `patiently`.

        Raises:
            RegistryError: refused, or larger than `limit` bytes.
        """

        def get() -> tuple[bytes, Mapping[str, str]]:
            with finishing(self.once("GET", path, headers=headers)) as response:
                return read_whole(response, limit, self.host), dict(response.headers)

        return self.patiently(get)

    def once(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        expect: Collection[int] = (200,),
        follow: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; the caller reads the response's body, if any, and closes it.

        Args:
            path: below the registry's address, or an address it gave.
            expect: the statuses that are no error.
            follow: whether redirects are followed.

        Raises:
            RegistryUnavailableError: no connection, or status 429 or 5xx; nothing is tried again
                here.
            RegistryError: any other status, a redirect that is refused, or no TLS.
        """
        url = self.resolve(path, self.origin)
        for _ in range(MAX_REDIRECTS + 1):
            response = self._authorized(method, url, headers or {}, body)
            if response.status in expect:
                return response
            with finishing(response):
                if not follow or response.status not in _REDIRECTS:
                    text = self.authorization.hide(_some(response))
                    known = self.authorization.known
                    raise failure(method, bare(url), response.status, response.headers, text, known)
                url = self.resolve(response.headers.get("Location", ""), url)
        raise RegistryError(f"{self.host}: more than {MAX_REDIRECTS} redirects, last {bare(url)}")

    def resolve(self, place: str, base: str | None = None) -> str:
        """An address that the registry gave, absolute.

        Raises:
            RegistryError: it is none, or leads from TLS to plain HTTP.
        """
        try:
            url = urljoin(base or self.origin, place)
            parts = urlsplit(url)
            good = bool(place and parts.hostname and parts.port != 0)
        except ValueError:
            good = False
        if not good or parts.username is not None or parts.scheme not in ("http", "https"):
            raise RegistryError(f"{self.host} gave an address that cannot be used")
        if parts.scheme == "http" and not self.insecure:
            raise RegistryError(
                f"{self.host} leads from TLS to plain HTTP, {bare(url)}; that is not followed"
            )
        return url

    def _authorized(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None
    ) -> urllib3.BaseHTTPResponse:
        ours = _origin(url) == _origin(self.origin)
        renewed = 0
        while True:
            used = self.authorization.header if ours else None
            carried = {**headers, "Authorization": used} if used else headers
            response = self._send(method, url, carried, body)
            if response.status != 401 or not ours or renewed == 2:
                return response
            renewed += 1
            challenges = response.headers.getlist("WWW-Authenticate")
            if not self.authorization.renew(challenges, used):
                return response
            with finishing(response):
                pass

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None
    ) -> urllib3.BaseHTTPResponse:
        try:
            response = self._pool(url).request(
                method,
                url,
                headers={"User-Agent": "trunkline", **headers},
                body=body() if body else None,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
        except SSLError as error:
            hint = "; a registry without TLS needs --insecure" if url.startswith("https") else ""
            raise RegistryError(f"no TLS with {_host(url)}: {why_lost(error)}{hint}") from None
        except (LocationValueError, UnicodeError):
            raise RegistryError(f"{self.host} gave an address that cannot be used") from None
        except HTTPError as error:
            lost = f"no answer from {_host(url)}: {why_lost(error)}"
            first = isinstance(error, (NewConnectionError, TimeoutError)) and not self._reached
            if first:  # more likely a wrong address than one that comes back
                raise RegistryError(lost) from None
            raise RegistryUnavailableError(lost) from None
        except OSError as error:
            raise RegistryUnavailableError(
                f"the connection to {_host(url)} broke: {error.strerror or error}"
            ) from None
        self._reached = True
        return response

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Connections to where an address leads, maybe through a proxy."""
        proxy = self._proxy_for(*urlsplit(url)[:2])
        with self._pools_lock:
            if proxy not in self._pools:
                self._pools[proxy] = _connections(proxy, self.patience)
            return self._pools[proxy]

    def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """A request to a token service."""
        with finishing(self._send(method, url, headers, (lambda: body) if body else None)) as found:
            if found.status != 200:
                text = self.authorization.hide(_some(found))
                raise failure(method, bare(url), found.status, found.headers, text, True)
            return read_whole(found, MAX_TOKEN_BYTES, _host(url))


@contextmanager
def finishing(response: urllib3.BaseHTTPResponse) -> Iterator[urllib3.BaseHTTPResponse]:
    """Close a response at the end of the block; its connection serves again if little is left."""
    try:
        yield response
        left = getattr(response, "length_remaining", None)
        if left is not None and left <= _WORTH_READING:
            response.drain_conn()
    finally:
        response.close()


def read_whole(response: urllib3.BaseHTTPResponse, limit: int, host: str) -> bytes:
    """A response's body, of at most `limit` bytes.

    Raises:
        RegistryError: it is larger.
        RegistryUnavailableError: it ends too soon.
    """
    try:
        raw = response.read(limit + 1)
        while len(raw) <= limit and (more := response.read(limit + 1 - len(raw))):
            raw += more
    except (HTTPError, OSError) as error:
        raise RegistryUnavailableError(
            f"the connection to {host} broke: {why_lost(error)}"
        ) from None
    if len(raw) > limit:
        raise RegistryError(f"{host}: an answer of more than {limit} bytes")
    return raw


def bare(url: str) -> str:
    """An address without its query, which may be a signature as good as a password."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _some(response: urllib3.BaseHTTPResponse) -> str:
    """The beginning of an error's body, as far as it comes."""
    try:
        return response.read(4096).decode("utf-8", "replace")
    except (HTTPError, OSError):
        return ""


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _proxy_for(scheme: str, place: str) -> str | None:
    """The proxy that the environment names for a host (with its port), if any; none for this
    machine."""
    host = urlsplit(f"//{place}").hostname or ""
    local = host == "localhost" or host.startswith("127.") or host == "::1"
    proxy = getproxies().get(scheme)
    return proxy if proxy and not local and not proxy_bypass(place) else None


def _connections(proxy: str | None, patience: Patience) -> urllib3.PoolManager:
    options: dict[str, Any] = {
        "maxsize": WORKERS,
        "blocksize": 2**18,
        "timeout": urllib3.Timeout(connect=patience.connect_s, read=patience.read_s),
    }
    if proxy is None:
        return urllib3.PoolManager(**options)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=user)
    return urllib3.ProxyManager(bare(parts.geturl()), **options)
