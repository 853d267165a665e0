"""Models on disk as parameter blocks, each block once (an OCI image layout).

Importing this package loads neither torch nor safetensors.
"""

from trunkline.store.adapters import open_adapter
from trunkline.store.architecture import Architecture, InputSpec
from trunkline.store.factory import open_factory
from trunkline.store.model import StoredBlock, StoredModel, TensorSpec, library_of
from trunkline.store.paths import open_path
from trunkline.store.reports import (
    GcReport,
    ImportReport,
    Inventory,
    Problem,
    PullReport,
    PushReport,
    VerifyReport,
)
from trunkline.store.sources import Source, SourceTensor, Tensors
from trunkline.store.store import Store

__all__ = [
    "Architecture",
    "GcReport",
    "ImportReport",
    "InputSpec",
    "Inventory",
    "Problem",
    "PullReport",
    "PushReport",
    "Source",
    "SourceTensor",
    "Store",
    "StoredBlock",
    "StoredModel",
    "TensorSpec",
    "Tensors",
    "VerifyReport",
    "library_of",
    "open_adapter",
    "open_factory",
    "open_path",
]
