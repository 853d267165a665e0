"""Preprocessing from what a store holds: answers as those of Transformers' own pipelines."""

from __future__ import annotations

import io
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.server.pipelines import (
    LABELS,
    library,
    picture,
    save_images,
    save_texts,
    save_tokenizer,
    texts,
)
from trunkline.errors import ArchitectureError, InputError
from trunkline.runtime import Runtime
from trunkline.server.processing import Processor, processor_of
from trunkline.store import Store, Tensors
from trunkline.store.paths import open_path

transformers = library()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.open(tmp_path / "store", create=True)


def processor(store: Store, folder: Path, name: str = "model") -> Processor:
    """The preprocessing of a folder that is imported first."""
    store.add(name, folder)
    found = processor_of(store, store.model(name))
    assert found is not None
    return found


def answers(store: Store, found: Processor, **inputs: Any) -> dict[str, Any]:
    """What a client gets from the model `model`."""
    with Runtime(store) as runtime:
        runtime.switch("model")
        outputs = runtime.infer("model", found.encode(inputs))
    return dict(found.decode({"logits": outputs.logits}))


def test_texts_are_classified_as_by_a_pipeline(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels are equal, scores close (ours are padded, which changes sums in the last digits); no
    file is fetched, and none is left behind."""
    asked: list[object] = []
    hub = pytest.importorskip("huggingface_hub")
    for name in ("hf_hub_download", "snapshot_download"):
        monkeypatch.setattr(hub, name, lambda *args, **_: asked.append(args))
    private = tmp_path / "private"
    private.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(private))
    folder = save_texts(tmp_path / "texts")
    found = processor(store, folder)
    assert [(one.name, one.datatype, one.shape) for one in found.inputs] == [
        ("text", "BYTES", (-1,))
    ]
    given = ["w1 w2 w3", "w4", "w5 unknown w7 w8 w9"]
    got = answers(store, found, text=texts(*given))
    model = transformers.BertForSequenceClassification.from_pretrained(folder)
    pipeline = transformers.pipeline(
        "text-classification",
        model=model,
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder),
    )
    wanted = [pipeline(one)[0] for one in given]
    assert [one.decode() for one in got["label"]] == [one["label"] for one in wanted]
    assert got["score"].tolist() == pytest.approx([one["score"] for one in wanted], rel=1e-5)
    assert got["logits"].shape == (3, len(LABELS))
    assert asked == []
    assert list(private.glob("trunkline-*")) == []


def test_images_are_classified_as_by_the_library(store: Store, tmp_path: Path) -> None:
    """Files and pixels of one image give the logits of the library's own processor."""
    from PIL import Image

    folder = save_images(tmp_path / "images")
    found = processor(store, folder)
    png = picture()
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image)
        own = transformers.AutoImageProcessor.from_pretrained(folder, use_fast=False)
        prepared = own([image], return_tensors="pt")
    model = transformers.ViTForImageClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        wanted = model(**prepared).logits
    for given in (texts(png), pixels, pixels[None]):
        got = answers(store, found, image=given)
        assert torch.equal(got["logits"], wanted)
        assert got["label"][0].decode() == LABELS[int(wanted.argmax())]


def test_models_with_equal_files_share_one(store: Store, tmp_path: Path) -> None:
    """Preprocessing is made once for equal files, and anew for others."""
    folder = save_texts(tmp_path / "texts")
    first = processor(store, folder, "a")
    assert processor(store, folder, "b") is first
    save_tokenizer(folder, model_max_length=8)
    assert processor(store, folder, "c") is not first


