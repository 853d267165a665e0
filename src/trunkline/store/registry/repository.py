"""One repository of a registry: manifests and blobs, by the OCI distribution specification 1.1.

`GET|HEAD|PUT /v2/<name>/manifests/<reference>`, `GET|HEAD /v2/<name>/blobs/<digest>`,
`POST /v2/<name>/blobs/uploads/` (with `mount` and `from`: take the blob over from a neighbour) and
`PUT <location>?digest=<digest>`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode, urlsplit

import urllib3

from trunkline.errors import RegistryError
from trunkline.store.digests import digest_of, is_digest
from trunkline.store.manifest import MANIFEST_TYPE, MAX_MANIFEST_BYTES
from trunkline.store.registry.reference import Reference
from trunkline.store.registry.transport import Body, Transport, finishing

INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
ACCEPT: Final = ", ".join(
    (
        MANIFEST_TYPE,
        INDEX_TYPE,  # so that one can be told from nothing
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)


class Repository:
    """A repository, as far as models need it; used by several threads.

    Args:
        transport: to its registry; several repositories may share one.
        name: its path there.
    """

    def __init__(self, transport: Transport, name: str) -> None:
        self.transport = transport
        self.name = name
        self._path = f"/v2/{name}"

    def __str__(self) -> str:
        return f"{self.transport.host}/{self.name}"

    # ---- manifests ----

    def manifest(self, target: str) -> tuple[str, bytes]:
        """The manifest of a tag or a digest: its digest and its content, which was compared with
        the digest that was asked for, or else with the one that the registry tells.

        Raises:
            RegistryError: there is none, it is larger than 4 MiB, or its content is another.
        """
        raw, headers = self.transport.document(
            f"{self._path}/manifests/{target}", MAX_MANIFEST_BYTES, {"Accept": ACCEPT}
        )
        digest = digest_of(raw)
        told = {key.lower(): value for key, value in headers.items()}.get("docker-content-digest")
        for wanted in (target, told):
            if is_digest(wanted) and wanted != digest:
                raise RegistryError(f"{self}: the manifest {wanted} came with content {digest}")
        return digest, raw

    def manifest_digest(self, target: str) -> str | None:
        """What a tag means now, None if nothing or if the registry does not tell."""
        path = f"{self._path}/manifests/{target}"
        accept = {"Accept": ACCEPT}
        send = self._sending("HEAD", path, expect=(200, 404), headers=accept)
        with finishing(self.transport.patiently(send)) as response:
            digest = response.headers.get("Docker-Content-Digest")
            return digest if response.status == 200 and is_digest(digest) else None

    def put_manifest(self, target: str, content: bytes) -> None:
        """Store a manifest under a tag or its digest; its blobs must be there.

        Raises:
            RegistryError: refused, or stored as another.
        """
        path = f"{self._path}/manifests/{target}"
        kind = {"Content-Type": MANIFEST_TYPE}
        send = self._sending("PUT", path, expect=(201,), headers=kind, body=lambda: content)
        with finishing(self.transport.patiently(send)) as response:
            told = response.headers.get("Docker-Content-Digest")
            if is_digest(told) and told != digest_of(content):
                raise RegistryError(f"{self} stored the manifest {digest_of(content)} as {told}")

    # ---- blobs ----

    def has_blob(self, digest: str) -> bool:
        """Whether the blob is there."""
        path = f"{self._path}/blobs/{digest}"
        send = self._sending("HEAD", path, expect=(200, 404), follow=True)
        with finishing(self.transport.patiently(send)) as response:
            return response.status == 200

    def open_blob(self, digest: str, first: int = 0) -> urllib3.BaseHTTPResponse:
        """Ask for a blob from the byte `first` on, once; status 200 (the whole blob), 206 (from
        there), or 416 (it has no such byte). The caller reads and closes the response.

        Raises:
            RegistryUnavailableError: another try may succeed.
            RegistryError: refused, or not there.
        """
        headers = {"Accept-Encoding": "identity"}
        if first:
            headers["Range"] = f"bytes={first}-"
        return self.transport.once(
            "GET",
            f"{self._path}/blobs/{digest}",
            headers=headers,
            expect=(200, 206, 416) if first else (200,),
            follow=True,
        )

    def mount(self, digest: str, neighbour: str | None) -> str | None:
        """Begin an upload: where to, or None if the registry took the blob from the neighbour
        repository."""
        query = {"mount": digest, "from": neighbour} if neighbour else {}
        path = f"{self._path}/blobs/uploads/{'?' if query else ''}{urlencode(query)}"
        empty = {"Content-Length": "0"}
        send = self._sending("POST", path, expect=(201, 202), headers=empty)
        with finishing(self.transport.patiently(send)) as response:
            if response.status == 201:
                return None
            return self.transport.resolve(response.headers.get("Location", ""))

    def upload(self, place: str, digest: str, size: int, body: Body) -> None:
        """Send a blob's content to the place that `mount` gave, once.

        Raises:
            RegistryUnavailableError: another try may succeed, with a new place.
            RegistryError: refused.
        """
        joint = "&" if urlsplit(place).query else "?"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        url = f"{place}{joint}{urlencode({'digest': digest})}"
        sent = self.transport.once("PUT", url, headers=headers, body=body, expect=(201,))
        with finishing(sent):
            pass

    def _sending(
        self,
        method: str,
        path: str,
        *,
        expect: tuple[int, ...],
        headers: dict[str, str] | None = None,
        body: Body | None = None,
        follow: bool = False,
    ) -> Callable[[], urllib3.BaseHTTPResponse]:
        return lambda: self.transport.once(
            method, path, expect=expect, headers=headers, body=body, follow=follow
        )


def open_repository(reference: Reference, *, insecure: bool = False) -> Repository:
    """The repository that a reference names; nothing is sent yet."""
    return Repository(Transport(reference.host, insecure=insecure), reference.repository)
