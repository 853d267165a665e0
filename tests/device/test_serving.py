"""The device's end against `trunkline serve`'s own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests.device.test_client import hugging_face
from tests.runtime.conftest import Adder, normal_output
from tests.server.engines import FakeEngine
from tests.server.running import running
from trunkline.device import StreamClient, Streamed
from trunkline.device.client import Batch
from trunkline.errors import StreamError, StreamUnavailableError
from trunkline.runtime import Runtime, state_dict_source
from trunkline.server.streams.calls import StreamLimits, Streams
from trunkline.server.streams.offering import Offer
from trunkline.server.work import Limits
from trunkline.store import Architecture, Store

X = torch.linspace(-1, 1, 96).reshape(2, 3, 4, 4)
WIDTH = 300
"""Of layers that come in more than one piece each."""


@contextmanager
def client(store: Store, device: Path, link_bytes_per_s: float | None) -> Iterator[StreamClient]:
    """A client of a server that shares such a link."""
    limits = StreamLimits(link_bytes_per_s=link_bytes_per_s)
    streams = Streams(Offer(store), Limits(), limits)
    own = Store.open(device, create=True)
    with running(FakeEngine({}), streams=streams) as there, StreamClient(there.url, own) as found:
        yield found


@pytest.mark.parametrize("link", [None, 1e6])
def test_a_served_model_streams(
    store: Store, add: Adder, tmp_path: Path, link: float | None
) -> None:
    """Paced or not: outputs bit-equal; of a variant only its head is sent; the store is whole."""
    base = add("base", "conv")
    tuned = add("tuned", "conv", seed=1, base=base, shared=lambda key: not key.startswith("8."))
    head = sum(v.numel() * v.element_size() for k, v in tuned.items() if k.startswith("8."))
    with client(store, tmp_path / "device", link) as device:
        for name, state, sent in (("base", base, None), ("tuned", tuned, head), ("base", base, 0)):
            done = device.infer(name, X, deadline_s=600.0, compute_s=0.01)
            assert torch.equal(done.output, normal_output("conv", state, X))
            arrived = sum(layer.sent_bytes for layer in done.report.overlap.layers)
            assert arrived == (done.report.bytes if sent is None else sent)
        assert not device.store.verify().problems
        assert device.store.names() == ["base", "tuned"]


def test_tied_weights_are_sent_once(store: Store, add: Adder, tmp_path: Path) -> None:
    """An encoder whose head is its embedding: as many bytes as the store holds of it."""
    state = add("m", "encoder")
    tokens = torch.arange(10).reshape(2, 5)
    with client(store, tmp_path / "device", None) as device:
        done = device.infer("m", tokens)
    assert torch.equal(done.output, normal_output("encoder", state, tokens))
    assert sum(layer.sent_bytes for layer in done.report.overlap.layers) == store.model("m").bytes


def learn(store: Store, name: str, batch: Batch) -> None:
    """Let the server's side watch one forward."""
    with Runtime(store) as runtime:
        runtime.infer_while_loading(name, batch, at_once=True)


def arrivals(done: Streamed) -> list[str]:
    """The layers that were sent, in the order in which they came."""
    layers = [layer for layer in done.report.overlap.layers if layer.sent_bytes]
    return [layer.name for layer in sorted(layers, key=lambda layer: layer.ready_s)]


@pytest.mark.parametrize("known", [False, True])
def test_blocks_come_in_the_order_of_use(
    store: Store, add: Adder, tmp_path: Path, known: bool
) -> None:
    """Of a module registered in the reverse of its use: where the server watched a forward, no
    layer comes before one that is used earlier, even to a device that has never seen the model; a
    tied weight comes once, at its first use. Where it did not, the answer is the same and the
    report says what was out of order. The device notes the order; the server takes none from it."""
    state = add("m", "backwards", width=WIDTH)
    x = torch.linspace(-1, 1, 2 * WIDTH).reshape(2, WIDTH)
    if known:
        learn(store, "m", x)
    with client(store, tmp_path / "device", None) as device:
        done = device.infer("m", x)
        learnt = device.store.orders.blocks(device.store.model("m"))
    assert torch.equal(done.output, normal_output("backwards", state, x, width=WIDTH))
    used = [layer.name for layer in done.report.overlap.layers]
    assert used == ["again", "second", "third"]  # `again` holds the weight of `first`
    assert arrivals(done) == (used if known else ["again", "third", "second"])
    assert done.report.overlap.out_of_order == (0 if known else 1)
    assert sum(layer.sent_bytes for layer in done.report.overlap.layers) == store.model("m").bytes
    assert done.report.learnt
    assert [block.id for block in learnt] == used
    assert Store.open(store.path).orders.knows(store.model("m")) == known


def test_a_forward_that_changes_its_order(store: Store, add: Adder, tmp_path: Path) -> None:
    """The order was watched for another input: the answer is right, the report says so, and the
    record stays as it was."""
    state = add("m", "in_any_order", width=WIDTH)
    x = torch.linspace(-1, 1, 2 * WIDTH).reshape(2, WIDTH)
    learn(store, "m", {"x": x, "order": [0, 1, 2]})
    with client(store, tmp_path / "device", None) as device:
        done = device.infer("m", {"x": x, "order": [2, 0, 1]})
    assert torch.equal(done.output, loaded(state, x, [2, 0, 1]))
    assert arrivals(done) == ["layers.0", "layers.1", "layers.2"]
    assert done.report.overlap.out_of_order == 2
    assert [b.id for b in store.orders.blocks(store.model("m"))] == arrivals(done)


def loaded(state: dict[str, torch.Tensor], x: torch.Tensor, order: list[int]) -> torch.Tensor:
    """What the loaded model answers with its layers in an order."""
    import tiny_models

    module = tiny_models.in_any_order(WIDTH)
    module.load_state_dict(state)
    with torch.inference_mode():
        found: torch.Tensor = module(x, order)
    return found


def test_hugging_face_models_come_in_the_order_of_use(store: Store, tmp_path: Path) -> None:
    """ViT, ResNet and GPT-2, of which two are registered in another order than they use; outputs
    as Transformers computes them."""
    transformers = pytest.importorskip("transformers")
    registered = {}
    for kind, config, batch in hugging_face(transformers):
        torch.manual_seed(0)
        original = getattr(transformers, kind)(config).eval()
        architecture = Architecture("huggingface", config=config.to_dict(), class_name=kind)
        store.add(kind, state_dict_source(original.state_dict(), architecture=architecture))
        learn(store, kind, batch)
        with client(store, tmp_path / kind, None) as device:
            done = device.infer(kind, batch)
        with torch.inference_mode():
            assert torch.equal(done.output.logits, original(**batch).logits), kind
        assert arrivals(done) == [layer.name for layer in done.report.overlap.layers], kind
        used = [block.id for block in store.orders.blocks(store.model(kind))]
        registered[kind] = used == [block.id for block in store.model(kind).blocks]
    assert registered == {
        "ViTForImageClassification": False,
        "ResNetForImageClassification": False,
        "GPT2LMHeadModel": True,
    }


def test_a_deadline_that_cannot_be_kept_is_refused(
    store: Store, add: Adder, tmp_path: Path
) -> None:
    """At once, and without a byte; an unknown model likewise."""
    add("m", "conv")
    with client(store, tmp_path / "device", 100.0) as device:
        with pytest.raises(StreamUnavailableError, match="503"):
            device.infer("m", X, deadline_s=0.5, compute_s=0.1)
        with pytest.raises(StreamError, match="404"):
            device.infer("n", X)
        assert device.store.names() == []
