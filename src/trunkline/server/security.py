"""Who may call: known hosts only, no foreign web pages, and whoever has the token.

A browser runs whatever page it is shown, and such a page can reach servers on the loopback
interface. It can do so under a name of its own that it lets point to 127.0.0.1 (DNS rebinding; its
requests have that name in `Host`), or send requests whose answers it cannot read (they have its
address in `Origin`). A server on the loopback interface answers to the loopback names only;
everywhere a request from a web page must come from a page of the same host, or of a known one.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from trunkline.errors import HttpError
from trunkline.server.headers import text
from trunkline.server.work import ServerSettings

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

OPEN: Final = frozenset({"live", "ready"})
"""Calls that need no token, so that a supervisor needs none."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Gate:
    """Decides whether a request is let in."""

    def __init__(self, settings: ServerSettings) -> None:
        self._known = LOOPBACK | {name.lower().strip("[]") for name in settings.hosts}
        self._bound_to = settings.host.lower().strip("[]")
        self._by_name = is_loopback(settings.host) or bool(settings.hosts)
        self._token = None if settings.token is None else settings.token.encode()

    def check(self, headers: Mapping[bytes, bytes], needs_token: bool) -> None:
        """Let a request in.

        Raises:
            HttpError: 403 for its host or origin, 401 for its token.
        """
        named = text(headers, b"host")  # browsers always send one; HTTP/1.0 needs none
        host = None if named is None else _hostname("//" + named)
        known = host in self._known or host == self._bound_to
        if self._by_name and named is not None and not known:
            raise HttpError(403, f"host {named[:80]!r}: this server does not answer to that name")
        self._check_origin(text(headers, b"origin"), host)
        if needs_token:
            self._check_token(headers.get(b"authorization"))

    def _check_origin(self, origin: str | None, host: str | None) -> None:
        if origin is None:
            return
        page = _hostname(origin)
        if page is None or not (page in self._known or page == host):
            raise HttpError(403, f"origin {origin[:80]!r}: no calls from pages of other hosts")

    def _check_token(self, given: bytes | None) -> None:
        if self._token is None:
            return
        scheme, _, value = (given or b"").strip().partition(b" ")
        right = hmac.compare_digest(value.strip(), self._token)
        if scheme.lower() != b"bearer" or not right:
            raise HttpError(
                401,
                "this server wants its token, as `Authorization: Bearer TOKEN`",
                **{"WWW-Authenticate": "Bearer"},
            )


@lru_cache(64)
def _hostname(url: str) -> str | None:
    """The host of an address without its port, None if it has none that can be read."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
