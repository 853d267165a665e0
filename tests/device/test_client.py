"""Models streamed from a server: run while they arrive, kept, and what may go wrong meanwhile."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.device.stream_server import Harm, Streams, serving
from tests.runtime.conftest import Adder, normal_output
from trunkline.device import StreamClient, Streamed
from trunkline.device.server import USE_S
from trunkline.errors import (
    CorruptBlobError,
    InputError,
    StoreError,
    StreamError,
    StreamUnavailableError,
    TrunklineError,
    UntrustedFactoryError,
)
from trunkline.runtime import Runtime, state_dict_source
from trunkline.runtime.waiting import StandIn
from trunkline.store import Architecture, Store
from trunkline.store.registry import Patience
from trunkline.store.trust import distrust

X = torch.linspace(-1, 1, 96).reshape(2, 3, 4, 4)
EAGER = Patience(tries=3, first_s=0.001, most_s=0.01, read_s=20)


@pytest.fixture
def device(tmp_path: Path) -> Store:
    """The device's own store, empty."""
    return Store.open(tmp_path / "device", create=True)


def stream(
    store: Store,
    device: Store,
    model: str,
    batch: Any = X,
    harm: Harm | None = None,
    patience: Patience = EAGER,
    **asked: Any,
) -> tuple[Streamed, Streams]:
    """A model of the server's store, streamed; and the server's state."""
    with serving(store, harm) as (url, streams), StreamClient(url, device, patience=patience) as c:
        return c.infer(model, batch, **asked), streams


def test_a_deadline_allows_for_hashing_and_copying(store: Store, add: Adder, device: Store) -> None:
    """The server counts some time between a block's last byte and its use, by which the output
    would else be late where the share is the least."""
    add("m", "conv")
    _, streams = stream(store, device, "m", deadline_s=600.0)
    (asked,) = streams.opened
    assert asked["first_byte_s"] == USE_S


@pytest.mark.parametrize("download_first", [False, True])
def test_output_is_that_of_the_loaded_model(
    store: Store, add: Adder, device: Store, download_first: bool
) -> None:
    """Bit-equal, every byte of the model accounted for, the model in the device's store whole."""
    state = add("m", "conv")
    done, streams = stream(store, device, "m", download_first=download_first)
    assert torch.equal(done.output, normal_output("conv", state, X))
    report = done.report
    assert report.not_kept == ""
    assert report.held_bytes == 0
    assert report.received_bytes == len(streams.streams["1"])
    assert sum(layer.sent_bytes for layer in report.overlap.layers) == report.bytes
    assert not device.verify().problems
    assert device.model("m").digest == store.model("m").digest
    assert streams.ended == ["1"]
    gc.collect()
    with torch.inference_mode():  # the module holds its memory, though the run is over
        assert torch.equal(done.module(X), done.output)
    if download_first:
        assert report.overlap.first_s >= report.overlap.last_byte_s
    with Runtime(device) as runtime:
        runtime.switch("m")
        assert torch.equal(runtime.infer("m", X), done.output)


def test_report_holds_together(store: Store, add: Adder, device: Store) -> None:
    """Every layer arrives before it is ready before it starts before it ends; layers follow one
    another; and the end is never before the recursion's, which knows of no time between."""
    add("m", "conv")
    overlap = stream(store, device, "m")[0].report.overlap
    before = overlap.begun_s
    for layer in overlap.layers:
        assert layer.arrived_s <= layer.ready_s <= layer.started_s <= layer.ended_s
        assert before <= layer.asked_s <= layer.started_s
        before = layer.ended_s
    assert overlap.layers[-1].ended_s == overlap.ended_s
    assert overlap.predicted_s <= overlap.ended_s + 1e-9
    assert overlap.predicted_s <= overlap.download_first_s + 1e-9
    json.dumps(overlap.to_dict())


