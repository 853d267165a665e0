"""Models on disk as parameter blocks, each block once (an OCI image layout).

Importing this package loads neither torch nor safetensors.
"""

from trunkline.store.architecture import Architecture, InputSpec
from trunkline.store.factory import open_factory
from trunkline.store.model import StoredBlock, StoredModel, TensorSpec
from trunkline.store.paths import open_path
from trunkline.store.reports import BlobProblem, GcReport, ImportReport, VerifyReport
from trunkline.store.sources import Source, SourceTensor, Tensors
from trunkline.store.store import Store

__all__ = [
    "Architecture",
    "BlobProblem",
    "GcReport",
    "ImportReport",
    "InputSpec",
    "Source",
    "SourceTensor",
    "Store",
    "StoredBlock",
    "StoredModel",
    "TensorSpec",
    "Tensors",
    "VerifyReport",
    "open_factory",
    "open_path",
]
