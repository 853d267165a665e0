"""The whole way, with a client nobody here wrote: store, engine, HTTP, preprocessing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton

from tests.server.pipelines import LABELS, library, picture, save_images, save_texts, texts
from tests.server.running import running
from trunkline.server.opening import open_engine
from trunkline.server.processing import processor_of
from trunkline.store import Store

transformers = library()


def asked(client: triton.InferenceServerClient, model: str, name: str, array: np.ndarray):
    """The outputs for one input."""
    kind = "BYTES" if array.dtype == object else triton.np_to_triton_dtype(array.dtype)
    given = triton.InferInput(name, list(array.shape), kind)
    given.set_data_from_numpy(array)
    return client.infer(model, [given], timeout=20_000_000)


def test_texts_images_and_tensors_over_http(store: Store, tmp_path: Path) -> None:
    """tritonclient sends texts, an encoded image and token ids to models of one store; labels come
    back that agree with the logits, and the metadata name both ways to ask."""
    store.add("mood", save_texts(tmp_path / "mood"))
    store.add("look", save_images(tmp_path / "look"))
    engine = open_engine(store)
    try:
        with running(engine, processors=lambda one: processor_of(store, one)) as server:
            client = triton.InferenceServerClient(server.url.removeprefix("http://"))
            inputs = [one["name"] for one in client.get_model_metadata("mood")["inputs"]]
            assert "text" in inputs
            found = asked(client, "mood", "text", texts("w1 w2", "w3"))
            assert found.as_numpy("logits").shape == (2, 3)
            best = [LABELS[i].encode() for i in found.as_numpy("logits").argmax(1)]
            assert found.as_numpy("label").tolist() == best
            ids = asked(client, "mood", "input_ids", np.array([[2, 5, 6, 3]]))
            np.testing.assert_allclose(
                ids.as_numpy("logits")[0], found.as_numpy("logits")[0], atol=1e-5
            )
            seen = asked(client, "look", "image", texts(picture()))
            assert seen.as_numpy("label")[0].decode() in LABELS.values()
            with pytest.raises(triton.InferenceServerException, match="image"):
                asked(client, "look", "image", texts(b"no picture"))
    finally:
        engine.close()
