"""Preprocessing of Hugging Face models: texts and images in, labels out.

What came with a model's weights decides: a tokenizer, an image processor, the labels of its config.
Only code of the installed Transformers runs. The files are taken from the store, their digests
compared, into a folder of our own that is gone again when they are read; nothing is fetched.
"""

from __future__ import annotations

import inspect
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from trunkline.errors import ArchitectureError, InputError, TrunklineError
from trunkline.server.images import Images, check_sizes
from trunkline.server.texts import Texts
from trunkline.server.work import TensorInfo
from trunkline.store import Store, StoredModel
from trunkline.store.building import UNEXPECTED, told
from trunkline.store.huggingface import KEPT_FILES
from trunkline.store.pretrained import import_transformers, model_class
from trunkline.store.shards import read_object
from trunkline.units import shorten

TOKENIZERS: Final = frozenset(
    {"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model"}
    | {"sentencepiece.bpe.model"}
)
IMAGES: Final = "preprocessor_config.json"
MOST_KEPT: Final = 64
"""So many processors are kept; a tokenizer takes some megabytes."""

_CLASSIFIERS: Final = ("ForSequenceClassification", "ForImageClassification")

_kept: OrderedDict[tuple[Any, ...], Processor] = OrderedDict()
_keeping = threading.Lock()


class Processor:
    """What stands between a client's texts and images and a model's tensors. Safe in any thread.

    Attributes:
        inputs: what it takes.
    """

    def __init__(self, parts: Mapping[str, Texts | Images], config: Mapping[str, Any], name: str):
        self.inputs: tuple[TensorInfo, ...] = tuple(part.info for part in parts.values())
        self._parts = parts
        self._labels = _labels(config) if name.endswith(_CLASSIFIERS) else None
        self._problem = config.get("problem_type")

    def takes(self, names: Mapping[str, Any] | frozenset[str] | set[str]) -> bool:
        """Whether inputs of these names are texts or images, and not the model's own tensors."""
        return any(name in self._parts for name in names)

    def encode(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
        """The model's tensors for a client's.

        Args:
            inputs: `text`, `image` or both, as `inputs` says: elements of BYTES are objects.

        Raises:
            InputError: one is missing or too many, or cannot be used.
        """
        if inputs.keys() != self._parts.keys():
            raise InputError(
                f"inputs {', '.join(map(repr, sorted(inputs)))} came; this model takes "
                f"{', '.join(map(repr, self._parts))}, or its own tensors alone"
            )
        found: dict[str, torch.Tensor] = {}
        for name, part in self._parts.items():
            found |= part.encode(inputs[name])
        return found

    def decode(self, outputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor | NDArray[Any]]:
        """The model's outputs; a classifier's with the best label of each sample and its score.

        `label` is BYTES (UTF-8), `score` the label's probability: softmax over the logits, or their
        sigmoid where labels do not exclude each other or there is but one.
        """
        found: dict[str, torch.Tensor | NDArray[Any]] = dict(outputs)
        logits = outputs.get("logits")
        if self._labels is None or logits is None or logits.ndim != 2 or not logits.shape[1]:
            return found
        if self._problem == "regression":
            return found
        alone = self._problem == "multi_label_classification" or logits.shape[1] == 1
        scores = logits.float().sigmoid() if alone else logits.float().softmax(-1)
        best, which = scores.max(-1)
        names = [self._labels.get(i, f"LABEL_{i}").encode() for i in which.tolist()]
        labels = np.empty(len(names), dtype=object)
        labels[:] = names
        return {**found, "label": labels, "score": best}


def processor_of(store: Store, model: StoredModel) -> Processor | None:
    """A model's preprocessing, None if it brought none that fits what its forward takes.

    Made once for equal files, whatever models have them.

    Raises:
        ArchitectureError: its files cannot be used, or Transformers (or what it needs for them) is
            not installed.
        StoreError: a file cannot be read from the store.
    """
    architecture, files = model.architecture, _files(model)
    if architecture is None or architecture.class_name is None:
        return None
    if not TOKENIZERS & files.keys() and IMAGES not in files:
        return None
    key = (architecture.class_name, *sorted(files.items()))
    with _keeping:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    made = _make(store, model, architecture.class_name)
    if made is not None:
        with _keeping:
            made = _kept.setdefault(key, made)
            while len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)
    return made


def _files(model: StoredModel) -> dict[str, str]:
    return {name: model.files[name] for name in KEPT_FILES if name in model.files}


def _make(store: Store, model: StoredModel, class_name: str) -> Processor | None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when Transformers is first imported
    where = f"model {shorten(model.name)!r}"
    library = import_transformers(where)
    accepted = frozenset(inspect.signature(model_class(library, class_name).forward).parameters)
    with tempfile.TemporaryDirectory(prefix="trunkline-") as path:
        folder = Path(path)
        for name in _files(model):
            (folder / name).write_bytes(store.read_file(model, name))
        try:
            config = read_object(folder / "config.json")
            parts: dict[str, Texts | Images] = {}
            if "input_ids" in accepted and any((folder / one).exists() for one in TOKENIZERS):
                tokenizer = _load(library.AutoTokenizer, folder)
                bucket = class_name.endswith(_CLASSIFIERS)
                parts["text"] = Texts(tokenizer, config, accepted, bucket)
            if "pixel_values" in accepted and (folder / IMAGES).exists():
                check_sizes(read_object(folder / IMAGES), IMAGES)
                prepare = _load(library.AutoImageProcessor, folder, use_fast=False)
                parts["image"] = Images(prepare, accepted)
        except TrunklineError:
            raise
        except UNEXPECTED as error:
            raise ArchitectureError(
                f"{where}: its preprocessing cannot be set up: {told(error)}"
            ) from error
    return Processor(parts, config, class_name) if parts else None


def _load(auto: Any, folder: Path, **settings: Any) -> Any:
    return auto.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False, **settings
    )


def _labels(config: Mapping[str, Any]) -> dict[int, str]:
    """`id2label`, those entries that are a number and a text."""
    given = config.get("id2label")
    found = {}
    for key, label in given.items() if isinstance(given, dict) else ():
        if str(key).isdecimal() and isinstance(label, str):
            found[int(key)] = label
    return found
