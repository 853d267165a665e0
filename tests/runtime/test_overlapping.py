"""Forwards that run while their models are loaded from the store."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from tests.runtime.conftest import Adder, normal_output
from trunkline.errors import ArchitectureError, CorruptBlobError
from trunkline.runtime import Runtime
from trunkline.runtime.overlapping import Overlapping
from trunkline.store import Store, StoredBlock

pytestmark = pytest.mark.usefixtures("each_memory")

X = torch.linspace(-1, 1, 96).reshape(2, 3, 4, 4)


@pytest.fixture(params=[True, False])
def at_once(request: pytest.FixtureRequest) -> bool:
    """Whether the forward runs while the model is loaded, or after it: all else is the same."""
    found: bool = request.param
    return found


def test_outputs_and_memory_are_those_of_a_switch(store: Store, add: Adder, at_once: bool) -> None:
    """Answers bit-equal, the same blocks moved and resident, and the next `infer` works."""
    base = add("base", "conv")
    tuned = add("tuned", "conv", seed=1, base=base, shared=lambda key: not key.startswith("8."))
    with Runtime(store) as runtime, Runtime(store) as other:
        for name, state in (("base", base), ("tuned", tuned), ("base", base)):
            wanted = normal_output("conv", state, X)
            switch = other.switch(name)
            done = runtime.infer_while_loading(name, X, at_once=at_once)
            assert torch.equal(done.output, wanted)
            assert torch.equal(runtime.infer(name, X), wanted)
            assert done.switch.bytes_moved == switch.bytes_moved
            assert sum(layer.sent_bytes for layer in done.overlap.layers) == switch.bytes_moved
            assert runtime.resident == other.resident
            assert runtime.current == name
            assert done.overlap.download_first is not at_once
            assert {d for layer in done.overlap.layers for d in layer.digests} == runtime.resident
            assert done.overlap.predicted_s >= done.overlap.begun_s > 0


def test_what_is_there_is_not_read_again(store: Store, add: Adder, at_once: bool) -> None:
    """With a budget for both, the second time moves nothing."""
    states = {name: add(name, "conv", seed=seed) for seed, name in enumerate(("a", "b"))}
    with Runtime(store, memory_bytes=10**7) as runtime:
        for turn in range(2):
            for name, state in states.items():
                done = runtime.infer_while_loading(name, X, at_once=at_once)
                assert torch.equal(done.output, normal_output("conv", state, X))
                assert (done.switch.bytes_moved == 0) == (turn == 1)


def test_a_damaged_block_is_told_and_nothing_stays(store: Store, add: Adder, at_once: bool) -> None:
    """The forward stops at the block, its model's memory is free, and another model runs."""
    add("bad", "conv", seed=1)
    state = add("good", "conv")
    path = store.blob_path(store.model("bad").blocks[2].digest)
    path.write_bytes(path.read_bytes()[:-1])
    with Runtime(store) as runtime:
        with pytest.raises(CorruptBlobError):
            runtime.infer_while_loading("bad", X, at_once=at_once)
        assert runtime.resident == set()
        assert runtime.current is None
        assert all(one.is_meta for one in runtime.skeleton("good").parameters())
        done = runtime.infer_while_loading("good", X, at_once=at_once)
        assert torch.equal(done.output, normal_output("conv", state, X))


def test_the_order_of_use_is_watched_once(store: Store, add: Adder) -> None:
    """The first forward of an architecture finds the blocks in the manifest's order, the next one
    in its own: a tied weight at its first use, and nothing that is needed later before it. Answers
    are bit-equal both times; a forward that fails teaches nothing."""
    states = {name: add(name, "backwards", seed=seed) for seed, name in enumerate(("a", "b"))}
    x = torch.linspace(-1, 1, 8).reshape(2, 4)
    with Runtime(store) as runtime:
        with pytest.raises(RuntimeError):
            runtime.infer_while_loading("a", torch.zeros(2, 9), at_once=True)
        assert not store.orders.knows(store.model("a"))
    for name, state in states.items():
        with Runtime(Store.open(store.path)) as runtime:
            done = runtime.infer_while_loading(name, x, at_once=True)
        assert torch.equal(done.output, normal_output("backwards", state, x))
        ids = [layer.name for layer in done.overlap.layers]
        assert ids == ["again", "second", "third"]  # `again` holds the weight of `first`
        arrived = sorted(done.overlap.layers, key=lambda layer: layer.arrived_s)
        manifest = ["again", "third", "second"]
        assert [one.name for one in arrived] == (manifest if name == "a" else ids)
    assert done.overlap.out_of_order == 0


