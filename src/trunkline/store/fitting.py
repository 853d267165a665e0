"""Do these weights fit this architecture? And in which order are they needed?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from trunkline.errors import ArchitectureError
from trunkline.store.dtypes import kind
from trunkline.store.importing import PIECE_BYTES
from trunkline.store.skeleton import Skeleton
from trunkline.store.sources import Source, SourceTensor
from trunkline.units import shorten


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
                f"{what}: the weights tie {shorten(dropped)!r} to {shorten(kept)!r}, which has "
                "another shape"
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
        needed = skeleton.tensors[tensor.name]
        if problem := misfit(tensor.name, tensor.dtype, tensor.shape, needed, what):
            raise ArchitectureError(problem)


def misfit(
    name: str, dtype: str, shape: tuple[int, ...], needed: tuple[str, tuple[int, ...]], what: str
) -> str | None:
    """Why a tensor of this type and shape cannot stand where `what` needs another, as a sentence.

    None if it can: the shape is equal, and so is the kind of the elements; their width may differ.
    """
    needed_dtype, needed_shape = needed
    if shape != needed_shape:
        has, needs = f"has the shape {list(shape)}", f"{list(needed_shape)}"
    elif kind(dtype) != kind(needed_dtype):
        has, needs = f"is {dtype}", f"{needed_dtype} or another type of kind {kind(needed_dtype)}"
    else:
        return None
    return f"tensor {shorten(name)!r} {has}, {what} needs {needs}"


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
            f"{what} ties {shorten(one.name)!r} to {shorten(other.name)!r}, but the weights hold "
            "different ones"
        )


def _refuse(names: Sequence[str], before: str, after: str) -> None:
    if names:
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        raise ArchitectureError(f"{before} {shorten(names[0])!r}, {after}{more}")
