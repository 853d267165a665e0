"""Authorization at a registry: anonymous, basic, or a bearer token from the service it names.

A registry that wants one answers 401 and a challenge: `Basic realm=...` or
`Bearer realm=<url>,service=...,scope=...`. A token is fetched from the realm, with the credentials
there are, for all scopes that were asked for so far.

Source: distribution, `docs/spec/auth/token.md` and `oauth.md`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode, urlsplit
from urllib.request import parse_http_list, parse_keqv_list

from trunkline.errors import RegistryError
from trunkline.store.registry.credentials import Credentials
from trunkline.units import shorten

MAX_TOKEN_BYTES: Final = 2**20
CLIENT: Final = "trunkline"

Ask = Callable[[str, str, Mapping[str, str], bytes | None], bytes]
"""Sends (method, url, headers, body) and returns the body of the answer of status 200."""


class Challenge(NamedTuple):
    """What a `WWW-Authenticate` header asks for; the scheme in small letters."""

    scheme: str
    parameters: Mapping[str, str]


class Authorization:
    """The `Authorization` header for one registry; used by several threads.

    Args:
        host: the registry.
        credentials: finds what the user has for it; called when it first asks.
        ask: sends a request to a token service.
        insecure: whether a token service may be asked without TLS.
    """

    def __init__(
        self, host: str, credentials: Callable[[str], Credentials | None], ask: Ask, insecure: bool
    ) -> None:
        self._host = host
        self._find = credentials
        self._ask = ask
        self._insecure = insecure
        self._lock = threading.Lock()
        self._scopes: list[str] = []
        self._found: Credentials | None = None
        self._looked = False
        self._secrets: set[str] = set()
        self.header: str | None = None

    def renew(self, challenges: Sequence[str], used: str | None) -> bool:
        """Meet a challenge; whether the request is worth sending again.

        Args:
            challenges: the `WWW-Authenticate` headers.
            used: the header that the refused request carried.

        Raises:
            RegistryError: docker's configuration, the challenge, or the token service's answer
                cannot be used.
        """
        with self._lock:
            if self.header != used:
                return True  # another thread was quicker
            for challenge in map(read_challenge, challenges):
                if challenge.scheme == "bearer":
                    self.header = "Bearer " + self._token(challenge.parameters)
                elif challenge.scheme == "basic" and (found := self._credentials()) is not None:
                    self.header = found.basic
                else:
                    continue
                self._secrets.add(self.header.partition(" ")[2])
                return self.header != used
            return False

    @property
    def known(self) -> bool:
        """Whether the user has credentials for this registry, as far as it has asked for them."""
        return self._found is not None

    def hide(self, text: str) -> str:
        """A text of the registry's, without the secrets that it may repeat."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _credentials(self) -> Credentials | None:
        if not self._looked:
            self._found, self._looked = self._find(self._host), True
            if self._found is not None:
                secrets = {self._found.secret, self._found.basic.partition(" ")[2]}
                self._secrets |= secrets - {""}
        return self._found

    def _token(self, parameters: Mapping[str, str]) -> str:
        realm = parameters.get("realm", "")
        try:
            place = urlsplit(realm)
        except ValueError:
            place = urlsplit("")
        allowed = ("https", "http") if self._insecure else ("https",)
        if place.scheme not in allowed or not place.hostname:
            raise RegistryError(
                f"{self._host} names the token service {shorten(realm)!r}, which is no address "
                f"with {' or '.join(allowed)}"
            )
        for scope in parameters.get("scope", "").split(" "):
            if scope and scope not in self._scopes:
                self._scopes.append(scope)
        found = self._credentials()
        service = parameters.get("service", "")
        if found is not None and not found.user:
            raw = self._by_refresh(realm, service, found.secret)
        else:
            query = urlencode(
                [("service", service), *(("scope", one) for one in self._scopes)]
                + ([("client_id", CLIENT)] if found else [])
            )
            url = f"{realm}{'&' if place.query else '?'}{query}"
            raw = self._ask("GET", url, {"Authorization": found.basic} if found else {}, None)
        return self._read_token(raw, place.hostname)

    def _by_refresh(self, realm: str, service: str, token: str) -> bytes:
        form = {
            "grant_type": "refresh_token",
            "service": service,
            "client_id": CLIENT,
            "scope": " ".join(self._scopes),
            "refresh_token": token,
        }
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", realm, kind, urlencode(form).encode())

    def _read_token(self, raw: bytes, service: str) -> str:
        try:
            answer = json.loads(raw)
            token = answer.get("token") or answer.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryError(f"the token service {shorten(service)} of {self._host}: no token")
        return token


def read_challenge(header: str) -> Challenge:
    """Read one `WWW-Authenticate` header; what cannot be read has no parameters."""
    scheme, _, rest = header.strip().partition(" ")
    pairs = [one for one in parse_http_list(rest) if one.partition("=")[2]]
    return Challenge(scheme.lower(), {k.lower(): v for k, v in parse_keqv_list(pairs).items()})
