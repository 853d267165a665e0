"""References: which model, in which repository, of which registry: `oci://HOST/REPO:TAG`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from trunkline.errors import InputError
from trunkline.store.digests import is_digest
from trunkline.units import shorten

SCHEME: Final = "oci://"
_HOST: Final = re.compile(
    r"([A-Za-z0-9]([A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?"
)
_REPOSITORY: Final = re.compile(
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_VERSION: Final = re.compile(r"latest|[vV]?[0-9]+(\.[0-9]+)*")
MAX_REPOSITORY: Final = 255
DOCKER_HUB: Final = ("docker.io", "index.docker.io")


@dataclass(frozen=True, slots=True)
class Reference:
    """A manifest's address, or a repository's where it has neither tag nor digest.

    Attributes:
        host: of the registry, with its port if one was named.
        repository: its path there.
        tag: a name that may come to mean another manifest.
        digest: of the manifest; it counts where both are given.
    """

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read `oci://HOST[:PORT]/REPO[:TAG][@sha256:...]`.

        Raises:
            InputError: it is none. What may be a password is not repeated.
        """
        host, slash, path = text.removeprefix(SCHEME).partition("/")
        if not text.startswith(SCHEME) or not slash:
            shown = "it" if "@" in host else repr(shorten(text))
            raise InputError(f"{shown} is no reference: write oci://HOST/REPO:TAG")
        if "@" in host:
            raise InputError(
                "a reference holds no user and no password: they come from docker's configuration "
                "(`docker login HOST`)"
            )
        if not _HOST.fullmatch(host) or _port(host) > 65535:
            raise InputError(f"{shorten(text)!r}: {shorten(host, 40)!r} is no host")
        rest, at, digest = path.partition("@")
        if at and not is_digest(digest):
            raise InputError(
                f"{shorten(text)!r}: {shorten(digest, 40)!r} is no digest (sha256: and 64 hex "
                "digits)"
            )
        repository, colon, tag = rest.partition(":")
        check_repository(repository, text)
        if colon and not _TAG.fullmatch(tag):
            raise InputError(
                f"{shorten(text)!r}: the tag {shorten(tag, 40)!r} is refused: up to 128 letters, "
                "digits, '.', '_' and '-', the first no '.' or '-'"
            )
        return cls(host.lower(), repository, tag or None, digest or None)

    def tagged(self, tag: str) -> Reference:
        """The same repository's manifest of that tag."""
        return replace(self, tag=tag, digest=None)

    @property
    def target(self) -> str:
        """What the registry is asked for: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    @property
    def model_name(self) -> str:
        """What a model is called that was pulled by this reference: the tag, unless there is none
        or it only tells a version (`latest`, `v1.2`); then the last part of the repository."""
        if self.tag is None or _VERSION.fullmatch(self.tag):
            return self.repository.rpartition("/")[2]
        return self.tag.lstrip("_") or self.repository.rpartition("/")[2]

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return (
            f"{SCHEME}{self.host}/{self.repository}{tag}{'@' + self.digest if self.digest else ''}"
        )


def check_repository(repository: str, where: str) -> str:
    """The repository itself, if the distribution specification allows it (else InputError)."""
    if len(repository) > MAX_REPOSITORY or not _REPOSITORY.fullmatch(repository):
        raise InputError(
            f"{shorten(where)!r}: the repository {shorten(repository, 40)!r} is refused: parts of "
            "small letters and digits, joined by '/', '.', '_' and '-'"
        )
    return repository


def _port(host: str) -> int:
    found = re.search(r":([0-9]+)$", host)
    return int(found.group(1)) if found and not host.endswith("]") else 0