def test_models_without_preprocessing(store: Store, tmp_path: Path) -> None:
    """Bare weights, a model without a tokenizer, and one whose forward takes no text have none."""
    store.add("bare", Tensors([("w", "F32", (1,), np.ones(1, "<f4"))]))
    folder = save_texts(tmp_path / "texts")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    store.add("no-tokenizer", folder)
    images = save_images(tmp_path / "images")
    (images / "preprocessor_config.json").unlink()
    save_tokenizer(images)
    store.add("no-text", images)
    for name in ("bare", "no-tokenizer", "no-text"):
        assert processor_of(store, store.model(name)) is None


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("tokenizer.json", "{}", "cannot be set up"),
        ("preprocessor_config.json", '{"image_processor_type": "NoSuch"}', "cannot be set up"),
        ("preprocessor_config.json", '{"size": {"height": 1000000}}', "size 1000000 is above"),
    ],
)
def test_files_that_cannot_be_used(
    store: Store, tmp_path: Path, name: str, content: str, says: str
) -> None:
    """A broken tokenizer or image processor is one error that says what is wrong."""
    save = save_texts if name == "tokenizer.json" else save_images
    folder = save(tmp_path / "model")
    (folder / name).write_text(content)
    store.add("model", folder)
    with pytest.raises(ArchitectureError, match=says):
        processor_of(store, store.model("model"))


def test_no_code_comes_with_a_tokenizer(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`auto_map` in a tokenizer's settings is not followed."""
    folder = save_texts(tmp_path / "texts")
    path = folder / "tokenizer_config.json"
    evil = {"auto_map": {"AutoTokenizer": [None, "evil.Evil"]}, "tokenizer_class": "Evil"}
    path.write_text(json.dumps(json.loads(path.read_text()) | evil))
    (folder / "evil.py").write_text("class Evil: pass")
    store.add("model", folder)
    monkeypatch.syspath_prepend(folder)
    with suppress(ArchitectureError):  # that it cannot be set up is fine, too
        processor_of(store, store.model("model"))
    assert "evil" not in sys.modules
    assert not [name for name in sys.modules if name.startswith("transformers_modules")]


def test_scores_follow_the_kind_of_problem(store: Store, tmp_path: Path) -> None:
    """One of several labels: softmax; several at once, or a single one: sigmoid; a regression has
    no label, and what is no classifier's logits is left as it is."""
    folder = save_texts(tmp_path / "texts")
    logits = torch.tensor([[0.0, 1.0, -1.0]])
    for problem, score in (
        (None, torch.softmax(logits, -1)[0, 1]),
        ("multi_label_classification", torch.sigmoid(logits)[0, 1]),
        ("regression", None),
    ):
        config = json.loads((folder / "config.json").read_text()) | {"problem_type": problem}
        (folder / "config.json").write_text(json.dumps(config))
        got = processor(store, folder, f"m{problem}").decode({"logits": logits})
        if score is None:
            assert got.keys() == {"logits"}
        else:
            assert got["label"].tolist() == [b"so so"]
            assert got["score"].tolist() == [float(score)]
    found = processor(store, folder, "last")
    assert found.decode({"other": logits}).keys() == {"other"}


def test_what_a_client_may_send(store: Store, tmp_path: Path) -> None:
    """Texts are told from the model's own tensors by their name, and do not go with others."""
    found = processor(store, save_texts(tmp_path / "texts"))
    assert found.takes({"text"})
    assert not found.takes({"input_ids", "attention_mask"})
    for names in ((), ("text", "image"), ("image",)):
        with pytest.raises(InputError, match="this model takes 'text'"):
            found.encode({name: texts("w1") for name in names})


def test_an_adapter_has_its_base_s_preprocessing(store: Store, tmp_path: Path) -> None:
    """A LoRA adapter's model takes texts, by its base's tokenizer."""
    pytest.importorskip("peft", reason="peft (extra `hf`) is missing")
    from tests.store.lora_folders import save_adapter
    from trunkline.store import open_adapter

    base = save_texts(tmp_path / "base")
    store.add("base", open_path(base))
    folder = save_adapter(tmp_path / "lora", base, task_type="SEQ_CLS")
    store.add("model", open_adapter(store, "base", folder))
    found = processor_of(store, store.model("model"))
    assert found is not None
    got = answers(store, found, text=texts("w1 w2"))
    assert got["label"][0].decode() in LABELS.values()