def test_the_second_model_downloads_only_what_is_missing(
    store: Store, add: Adder, device: Store
) -> None:
    """Of a variant that shares the backbone only the head is sent; the third time nothing is."""
    base = add("base", "conv")
    state = add("tuned", "conv", seed=1, base=base, shared=lambda key: not key.startswith("8."))
    stream(store, device, "base")
    done, _ = stream(store, device, "tuned")
    head = sum(v.numel() * v.element_size() for k, v in state.items() if k.startswith("8."))
    sent = {one.name: one.sent_bytes for one in done.report.overlap.layers if one.sent_bytes}
    assert sent == {"8": head}
    assert done.report.held_bytes == done.report.bytes - head
    assert torch.equal(done.output, normal_output("conv", state, X))
    again, _ = stream(store, device, "tuned")
    assert again.report.received_bytes == 0
    assert torch.equal(again.output, done.output)


def test_one_client_streams_variants_in_turn(store: Store, add: Adder, device: Store) -> None:
    """Two variants in one module: the second's weights take the place of the first's."""
    states = {name: add(name, "conv", seed=seed) for seed, name in enumerate(("a", "b"))}
    with serving(store) as (url, _), StreamClient(url, device) as client:
        done = {name: client.infer(name, X) for name in states}
    assert done["a"].module is done["b"].module
    for name, state in states.items():
        assert torch.equal(done[name].output, normal_output("conv", state, X))


def regions(store: Store, device: Store) -> dict[str, int]:
    """A byte in each region of a model's stream."""
    streams = Streams(store, Harm())
    streams.open("m", {})
    stream = streams.streams["1"]
    header = 8 + int.from_bytes(stream[:8], "little")
    first = store.model("m").blocks[0].bytes
    return {
        "nothing": 0,
        "length": 5,
        "header": header // 2,
        "header's end": header,
        "within a tensor": header + first // 2,
        "a block's end": header + first,
        "last byte": len(stream) - 1,
    }


@pytest.mark.parametrize("forget", [False, True])
def test_a_cut_in_any_region_is_resumed(
    store: Store, add: Adder, tmp_path: Path, forget: bool
) -> None:
    """The rest is asked for from the very byte; or, where the server was started anew, in another
    transfer of what had not come."""
    state = add("m", "conv")
    wanted = normal_output("conv", state, X)
    for region, byte in regions(store, store).items():
        device = Store.open(tmp_path / region.replace(" ", "-"), create=True)
        done, streams = stream(store, device, "m", harm=Harm(cuts=[byte], forget=forget))
        assert torch.equal(done.output, wanted), region
        assert not device.verify().problems
        assert device.names() == ["m"]
        if forget:
            assert done.report.reopened == 1
            came = set(streams.opened[1]["have"]) & {b.digest for b in store.model("m").blocks}
            whole = byte >= regions(store, store)["a block's end"]
            assert bool(came) == whole, region
        else:
            assert streams.sent == [("1", 0), ("1", byte)]
            assert done.report.received_bytes == len(streams.streams["1"])


def test_nothing_waits_for_the_bytes_of_others(store: Store, add: Adder, device: Store) -> None:
    """A server that sends the layers used first and second, and nothing more until they were
    computed: the forward, of a module that registers them last, goes on all the same."""
    import tiny_models

    state = add("m", "backwards")
    x = torch.linspace(-1, 1, 8).reshape(2, 4)
    with Runtime(store) as runtime:
        runtime.infer_while_loading("m", x, at_once=True)
    tiny_models.TWO_RAN.clear()
    two = sum(block.bytes for block in store.orders.blocks(store.model("m"))[:2])
    before = regions(store, device)["header's end"]
    with (
        serving(store, Harm(stall=before + two)) as (url, streams),
        StreamClient(url, device, patience=EAGER) as client,
    ):
        streams.released = tiny_models.TWO_RAN
        done = client.infer("m", x)
    assert torch.equal(done.output, normal_output("backwards", state, x))
    assert done.report.cuts == 0


