"""Repositories of other sites, which may be gone, behind the times, or lie: then the next is asked.

Every blob is hashed by who fetches it, so a holder can waste time and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import urllib3

from trunkline.errors import RegistryError
from trunkline.sites.document import Address
from trunkline.store.digests import is_digest
from trunkline.store.registry import Patience, Repository, Transport

SHORT: Final = Patience(tries=1, connect_s=3.0, read_s=15.0)
"""A neighbour is asked once: there are others, and the data centre."""


class Holder(Repository):
    """A site's repository. One that refuses or does not answer is not asked again in this pull.

    Attributes:
        name_of: the site's id, or what the data centre is called.
        served: the digests of blobs that it answered for. A blob is the last one's that did.
        lost: why it is not asked any more, None while it is.
    """

    def __init__(
        self, name_of: str, address: Address, served: dict[str, str], patience: Patience | None
    ) -> None:
        reference = address.reference
        transport = Transport(reference.host, insecure=address.insecure, patience=patience)
        super().__init__(transport, reference.repository)
        self.name_of = name_of
        self.served = served
        self.lost: RegistryError | None = None

    def open_blob(self, digest: str, first: int = 0) -> urllib3.BaseHTTPResponse:
        """As a repository's, and noted."""
        try:
            response = super().open_blob(digest, first)
        except RegistryError as error:
            if error.status != 404:
                self.lost = error
            raise
        self.served[digest] = self.name_of
        return response


class DataCentre(Holder):
    """The data centre's repository: asked last, and with patience. A manifest that is named by its
    digest may come from a site as well, since nobody can pass off another."""

    def __init__(
        self,
        address: Address,
        served: dict[str, str],
        neighbours: Callable[[], Sequence[Holder]],
    ) -> None:
        super().__init__("data centre", address, served, None)
        self._neighbours = neighbours

    def manifest(self, target: str) -> tuple[str, bytes]:
        """As a repository's; by digest, of the nearest who has it."""
        for holder in self._neighbours() if is_digest(target) else ():
            try:
                return holder.manifest(target)
            except RegistryError as error:
                if error.status != 404:
                    holder.lost = error
        return super().manifest(target)