def test_whole_models_have_their_order_too(store: Store, add: Adder) -> None:
    """Without sharing in memory blocks are the model's own, and the order is the same."""
    add("m", "backwards")
    with Runtime(store, partial=False) as runtime:
        for _ in range(2):
            runtime.clear()
            done = runtime.infer_while_loading("m", torch.zeros(1, 4), at_once=True)
    assert done.overlap.out_of_order == 0
    ids = [block.id for block in store.orders.blocks(store.model("m"))]
    assert ids == ["again", "second", "third"]


def test_a_forward_that_fails_leaves_the_model_resident(
    store: Store, add: Adder, at_once: bool
) -> None:
    """Its own error passes through; the blocks are all there for the next call."""
    state = add("m", "conv")
    with Runtime(store) as runtime:
        with pytest.raises(RuntimeError):
            runtime.infer_while_loading("m", torch.zeros(2, 9), at_once=at_once)
        assert runtime.resident == {block.digest for block in store.model("m").blocks}
        assert torch.equal(
            runtime.infer_while_loading("m", X, at_once=at_once).output,
            normal_output("conv", state, X),
        )


def test_a_forward_that_writes_is_refused(store: Store, add: Adder, at_once: bool) -> None:
    """Blocks that a forward changed are not resident any more, as with `infer`."""
    add("m", "writes")
    with Runtime(store) as runtime:
        with pytest.raises(ArchitectureError, match="'calls'"):
            runtime.infer_while_loading("m", torch.ones(1, 3), at_once=at_once)
        assert len(runtime.resident) == 1
        runtime.infer_while_loading("m", -torch.ones(1, 3), at_once=at_once)


def test_a_weight_that_is_given_back(store: Store, add: Adder, at_once: bool) -> None:
    """Taken before its layer's turn, when it was not there yet: a real tensor, and a copy."""
    state = add("m", "outer")
    other = add("n", "outer", 1)
    with Runtime(store) as runtime:
        given = runtime.infer_while_loading("m", torch.ones(1, 3), at_once=at_once).output
        runtime.switch("n")
        assert type(given["weight"]) is torch.Tensor
        assert torch.equal(given["weight"], state["lin.weight"])
        assert torch.equal(runtime.tensors("n")["lin.weight"], other["lin.weight"])


def test_nobody_evicts_what_was_just_computed_with(
    store: Store, add: Adder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks stay until the call has ended, whoever asks for their memory between its steps."""
    add("m", "conv")
    with Runtime(store) as runtime:
        digests = {block.digest for block in store.model("m").blocks}
        ended = Overlapping.end
        gone = []

        def end(self: Overlapping) -> None:
            ended(self)
            gone.append(runtime.evict(digests))

        monkeypatch.setattr(Overlapping, "end", end)
        runtime.infer_while_loading("m", X, at_once=True)
        assert gone == [0]
        assert runtime.evict(digests) == store.model("m").bytes


def test_it_is_chosen_by_what_is_gained(
    store: Store, add: Adder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not told how, the runtime does what `gains` says of the model's blocks, asked each time."""
    add("m", "conv")
    asked = []

    def gains(blocks: Mapping[str, StoredBlock], *_: object) -> bool:
        asked.append(set(blocks))
        return len(asked) == 1

    monkeypatch.setattr("trunkline.runtime.runtime.gains", gains)
    with Runtime(store) as runtime:
        first, second = (runtime.infer_while_loading("m", X) for _ in range(2))
    assert [one.overlap.download_first for one in (first, second)] == [False, True]
    assert torch.equal(first.output, second.output)
    assert asked == [{block.digest for block in store.model("m").blocks}] * 2