def test_an_order_that_becomes_known_in_between(store: Store, add: Adder, device: Store) -> None:
    """A server that was started anew knows another order: the transfer that it opens for the rest
    has that one, and the model is whole."""
    state = add("m", "conv")
    model = store.model("m")
    backwards = [block.digest for block in reversed(model.blocks)]
    harm = Harm(
        cuts=[regions(store, device)["a block's end"]],
        forget=True,
        then=lambda: store.orders.note(model, backwards),
    )
    done, streams = stream(store, device, "m", harm=harm)
    assert torch.equal(done.output, normal_output("conv", state, X))
    assert done.report.reopened == 1
    arrived = sorted(done.report.overlap.layers, key=lambda layer: layer.ready_s)
    first, *rest = [block.id for block in model.blocks]
    assert [layer.name for layer in arrived] == [first, *reversed(rest)]
    assert not device.verify().problems
    assert streams.opened[1]["have"][0] == model.blocks[0].digest


def test_a_server_that_cuts_again_and_again_is_an_error(
    store: Store, add: Adder, device: Store
) -> None:
    """Patience ends, with what came in the store for the next try."""
    add("m", "conv")
    byte = regions(store, device)["a block's end"]
    with pytest.raises(StreamUnavailableError, match=r"ended the stream|broke"):
        stream(store, device, "m", harm=Harm(cuts=[byte] * 20))
    assert store.model("m").blocks[0].digest in set(device.digests())
    assert device.names() == []
    done, _ = stream(store, device, "m")
    assert done.report.held_bytes == store.model("m").blocks[0].bytes


def flip_last(stream: bytearray, data_start: int) -> None:
    """One bit of the last block."""
    stream[-1] ^= 1


def test_a_wrong_block_is_never_used(store: Store, add: Adder, device: Store) -> None:
    """One bit changed: an error that names the block, nothing of it in the store, no output."""
    add("m", "conv")
    last = store.model("m").blocks[-1].digest
    with pytest.raises(StreamError, match=f"as the block {last}"):
        stream(store, device, "m", harm=Harm(spoil=flip_last))
    assert last not in set(device.digests())
    assert not device.verify().problems


def test_a_stalled_server_is_an_error(store: Store, add: Adder, device: Store) -> None:
    """Silence longer than patience ends the forward that waits."""
    add("m", "conv")
    patience = Patience(tries=1, read_s=0.2)
    with pytest.raises(StreamUnavailableError, match="went silent"):
        stream(store, device, "m", harm=Harm(stall=40), patience=patience)


def lie(key: str, change: Any) -> Harm:
    """A stream whose header says another thing under a key of its metadata."""

    def metadata(found: dict[str, str]) -> None:
        found[key] = json.dumps(change(json.loads(found[key])))

    return Harm(metadata=metadata)


def swapped(listed: list[list[Any]]) -> list[list[Any]]:
    """The first two blocks with each other's digest."""
    (one, a), (two, b), *rest = listed
    return [[two, a], [one, b], *rest]


def of_others(listed: list[list[Any]]) -> list[list[Any]]:
    """The first block with the name of a tensor that it has not."""
    return [[listed[0][0], ["x"]], *listed[1:]]


def too_long(stream: bytearray, data_start: int) -> None:
    """A header length beyond the stream."""
    stream[:8] = (2**40).to_bytes(8, "little")


def renamed(stream: bytearray, data_start: int) -> None:
    """A tensor under another name of the same length."""
    at = stream.index(b'"0.weight":')
    stream[at + 1 : at + 9] = b"9.weight"


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (Harm(spoil=too_long), "header length"),
        (Harm(spoil=renamed), "does not hold"),
        (lie("trunkline.blocks", lambda listed: listed[1:]), "is missing"),
        (lie("trunkline.blocks", lambda listed: [*listed, listed[0]]), "blocks too many"),
        (lie("trunkline.blocks", swapped), "does not hold"),
        (
            lie("trunkline.blocks", lambda listed: [[listed[0][0], ["x"]], *listed[1:]]),
            "other tens",
        ),
        (lie("trunkline.blocks", lambda _: {"no": "list"}), "another form"),
        (lie("trunkline.headers", lambda _: {}), "no beginning"),
        (lie("trunkline.headers", lambda _: [1]), "another form"),
        (Harm(metadata=lambda found: found.pop("trunkline.blocks")), "missing or no JSON"),  # type: ignore[arg-type,return-value]
        (Harm(metadata=lambda found: found.update({"trunkline.manifest": "x"})), "manifest"),
    ],
)
def test_a_header_that_lies_is_refused(
    store: Store, add: Adder, device: Store, harm: Harm, told: str
) -> None:
    """Whatever the stream's header says that its blocks or the manifest don't: no block is kept."""
    add("m", "conv")
    with pytest.raises(TrunklineError, match=told):
        stream(store, device, "m", harm=harm)
    blocks = {block.digest for block in store.model("m").blocks}
    assert not blocks & set(device.digests())


