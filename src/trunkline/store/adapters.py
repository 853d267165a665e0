"""PEFT's LoRA folders: an adapter's own blocks beside those of a base that the store holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trunkline.errors import ArchitectureError, WeightsFormatError
from trunkline.store.adapted import PREFIX, base_renaming, ranks, stored_name, wrapping_maker
from trunkline.store.architecture import Architecture, InputSpec
from trunkline.store.blocks import LARGE_TENSOR_BYTES
from trunkline.store.building import build_with, import_torch
from trunkline.store.dtypes import torch_name
from trunkline.store.fitting import misfit
from trunkline.store.huggingface import KEPT_FILES
from trunkline.store.lora import ADAPTER_CONFIG, read_settings, resolved
from trunkline.store.model import StoredModel, TensorSpec
from trunkline.store.reading import BufferReader, refuse_pickle
from trunkline.store.shards import read_object, read_small
from trunkline.store.skeleton import Skeleton, examine
from trunkline.store.sources import Source, SourceTensor, open_safetensors
from trunkline.units import count, shorten

if TYPE_CHECKING:
    from trunkline.store.store import Store

ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"
_PICKLED_WEIGHTS: Final = "adapter_model.bin"
_LORA_BLOCK: Final = "base_model.lora"


def open_adapter(store: Store, base: str, folder: Path, given: InputSpec | None = None) -> Source:
    """A source over an adapter, to be added to the store that holds its base.

    The model added consists of the base's blocks as they are and of the adapter's: all LoRA
    matrices in one block (cut at 64 MiB), and a block for each leaf of the modules that were saved
    whole. It answers as `PeftModel.from_pretrained(base, folder)` does, unmerged; to that end
    matrices of half precision are kept as F32, to which PEFT casts them.

    Args:
        base: the name of a Hugging Face model in the store.
        given: what the model takes, if it is not what its base takes.

    Raises:
        NotInStoreError: the store has no model of the base's name.
        ArchitectureError: the base is no Hugging Face model; the adapter is of another kind than
            LoRA, has settings that are not supported, or does not fit the base.
        WeightsFormatError, StoreError: a file of the folder cannot be used.
    """
    settings = read_folder(folder)
    model = store.model(base)
    below = _base_architecture(model)
    module = build_with(wrapping_maker(below, settings), f"{below.label} with the adapter {folder}")
    settings = resolved(settings, ranks(module))
    architecture = replace(below, kind="peft", adapter=settings)
    skeleton = examine(module, architecture.label)
    rename = base_renaming(architecture, module, map(stored_name, skeleton.tensors))
    fitting = _Fitting(skeleton, model, architecture.label, rename)
    source = open_safetensors(_weights(folder))
    try:
        return _joined(source, fitting, model, architecture, given, _files(store, model, folder))
    except BaseException:
        source.close()
        raise


def read_folder(folder: Path) -> dict[str, Any]:
    """The settings of the adapter in a folder, its weights not looked at.

    Raises:
        WeightsFormatError: the folder holds no adapter, or pickled weights only.
        ArchitectureError: as in `open_adapter`.
        StoreError: a file cannot be read.
    """
    path = folder / ADAPTER_CONFIG
    if not path.exists():
        raise WeightsFormatError(f"{folder} holds no {ADAPTER_CONFIG}, so it is no PEFT adapter")
    _weights(folder)
    return read_settings(read_object(path), str(path))


@dataclass(frozen=True)
class _Fitting:
    """What the adapted model needs, and what its base has."""

    skeleton: Skeleton
    base: StoredModel
    label: str
    rename: Callable[[str], str]

    def specs(self) -> dict[str, TensorSpec]:
        """The base's tensors by the names that its module has for them."""
        return {
            self.rename(spec.name): spec for block in self.base.blocks for spec in block.tensors
        }

    def own(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The adapter's tensors by the names of its file: type and shape, in order.

        A module saved whole takes the types of the base's, LoRA's matrices that of PEFT: F32, or
        F64 on a base of F64.

        Raises:
            ArchitectureError: the base lacks a tensor.
        """
        held = self.specs()
        wide = any(spec.dtype == "F64" for spec in held.values())
        needed = {}
        for place, (dtype, shape) in self.skeleton.tensors.items():
            name = stored_name(place)
            if name.startswith(PREFIX):
                spec = held.get(name.removeprefix(PREFIX))
                whole = ".modules_to_save." in place
                own = spec.dtype if whole and spec else "F64" if wide else "F32"
                needed[name] = own, shape
            else:
                self._check_base(name, place, (dtype, shape), held)
        return needed

    def _check_base(
        self,
        name: str,
        place: str,
        needed: tuple[str, tuple[int, ...]],
        held: Mapping[str, TensorSpec],
    ) -> None:
        group = next((one for one in self.skeleton.groups if place in one), (place,))
        names = {stored_name(one) for one in group} | {name}
        names |= {self.rename(self.base.tied[one]) for one in names if one in self.base.tied}
        spec = next((held[one] for one in names if one in held), None)
        what = f"the base {shorten(self.base.name)!r}"
        if spec is None:
            raise ArchitectureError(f"{what} lacks the tensor {shorten(name)!r}")
        if problem := misfit(spec.name, spec.dtype, spec.shape, needed, self.label):
            raise ArchitectureError(f"{what}: {problem}")


def _joined(
    source: Source,
    fitting: _Fitting,
    base: StoredModel,
    architecture: Architecture,
    given: InputSpec | None,
    files: Mapping[str, bytes],
) -> Source:
    needed = fitting.own()
    _check_names(source, needed, base, architecture.label)
    by_name = {tensor.name: tensor for tensor in source.tensors}
    tensors, cast = [], 0
    for name, (dtype, shape) in needed.items():
        tensor = by_name[name]
        if problem := misfit(name, tensor.dtype, tensor.shape, (dtype, shape), architecture.label):
            raise ArchitectureError(f"the adapter's {problem}")
        cast += tensor.dtype != dtype
        tensors.append(tensor if tensor.dtype == dtype else _cast(tensor, dtype))
    lora = [one for one in tensors if ".lora_" in one.name]
    saved = [one for one in tensors if ".lora_" not in one.name]
    block_of = dict(_lora_blocks(lora))
    note = f"kept in the precision that PEFT casts them to: {count(cast, 'tensor')} of the adapter"
    return Source(
        (*lora, *saved),
        architecture,
        given or base.input,
        tied=dict(base.tied),
        files=files,
        notes=(note,) if cast else (),
        held=base.blocks,
        early=len(set(block_of.values())),
        block_of=block_of,
        close=source.close,
    )


def _check_names(
    source: Source, needed: Mapping[str, object], base: StoredModel, label: str
) -> None:
    """Refuse an adapter that lacks a tensor, or has one too many (ArchitectureError)."""
    there = [tensor.name for tensor in source.tensors]
    for name in needed:
        if name not in there:
            raise ArchitectureError(f"the adapter lacks the tensor {shorten(name)!r} of {label}")
    for name in there:
        if name not in needed:
            raise ArchitectureError(
                f"the adapter holds a tensor {shorten(name)!r}, for which {label} has no place "
                "(one of the base's own is no part of an adapter unless modules_to_save names it)"
            )
    ids = {block.id for block in base.blocks}
    if clash := next((one for one in ids if one.startswith("base_model.")), None):
        raise ArchitectureError(
            f"the base {shorten(base.name)!r} has a block {shorten(clash)!r}, a name that PEFT "
            "gives to adapters"
        )


def _lora_blocks(tensors: Sequence[SourceTensor]) -> Iterator[tuple[str, str]]:
    """The block of each matrix. They are needed together and are small, so they are few blocks."""
    number = size = 0
    for tensor in tensors:
        if size and size + tensor.bytes > LARGE_TENSOR_BYTES:
            number, size = number + 1, 0
        size += tensor.bytes
        yield tensor.name, _LORA_BLOCK + (f".{number}" if number else "")


def _cast(tensor: SourceTensor, dtype: str) -> SourceTensor:
    """The tensor in another precision, in memory."""
    torch = import_torch()
    raw = bytearray(tensor.bytes)
    tensor.reader.read_into(tensor.position, memoryview(raw))
    old, new = getattr(torch, torch_name(tensor.dtype)), getattr(torch, torch_name(dtype))
    value = torch.frombuffer(raw, dtype=old).to(new) if raw else torch.empty(0, dtype=new)
    view = memoryview(value.view(torch.uint8).numpy())
    return replace(tensor, dtype=dtype, bytes=len(view), reader=BufferReader(view), position=0)


def _base_architecture(base: StoredModel) -> Architecture:
    found = base.architecture
    if found is None or found.kind == "factory":
        raise ArchitectureError(
            f"the base {shorten(base.name)!r} is no Hugging Face model; import the folder with its "
            "config.json"
        )
    if found.kind == "peft":
        raise ArchitectureError(
            f"the base {shorten(base.name)!r} has an adapter itself; name the model below it"
        )
    return found


def _weights(folder: Path) -> Path:
    path = folder / ADAPTER_WEIGHTS
    if not path.exists():
        if (folder / _PICKLED_WEIGHTS).exists():
            refuse_pickle(folder / _PICKLED_WEIGHTS)
        raise WeightsFormatError(f"{folder} holds no {ADAPTER_WEIGHTS}")
    return path


def _files(store: Store, base: StoredModel, folder: Path) -> dict[str, bytes]:
    """The base's small files, the adapter's own in their place, and its config."""
    files: dict[str, bytes] = {}
    for name in KEPT_FILES:
        own = folder / name
        if own.is_file() and name != "config.json":
            files[name] = read_small(own)
        elif name in base.files:
            files[name] = store.read_file(base, name)
    return {**files, ADAPTER_CONFIG: read_small(folder / ADAPTER_CONFIG)}
