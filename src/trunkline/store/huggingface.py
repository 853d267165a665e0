"""Folders as Hugging Face's libraries write them: `config.json`, weights, a tokenizer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from trunkline.errors import ArchitectureError
from trunkline.store.architecture import Architecture, InputSpec
from trunkline.store.building import build_skeleton
from trunkline.store.fitting import check_shapes, ordered, spread_ties
from trunkline.store.paths import open_weights
from trunkline.store.renaming import renaming
from trunkline.store.shards import read_object, read_small
from trunkline.store.skeleton import Skeleton, examine, known_order
from trunkline.store.sources import Source
from trunkline.units import count, shorten

KEPT_FILES: Final = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
"""What is kept beside the weights, so that a stock reader can use what was pulled."""


def open_folder(folder: Path, given: InputSpec | None = None) -> Source:
    """A source over a folder with a `config.json`.

    The class is `architectures[0]`. If transformers is installed and knows it, it is built on the
    meta device: shapes are compared, ties are found, and blocks take the order of use by a forward
    pass, if `given` describes an input on which one runs there, else that of definition. Otherwise
    (remote code, quantised weights, no transformers) a note says so and blocks take the natural
    order of names. Missing and unexpected tensors are notes, since transformers renames some when
    it loads.

    Raises:
        ArchitectureError: a tensor's shape or kind is not what the config says.
        WeightsFormatError, StoreError: the folder cannot be used.
    """
    config = read_object(folder / "config.json")
    names = config.get("architectures")
    class_name = names[0] if isinstance(names, list) and names else None
    if class_name is not None and not isinstance(class_name, str):
        raise ArchitectureError(f"{folder / 'config.json'}: architectures[0] is no text")
    architecture = Architecture("huggingface", config=config, class_name=class_name)
    files = {name: read_small(folder / name) for name in KEPT_FILES if (folder / name).is_file()}
    source = open_weights(folder)
    source = replace(source, architecture=architecture, input=given, files=files)
    try:
        return _with_skeleton(source, architecture, str(folder))
    except BaseException:
        source.close()
        raise


def _with_skeleton(source: Source, architecture: Architecture, where: str) -> Source:
    found = _skeleton(architecture, source)
    if isinstance(found, str):
        note = f"shapes were not compared with the architecture: {found}"
        return replace(source, notes=(*source.notes, note))
    skeleton, order, disorder = found
    what = f"{architecture.label} of {where}"
    check_shapes(source.tensors, skeleton, what)
    given = {tensor.name for tensor in source.tensors}
    tied = {dropped: kept for dropped, kept in source.tied.items() if dropped not in given}
    for group in skeleton.groups:
        kept = next((name for name in group if name in given), None)
        if kept is not None:
            tied |= {name: kept for name in group if name not in given}
    missing = [name for name in skeleton.tensors if name not in given and name not in tied]
    unexpected = [name for name in given if name not in skeleton.tensors]
    notes = [
        f"{text}: {count(len(names), 'tensor')}, the first {shorten(min(names))!r}"
        for names, text in (
            (missing, f"of {architecture.label}, but not among the weights"),
            (unexpected, f"among the weights, but no part of {architecture.label}"),
        )
        if names
    ]
    return replace(
        source,
        tensors=ordered(source.tensors, spread_ties(order, tied)),
        tied=tied,
        notes=(*source.notes, *notes, *disorder),
    )


def _skeleton(
    architecture: Architecture, source: Source
) -> tuple[Skeleton, list[str], list[str]] | str:
    """What the class would hold, in which order it uses it (and why that is not known), by the
    names of the source's tensors where Transformers renames them; or why nothing is known."""
    if architecture.class_name is None:
        return "config.json names no class in 'architectures'"
    if "quantization_config" in (architecture.config or {}):
        return "the weights are quantised"
    try:
        module = build_skeleton(architecture)
        skeleton = examine(module, architecture.label)
    except ArchitectureError as error:
        return str(error)
    rename = renaming(module, skeleton.tensors)
    given = {rename(tensor.name): tensor.name for tensor in source.tensors}
    order, notes = known_order(module, skeleton, source.input)
    own = Skeleton(
        {given.get(name, name): one for name, one in skeleton.tensors.items()},
        tuple(tuple(given.get(name, name) for name in group) for group in skeleton.groups),
    )
    return own, [given.get(name, name) for name in order], notes