def set_answer(**changes: Any) -> Harm:
    """A transfer that is opened with another answer."""
    return Harm(answer=lambda answer: answer.update(changes))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (set_answer(manifest="sha256:" + "0" * 64), "missing"),
        (set_answer(manifest="../x"), "cannot be used"),
        (set_answer(bytes=-1), "cannot be used"),
        (set_answer(bytes="many"), "cannot be used"),
        (set_answer(bytes=2**50), "promised"),
        (set_answer(documents={"sha256:" + "1" * 64: "&"}), "cannot be used"),
        (set_answer(blocks=[{"digest": "sha256:" + "2" * 64}]), "does not name"),
        (set_answer(blocks=[]), "is missing"),
        (Harm(refuse=(503, {"Retry_After": "7"})), "it is refused"),
        (Harm(refuse=(302, {"Location": "/"})), "302"),
    ],
)
def test_an_answer_that_cannot_be_used_is_told(
    store: Store, add: Adder, device: Store, harm: Harm, told: str
) -> None:
    """One clear error, and nothing is named in the store."""
    add("m", "conv")
    with pytest.raises(TrunklineError, match=told):
        stream(store, device, "m", harm=harm)
    assert device.names() == []


def test_a_model_that_changed_meanwhile_is_told(store: Store, add: Adder, device: Store) -> None:
    """A server that was started anew with another model of that name does not mix the two."""
    add("m", "conv")
    add("other", "conv", seed=1)
    harm = Harm(cuts=[regions(store, device)["a block's end"]], forget=True, switch="other")
    with pytest.raises(StreamError, match="another one meanwhile"):
        stream(store, device, "m", harm=harm)


def test_nobody_there(device: Store) -> None:
    """No server, no address: an error at once."""
    with pytest.raises(StreamUnavailableError, match="no answer"):
        StreamClient("http://127.0.0.1:9", device, patience=EAGER).infer("m", X)
    for url in ("ftp://x", "localhost:80", "http://", "http://a:b@c", "http://[", "http://x?y"):
        with pytest.raises(InputError, match="no address"):
            StreamClient(url, device)


def test_an_unknown_model_is_told(store: Store, add: Adder, device: Store) -> None:
    """The server's own words."""
    add("m", "conv")
    with pytest.raises(StreamError, match="no model 'n'"):
        stream(store, device, "n")


def test_streaming_trusts_no_code(store: Store, add: Adder, device: Store) -> None:
    """A factory that was not named here does not run, before or after; the transfer is ended."""
    add("m", "conv")
    distrust(["tiny_models:conv"])
    with serving(store) as (url, streams):
        for _ in range(2):
            with pytest.raises(UntrustedFactoryError):
                StreamClient(url, device).infer("m", X)
        assert streams.ended == ["1", "2"]
        assert streams.sent == []
        done = StreamClient(url, device, trust=["tiny_models:conv"]).infer("m", X)
    assert done.report.not_kept == ""


def test_a_taken_name_is_told_before_anything_is_sent(
    store: Store, add: Adder, device: Store
) -> None:
    """Another model of that name in the device's store stays, unless it may be replaced."""
    add("m", "conv")
    add("other", "conv", seed=1)
    stream(store, device, "other", name="m")
    with pytest.raises(StoreError, match="another model"):
        stream(store, device, "m")
    done, _ = stream(store, device, "m", replace=True)
    assert device.model("m").digest == done.report.manifest == store.model("m").digest


