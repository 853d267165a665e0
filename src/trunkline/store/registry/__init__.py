"""Models to and from an OCI registry: only the blobs that the far end lacks are moved."""

from trunkline.store.registry.credentials import Credentials, find_credentials
from trunkline.store.registry.pulling import Holders
from trunkline.store.registry.reference import Reference
from trunkline.store.registry.repository import Repository, open_repository
from trunkline.store.registry.transport import Patience, Transport

__all__ = [
    "Credentials",
    "Holders",
    "Patience",
    "Reference",
    "Repository",
    "Transport",
    "find_credentials",
    "open_repository",
]
