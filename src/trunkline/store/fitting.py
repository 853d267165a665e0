"""Do these weights fit this architecture? And in which order are they needed?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from trunkline.errors import ArchitectureError
from trunkline.store.dtypes import kind
from trunkline.store.importing import PIECE_BYTES
from trunkline.store.skeleton import Skeleton
from trunkline.store.sources import Source, SourceTensor


def fit(source: Source, skeleton: Skeleton, what: str) -> tuple[list[SourceTensor], dict[str, str]]:
    """The source's tensors without second copies of tied ones, and the ties.

    Each name of the skeleton must come, unless it is tied to one that comes; nothing else may.
    The type may be of another width (the weights' precision is kept) but not of another kind.

    Raises:
        ArchitectureError: naming the tensor that is missing, unexpected, or of another shape or
            kind, or whose two copies differ though the architecture ties them.
    """
    given = {tensor.name: tensor for tensor in source.tensors}
    _refuse(
        [name for name in given if name not in skeleton.tensors],
        f"{what} has no tensor",
        "which the weights hold",
    )
    check_shapes(given.values(), skeleton, what)
    tied = {dropped: kept for dropped, kept in source.tied.items() if dropped in skeleton.tensors}
    for group in skeleton.groups:
        present = [name for name in group if name in given]
        for name in present[1:]:
            _check_equal(given.pop(name), given[present[0]], what)
        if present:
            tied |= {name: present[0] for name in group if name != present[0]}
    tied = {dropped: tied.get(kept, kept) for dropped, kept in tied.items()}
    for dropped, kept in tied.items():
        if skeleton.tensors[dropped][1] != skeleton.tensors[kept][1]:
            raise ArchitectureError(
                f"{what}: the weights tie {dropped!r} to {kept!r}, which has another shape"
            )
    _refuse(
        [name for name in skeleton.tensors if name not in given and name not in tied],
        f"{what} needs the tensor",
        "which the weights lack",
    )
    return list(given.values()), tied


def check_shapes(tensors: Iterable[SourceTensor], skeleton: Skeleton, what: str) -> None:
    """Compare shapes and kinds of the tensors that the skeleton has, too (ArchitectureError)."""
    for tensor in tensors:
        if tensor.name not in skeleton.tensors:
            continue
        dtype, shape = skeleton.tensors[tensor.name]
        if tensor.shape != shape:
            raise ArchitectureError(
                f"{what}: tensor {tensor.name!r} must have the shape {list(shape)}, "
                f"the weights have {list(tensor.shape)}"
            )
        if kind(tensor.dtype) != kind(dtype):
            raise ArchitectureError(
                f"{what}: tensor {tensor.name!r} must be of kind {kind(dtype)} ({dtype}), "
                f"the weights have {tensor.dtype}"
            )


def ordered(tensors: Sequence[SourceTensor], order: Iterable[str]) -> tuple[SourceTensor, ...]:
    """The tensors in the order of the names, those that it lacks at the end as they came."""
    place = {name: i for i, name in enumerate(order)}
    return tuple(sorted(tensors, key=lambda tensor: place.get(tensor.name, len(place))))


def spread_ties(order: Sequence[str], tied: Mapping[str, str]) -> list[str]:
    """The order with every tied name replaced by the tensor it stands for, first use first."""
    return list(dict.fromkeys(tied.get(name, name) for name in order))


def _check_equal(one: SourceTensor, other: SourceTensor, what: str) -> None:
    same = one.dtype == other.dtype and one.bytes == other.bytes
    for offset in range(0, one.bytes if same else 0, PIECE_BYTES):
        count = min(PIECE_BYTES, one.bytes - offset)
        left, right = bytearray(count), bytearray(count)
        one.reader.read_into(one.position + offset, memoryview(left))
        other.reader.read_into(other.position + offset, memoryview(right))
        same = same and left == right
    if not same:
        raise ArchitectureError(
            f"{what} ties {one.name!r} to {other.name!r}, but the weights hold different ones"
        )


def _refuse(names: Sequence[str], before: str, after: str) -> None:
    if names:
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        raise ArchitectureError(f"{before} {names[0]!r}, {after}{more}")