def test_a_server_that_dies_again_and_again_in_one_block_is_an_error(
    store: Store, add: Adder, device: Store
) -> None:
    """However much of it comes each time, and is thrown away with the transfer."""
    width = 400_000  # a block of 6.4 MB
    add("m", "outer", width=width)
    harm = Harm(cuts=[3_000_000] * 20, forget_always=True)
    with pytest.raises(StreamUnavailableError, match=r"ended the stream|broke"):
        stream(store, device, "m", torch.zeros(1, width), harm)
    assert len(harm.cuts) >= 20 - EAGER.tries


def test_a_weight_that_is_given_back_is_a_real_tensor(
    store: Store, add: Adder, device: Store
) -> None:
    """Also one that the forward took before it was there."""
    state = add("m", "outer")
    done, _ = stream(store, device, "m", torch.ones(1, 3))
    assert not isinstance(done.output["weight"], StandIn)
    assert torch.equal(done.output["weight"], state["lin.weight"])


def test_a_held_block_that_was_changed_is_not_computed_with(
    store: Store, add: Adder, device: Store
) -> None:
    """A blob of the right length and other content is told by its digest."""
    add("m", "conv")
    stream(store, device, "m")
    path = device.blob_path(store.model("m").blocks[1].digest)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CorruptBlobError, match=rf"is corrupt: .*{path.name}"):
        stream(store, device, "m")


def test_a_held_block_that_is_cut_short_is_sent_again(
    store: Store, add: Adder, device: Store
) -> None:
    """A blob of the wrong length is not claimed twice; the store is whole afterwards."""
    state = add("m", "conv")
    stream(store, device, "m")
    path = device.blob_path(store.model("m").blocks[1].digest)
    path.write_bytes(path.read_bytes()[:-1])
    done, _ = stream(store, device, "m")
    assert torch.equal(done.output, normal_output("conv", state, X))
    assert not device.verify().problems


def test_a_forward_that_fails_is_told(store: Store, add: Adder, device: Store) -> None:
    """A batch that the model does not take; the transfer is ended."""
    add("m", "conv")
    with serving(store) as (url, streams), StreamClient(url, device) as client:
        with pytest.raises(InputError, match="the forward of model 'm' failed"):
            client.infer("m", torch.zeros(2, 9))
        assert "1" in streams.ended


def test_blocks_that_no_forward_uses_are_kept(store: Store, add: Adder, device: Store) -> None:
    """A layer that is not used arrives all the same, and the report names it."""
    add("m", "in_any_order")
    batch = {"x": torch.zeros(1, 4), "order": [0, 1]}
    done, _ = stream(store, device, "m", batch)
    assert done.report.overlap.unused == ("layers.2",)
    assert not device.verify().problems


def test_hugging_face_models_stream(store: Store, device: Store) -> None:
    """ViT, ResNet and GPT-2 (tied head): as if loaded by Transformers, the server told nothing."""
    transformers = pytest.importorskip("transformers")
    for kind, config, batch in hugging_face(transformers):
        torch.manual_seed(0)
        original = getattr(transformers, kind)(config).eval()
        architecture = Architecture("huggingface", config=config.to_dict(), class_name=kind)
        source = state_dict_source(original.state_dict(), architecture=architecture)
        store.add(kind, source)
        with torch.inference_mode():
            wanted = original(**batch).logits
        done, _ = stream(store, device, kind, batch)
        assert torch.equal(done.output.logits, wanted), kind
        assert done.report.overlap.unused == ()
        assert not device.verify().problems


def hugging_face(transformers: Any) -> list[tuple[str, Any, dict[str, torch.Tensor]]]:
    """Small models with random weights: (class, config, batch)."""
    image = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    vit = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=32,
        patch_size=8,
    )
    resnet = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"
    )
    gpt2 = transformers.GPT2Config(vocab_size=61, n_positions=16, n_embd=16, n_layer=2, n_head=2)
    return [
        ("ViTForImageClassification", vit, {"pixel_values": image}),
        ("ResNetForImageClassification", resnet, {"pixel_values": image}),
        ("GPT2LMHeadModel", gpt2, {"input_ids": torch.arange(8).reshape(1, 8)}),
    ]
