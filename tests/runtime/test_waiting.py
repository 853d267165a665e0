"""Modules that run while their weights arrive."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from tests.runtime.conftest import Adder, normal_output
from trunkline.errors import StreamError
from trunkline.runtime.arrivals import Arrivals
from trunkline.runtime.bringing import Bringer, Reader
from trunkline.runtime.device import HostMemory
from trunkline.runtime.skeleton import Skeleton
from trunkline.runtime.waiting import StandIn, Waiting
from trunkline.store import Store, StoredBlock, StoredModel

Call = Callable[[torch.nn.Module], Any]


@dataclass
class Scene:
    """A model of a store, built without weights, and where its blocks are to arrive."""

    store: Store
    model: StoredModel
    skeleton: Skeleton
    arrivals: Arrivals
    bringer: Bringer

    @classmethod
    def of(cls, store: Store, name: str) -> Scene:
        model = store.model(name)
        assert model.architecture is not None
        skeleton = Skeleton(model.architecture, torch.device("cpu"))
        return cls(store, model, skeleton, Arrivals(), Bringer(HostMemory(1), store))

    def waiting(self) -> Waiting:
        return Waiting(
            self.skeleton.module,
            self.skeleton.slots,
            self.skeleton.bind(self.model),
            self.arrivals,
            torch.device("cpu"),
            self.model.blocks,
        )

    def bring(self, blocks: Iterable[StoredBlock]) -> None:
        """Let blocks arrive."""
        for block in blocks:
            made = self.bringer.from_store(block)
            self.arrivals.deliver(made, block.bytes, self.arrivals.clock())

    def answer(self, order: Callable[[tuple[StoredBlock, ...]], Any], call: Call) -> Any:
        """What the module answers while its blocks come in an order, and what was measured."""
        reader = Reader(self.bringer, order(self.model.blocks), self.arrivals)
        self.arrivals.expect(reader)
        with self.waiting() as waiting, torch.inference_mode():
            reader.start()
            result = waiting.run(lambda: call(self.skeleton.module))
            waiting.fill()
        reader.join()
        return result, waiting


X = torch.linspace(-1, 1, 60)
INPUTS: Mapping[str, torch.Tensor] = {
    "conv": torch.linspace(-1, 1, 96).reshape(2, 3, 4, 4),
    "encoder": torch.arange(10).reshape(2, 5),
    "positional": X[:12].reshape(2, 6),
    "recurrent": X[:30].reshape(2, 3, 5),
    "needs_data": X[:6].reshape(2, 3),
    "odd": X[:6].reshape(2, 3),
    "mixed": X[:6].reshape(2, 3),
}


def same(one: Any, other: Any) -> bool:
    """Whether two answers are bit-equal."""
    if isinstance(one, tuple):
        return all(same(a, b) for a, b in zip(one, other, strict=True))
    return torch.equal(one, other)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("factory", sorted(INPUTS))
def test_outputs_are_those_of_a_loaded_model(
    store: Store, add: Adder, factory: str, backwards: bool
) -> None:
    """Tied weights, fused layers, recurrent ones: bit-equal in whatever order the blocks come."""
    state = add("m", factory)
    wanted = normal_output(factory, state, INPUTS[factory])
    order = (lambda blocks: blocks[::-1]) if backwards else (lambda blocks: blocks)
    scene = Scene.of(store, "m")
    got, _ = scene.answer(order, lambda module: module(INPUTS[factory]))
    assert same(got, wanted)
    held = [*scene.skeleton.module.parameters(), *scene.skeleton.module.buffers()]
    assert not any(isinstance(one, StandIn) for one in held)
    with torch.inference_mode():
        assert same(scene.skeleton.module(INPUTS[factory]), wanted)


class Order:
    """Brings a block only when the forward has asked for it; notes what was asked for."""

    def __init__(self, scene: Scene) -> None:
        self.asked: list[str] = []
        wait = scene.arrivals.wait

        def asked(digests: Iterable[str]) -> None:
            wanted = list(digests)
            self.asked += wanted
            scene.bring(block for block in scene.model.blocks if block.digest in wanted)
            wait(wanted)

        scene.arrivals.wait = asked  # type: ignore[method-assign]


def test_a_layer_waits_for_its_own_blocks_only(store: Store, add: Adder) -> None:
    """Each layer asks for its own block when it comes to it, and for no other."""
    add("m", "conv")
    scene = Scene.of(store, "m")
    order = Order(scene)
    with scene.waiting() as waiting, torch.inference_mode():
        waiting.run(lambda: scene.skeleton.module(INPUTS["conv"]))
    assert order.asked == [block.digest for block in scene.model.blocks]
    assert [layer.name for layer in waiting.layers] == [block.id for block in scene.model.blocks]
    assert sum(layer.bytes for layer in waiting.layers) == scene.model.bytes


def test_tied_weights_are_one_tensor(store: Store, add: Adder) -> None:
    """Places that share a weight share its stand-in, and then its tensor; it is asked for once."""
    add("m", "encoder")
    scene = Scene.of(store, "m")
    order = Order(scene)
    module: Any = scene.skeleton.module
    with scene.waiting() as waiting, torch.inference_mode():
        assert isinstance(module.head.weight, StandIn)
        assert module.head.weight is module.embed.weight
        waiting.run(lambda: module(INPUTS["encoder"]))
    assert module.head.weight is module.embed.weight
    assert len(order.asked) == len(set(order.asked)) == len(scene.model.blocks)


def test_a_changed_order_of_use_waits_and_is_told(store: Store, add: Adder) -> None:
    """The last layer first, one not at all: the right answer, and the report says so."""
    state = add("m", "in_any_order")
    scene = Scene.of(store, "m")
    x = X[:8].reshape(2, 4)
    got, waiting = scene.answer(lambda blocks: blocks, lambda module: module(x, [2, 0, 2]))
    import tiny_models

    module = tiny_models.in_any_order()
    module.load_state_dict(state)
    with torch.no_grad():
        assert torch.equal(got, module(x, [2, 0, 2]))
    assert [layer.name for layer in waiting.layers] == ["layers.2", "layers.0"]
    assert list(waiting.overlap().unused) == ["layers.1"]


def test_what_the_first_stand_in_needs_is_imported_before() -> None:
    """Once prepared, an operation on a stand-in imports nothing, so no forward's time holds it."""
    code = (
        "import sys, torch\n"
        "from trunkline.runtime.waiting import StandIn, prepare\n"
        "from trunkline.store import TensorSpec\n"
        "prepare()\n"
        "before = set(sys.modules)\n"
        "spec = TensorSpec('x', 'F32', (2, 2), 0, 16)\n"
        "one = StandIn(spec, True, torch.device('cpu'), lambda: torch.ones(2, 2))\n"
        "torch.nn.functional.linear(torch.ones(1, 2), one)\n"
        "sys.exit(set(sys.modules) != before)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_error_wakes_every_wait(store: Store, add: Adder) -> None:
    """What is told in place of a block is raised by the forward that waits for it; the slots of
    what has not come hold nothing."""
    add("m", "conv")
    scene = Scene.of(store, "m")
    scene.bring(scene.model.blocks[:2])
    begun = threading.Event()
    later = threading.Thread(
        target=lambda: (begun.wait(30), scene.arrivals.fail(StreamError("it was cut")))
    )
    scene.arrivals.expect(later)
    later.start()
    module: Any = scene.skeleton.module
    module[1].register_forward_hook(lambda *_: begun.set())
    with pytest.raises(StreamError, match="it was cut"), scene.waiting() as waiting:
        waiting.run(lambda: module(INPUTS["conv"]))
    later.join()
    assert not module[0].weight.is_meta
    assert module[3].weight.is_meta
    assert module[8].weight.is_meta


def test_nobody_waits_for_a_thread_that_ended(store: Store, add: Adder) -> None:
    """A block that nobody brings any more is an error, not a wait without end."""
    add("m", "conv")
    scene = Scene.of(store, "m")
    reader = Reader(scene.bringer, scene.model.blocks[:1], scene.arrivals)
    scene.arrivals.expect(reader)
    reader.start()
    reader.join()
    with pytest.raises(StreamError, match="not brought"), scene.waiting() as waiting:
        waiting.run(lambda: scene.skeleton.module(INPUTS["conv"]))


def test_a_damaged_file_is_told_to_the_forward(store: Store, add: Adder) -> None:
    """What goes wrong in the thread that reads is raised where the block is needed."""
    add("m", "conv")
    scene = Scene.of(store, "m")
    path = store.blob_path(scene.model.blocks[2].digest)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Exception, match="bytes, not"):
        scene.answer(lambda blocks: blocks, lambda module: module(INPUTS["conv"]))
