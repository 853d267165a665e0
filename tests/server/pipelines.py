"""Tiny models of Transformers with their preprocessing, saved as the library saves them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(40))]
LABELS = {0: "bad", 1: "so so", 2: "gut ✓"}


def library() -> Any:
    """Transformers, told to be quiet, or a skip."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers", reason="transformers (extra `hf`) missing")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with torch.device("meta"):  # see tests/store/lora_folders.py
        torch.empty(0)
    return transformers


def save_tokenizer(folder: Path, **settings: Any) -> Any:
    """A tokenizer of words between `[CLS]` and `[SEP]`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made = library().PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="[UNK]", **{"pad_token": "[PAD]", **settings}
    )
    made.save_pretrained(folder)
    return made


def save_texts(folder: Path, tokens: int = 32, **changes: Any) -> Path:
    """A classifier of texts, with its tokenizer."""
    import torch

    transformers = library()
    sizes = {
        "vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 1, "id2label": LABELS,
        "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": tokens,
    } | changes  # fmt: skip
    torch.manual_seed(0)
    config = transformers.BertConfig(**sizes)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_images(folder: Path) -> Path:
    """A classifier of images of 8 x 8 pixels, with its image processor."""
    import torch

    transformers = library()
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=8, patch_size=4, id2label=LABELS,
    )  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    settings = {
        "image_processor_type": "ViTImageProcessor", "do_resize": True, "do_rescale": True,
        "do_normalize": True, "size": {"height": 8, "width": 8}, "resample": 2,
        "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 1 / 255,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def texts(*elements: str | bytes) -> NDArray[Any]:
    """A BYTES tensor."""
    array = np.empty(len(elements), dtype=object)
    array[:] = [one.encode() if isinstance(one, str) else one for one in elements]
    return array


def picture(width: int = 20, height: int = 10, kind: str = "PNG", **settings: Any) -> bytes:
    """An encoded image of random pixels."""
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **settings)
    return buffer.getvalue()
