"""Credentials from docker's configuration: `docker login`, `skopeo login --compat-auth-file`, ...

`$DOCKER_CONFIG/config.json` (`~/.docker` by default) holds `auths`, by host, and names helpers
(`credHelpers` by host, `credsStore` for the others): programs `docker-credential-NAME` that are
asked on standard input. Nothing of a secret gets into a message or a `repr`.

Source: docker-credential-helpers, README ("Development", the protocol); docker login's manual.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trunkline.errors import RegistryError
from trunkline.store.reading import reason
from trunkline.store.registry.reference import DOCKER_HUB
from trunkline.units import shorten

MAX_CONFIG_BYTES: Final = 2**20
HELPER_S: Final = 60.0
"""A helper may have to ask a person."""

_TOKEN_USER: Final = "<token>"
_HELPER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password; or, without a user, a token that a token service takes."""

    user: str
    secret: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()


def config_path() -> Path:
    """Where docker's configuration is."""
    folder = os.environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path("~/.docker").expanduser()) / "config.json"


def find_credentials(host: str) -> Credentials | None:
    """What docker's configuration has for a host, None if nothing.

    Raises:
        RegistryError: the configuration or a helper's answer cannot be used.
    """
    path = config_path()
    config = _read(path)
    helpers = config.get("credHelpers")
    named = helpers.get(host) if isinstance(helpers, dict) else None
    helper = named or config.get("credsStore")
    if helper:
        found = _ask(helper, host, path)
        if found is not None or named:
            return found
    auths = config.get("auths")
    for key, entry in auths.items() if isinstance(auths, dict) else ():
        if _host_of(key) in _names(host) and isinstance(entry, dict):
            return _from_entry(entry, host, path)
    return None


def _names(host: str) -> tuple[str, ...]:
    return DOCKER_HUB if host in DOCKER_HUB else (host,)


def _host_of(key: str) -> str:
    """The host of a key: `https://index.docker.io/v1/` and `host:5000` are both in use."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _read(path: Path) -> dict[str, Any]:
    try:
        if not path.exists():
            return {}
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise RegistryError(f"{path}: larger than {MAX_CONFIG_BYTES} bytes")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {reason(error)}") from None
    except (ValueError, RecursionError):
        raise RegistryError(f"{path} is no JSON; mend it, or log in again") from None
    if not isinstance(document, dict):
        raise RegistryError(f"{path} is no JSON object; mend it, or log in again")
    return document


def _from_entry(entry: dict[str, Any], host: str, path: Path) -> Credentials | None:
    if token := entry.get("identitytoken"):
        return Credentials("", str(token))
    if auth := entry.get("auth"):
        try:
            user, colon, secret = base64.b64decode(auth, validate=True).decode().partition(":")
        except (ValueError, TypeError):
            colon = ""
        if not colon:
            raise RegistryError(f"{path}: auths[{host!r}]: 'auth' is no base64 of user:password")
        return Credentials(user, secret.rstrip("\0"))
    if entry.get("username"):
        return Credentials(str(entry["username"]), str(entry.get("password", "")))
    return None  # a helper has them


def _ask(helper: Any, host: str, path: Path) -> Credentials | None:
    """What a helper knows of a host, None if it knows nothing."""
    if not isinstance(helper, str) or not _HELPER.fullmatch(helper):
        raise RegistryError(f"{path}: {helper!r:.80} is no name of a credential helper")
    program = f"docker-credential-{helper}"
    server = "https://index.docker.io/v1/" if host in DOCKER_HUB else host
    try:
        done = subprocess.run(
            [program, "get"], input=server.encode(), capture_output=True, timeout=HELPER_S
        )
    except OSError as error:
        raise RegistryError(
            f"{path} names the credential helper {program}: it cannot be run: {reason(error)}"
        ) from None
    except subprocess.TimeoutExpired:
        raise RegistryError(f"{program} has not answered within {HELPER_S:g} s") from None
    if done.returncode:
        if b"credentials not found" in done.stdout + done.stderr:
            return None
        raise RegistryError(f"{program} failed for {shorten(host)}: status {done.returncode}")
    try:
        answer = json.loads(done.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise RegistryError(f"{program} gave no credentials for {shorten(host)}") from None
    return Credentials("" if user == _TOKEN_USER else user, secret)
