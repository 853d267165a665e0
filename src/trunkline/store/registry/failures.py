"""What went wrong with a registry, in words: statuses, its own text, lost connections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    IncompleteRead,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
)
from urllib3.util.retry import Retry

from trunkline.errors import RegistryError, RegistryUnavailableError
from trunkline.units import shorten

MAX_RETRY_AFTER_S: Final = 1e9
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})


def failure(
    method: str, url: str, status: int, headers: Mapping[str, str], text: str, known: bool
) -> RegistryError:
    """The error for a response of an unexpected status.

    Args:
        url: without its query.
        text: the beginning of the body.
        known: whether the user has credentials there.
    """
    said = _said(text)
    message = f"{method} {url}: status {status}{f', {said}' if said else ''}"
    if status in _AGAIN:
        after_s = retry_after(headers)
        asks = "" if after_s is None else f"; it asks to wait {after_s:.0f} s"
        return RegistryUnavailableError(message + asks, status, after_s)
    if status in (401, 403):
        message += (
            "; the credentials of docker's configuration are not enough for this"
            if known
            else "; docker's configuration has no credentials for it (`docker login HOST`)"
        )
    return RegistryError(message, status)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a `Retry-After` header, None if there is none that can be read."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    try:
        return min(max(0.0, float(Retry().parse_retry_after(value))), MAX_RETRY_AFTER_S)
    except (HTTPError, ValueError, OverflowError):  # neither a number nor a date
        return None


def why_lost(error: BaseException) -> str:
    """What became of a connection, without the library's names of things."""
    match error:
        case NameResolutionError():
            return "there is no host of that name"
        case NewConnectionError():
            pass
        case ConnectTimeoutError():
            return "it does not answer in time"
        case ReadTimeoutError():
            return "it went silent"
        case IncompleteRead():
            return "it ended before all bytes were there"
        case ProxyError():
            return "the proxy does not let us through"
        case ProtocolError():
            return "it was closed"
    cause = next((one for one in (error.__cause__, *error.args) if isinstance(one, OSError)), None)
    if cause is not None:
        return cause.strerror or str(cause)
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return shorten(" ".join(str(error).rpartition(": ")[2].split()), 120)


def _said(text: str) -> str:
    """The messages of an error in the distribution specification's form, else nothing."""
    try:
        errors = json.loads(text)["errors"]
        found = "; ".join(str(one.get("message") or one.get("code")) for one in errors[:3])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return shorten("".join(c if c.isprintable() else " " for c in found), 200)
