"""Switching: the right bytes move, the right weights answer, the budget holds."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runtime.conftest import normal_output
from trunkline.errors import (
    ArchitectureError,
    CorruptBlobError,
    InputError,
    MemoryBudgetError,
    NotInStoreError,
)
from trunkline.runtime import Runtime, state_dict_source
from trunkline.runtime.arena import Buffer
from trunkline.runtime.device import HostMemory
from trunkline.store import Store

pytestmark = pytest.mark.usefixtures("each_memory")

BOTTOM = ("0.", "1.", "3.", "4.")


def bottom(key: str) -> bool:
    """All of `conv` but its last layer."""
    return key.startswith(BOTTOM)


def test_a_switch_moves_exactly_what_is_missing(store: Store, add: Any) -> None:
    """From nothing the whole model, to a variant its own head only, back the other head, and to
    itself nothing; without a budget only the current model stays."""
    a = add("a", "conv")
    add("b", "conv", 1, a, bottom)
    head = (64 * 5 + 5) * 4  # Linear(64, 5) in fp32
    with Runtime(store) as runtime:
        first = runtime.switch("a")
        assert first.bytes_moved == first.bytes_resident == store.model("a").bytes
        assert first.blocks_moved == 5
        to_b, again, back = runtime.switch("b"), runtime.switch("b"), runtime.switch("a")
        assert (to_b.bytes_moved, again.bytes_moved, back.bytes_moved) == (head, 0, head)
        assert (to_b.tensors_assigned, again.tensors_assigned) == (2, 0)
        assert to_b.bytes_evicted == head
        assert runtime.resident == {block.digest for block in store.model("a").blocks}
        assert runtime.resident_bytes == store.model("a").bytes


@pytest.mark.parametrize(
    ("factory", "x"),
    [
        ("conv", torch.randn(3, 3, 9, 9)),
        ("encoder", torch.randint(0, 31, (2, 7))),
        ("positional", torch.randn(4, 6)),
        ("recurrent", torch.randn(2, 3, 5)),
        ("needs_data", torch.randn(4, 3)),
        ("odd", torch.randn(2, 3)),
    ],
)
def test_outputs_are_bit_equal_to_a_normally_loaded_models(
    store: Store, add: Any, factory: str, x: torch.Tensor
) -> None:
    """After switches to and fro, each variant answers exactly as when loaded the usual way."""
    states = {name: add(name, factory, seed) for seed, name in enumerate("ab")}
    with Runtime(store) as runtime:
        for name in "abba":
            runtime.switch(name)
            got, wanted = runtime.infer(name, x), normal_output(factory, states[name], x)
            for one, other in zip(
                got if isinstance(got, tuple) else (got,),
                wanted if isinstance(wanted, tuple) else (wanted,),
                strict=True,
            ):
                one, other = (v[0] if isinstance(v, tuple) else v for v in (one, other))
                assert torch.equal(one, other)


def test_the_stored_precision_is_adopted(store: Store, add: Any) -> None:
    """bf16 weights of an fp32 architecture stay bf16, as with `assign=True`."""
    state = add("half", "conv", dtype=torch.bfloat16)
    x = torch.randn(2, 3, 9, 9, dtype=torch.bfloat16)
    with Runtime(store) as runtime:
        runtime.switch("half")
        out = runtime.infer("half", x)
        assert out.dtype == torch.bfloat16
        assert torch.equal(out, normal_output("conv", state, x))


def test_tied_weights_are_one_parameter(store: Store, add: Any) -> None:
    """Embedding and head of the encoder are one object, as the factory made them."""
    add("a", "encoder")
    with Runtime(store) as runtime:
        runtime.switch("a")
        module: Any = runtime.module("a")
        assert module.head.weight is module.embed.weight


def test_a_shared_block_is_in_memory_once(store: Store, add: Any) -> None:
    """Models resident together hold one tensor for what they share, aligned to 64 bytes."""
    a = add("a", "conv")
    add("b", "conv", 1, a, bottom)
    with Runtime(store, memory_bytes=10**6) as runtime:
        runtime.switch("a")
        runtime.switch("b")
        ta, tb = runtime.tensors("a"), runtime.tensors("b")
        assert all((ta[k].data_ptr() == tb[k].data_ptr()) == bottom(k) for k in ta)
        assert all(t.data_ptr() % 64 == 0 for t in (*ta.values(), *tb.values()))
        both = store.model("a").bytes + (64 * 5 + 5) * 4
        assert runtime.resident_bytes == both


def test_a_resident_model_can_be_asked_without_a_switch(store: Store, add: Any) -> None:
    """With a budget for both, `infer` of either answers rightly; of one not there, not."""
    x = torch.randn(2, 3, 9, 9)
    states = {name: add(name, "conv", seed) for seed, name in enumerate("abc")}
    with Runtime(store, memory_bytes=2 * store.model("a").bytes) as runtime:
        runtime.switch("a")
        runtime.switch("b")
        for name in "aba":
            assert torch.equal(runtime.infer(name, x), normal_output("conv", states[name], x))
        with pytest.raises(InputError, match="'c' is not resident: switch to it first"):
            runtime.infer("c", x)


def test_eviction_by_next_use_and_by_last_use(store: Store, add: Any) -> None:
    """With room for two of three: the plan's farthest next use goes; without a plan, the oldest."""
    for seed, name in enumerate("abc"):
        add(name, "conv", seed)
    blocks = {n: {b.digest for b in store.model(n).blocks} for n in "abc"}
    with Runtime(store, memory_bytes=2 * store.model("a").bytes) as runtime:
        runtime.switch("a")
        runtime.switch("b")
        runtime.switch("c", next_use=["a", "b"])
        assert runtime.resident == blocks["a"] | blocks["c"]
        runtime.switch("a")
        runtime.switch("b")  # the oldest is c
        assert runtime.resident == blocks["a"] | blocks["b"]


def test_keep_holds_blocks_and_may_not_fit(store: Store, add: Any) -> None:
    """What `keep` names stays, by model or digest; where that cannot be, both numbers are told."""
    for seed, name in enumerate("abc"):
        add(name, "conv", seed)
    size = store.model("a").bytes
    digest = store.model("a").blocks[0].digest
    with Runtime(store) as runtime:
        runtime.switch("a")
        runtime.switch("b", keep=["a"])
        assert runtime.resident_bytes == 2 * size
        runtime.switch("c", keep=[digest])
        assert runtime.resident_bytes == size + store.model("a").blocks[0].bytes
    with Runtime(store, memory_bytes=size) as runtime:
        runtime.switch("a")
        with pytest.raises(
            MemoryBudgetError, match=f"needs {size} bytes beside the {size} .* {size}"
        ):
            runtime.switch("b", keep=["a"])
        runtime.infer("a", torch.randn(1, 3, 9, 9))  # nothing was lost


def test_a_model_larger_than_the_budget(store: Store, add: Any) -> None:
    """Both numbers are in the message; a budget of exactly the model's bytes is enough."""
    add("a", "conv")
    size = store.model("a").bytes
    with (
        Runtime(store, memory_bytes=size - 1) as runtime,
        pytest.raises(MemoryBudgetError, match=f"'a' needs {size} bytes, .* {size - 1} bytes"),
    ):
        runtime.switch("a")
    with Runtime(store, memory_bytes=size) as runtime:
        assert runtime.switch("a").bytes_resident == size


def test_whole_model_loading(store: Store, add: Any) -> None:
    """`partial=False` moves every byte at each change of model, and answers the same."""
    a = add("a", "conv")
    b = add("b", "conv", 1, a, bottom)
    size, x = store.model("a").bytes, torch.randn(2, 3, 9, 9)
    with Runtime(store, partial=False) as runtime:
        assert [runtime.switch(n).bytes_moved for n in "abba"] == [size, size, 0, size]
        runtime.switch("b")
        assert torch.equal(runtime.infer("b", x), normal_output("conv", b, x))


def test_whole_models_leave_whole(store: Store, add: Any) -> None:
    """With memory for two whole models and a bit, the least recently used leaves with every byte,
    and what two models share takes its bytes twice."""
    a = add("a", "conv")
    add("b", "conv", 1, a, bottom)
    add("c", "conv", 2, a, bottom)
    size = store.model("a").bytes
    with Runtime(store, memory_bytes=2 * size + 8, partial=False) as runtime:
        assert [runtime.switch(n).bytes_moved for n in "abab"] == [size, size, 0, 0]
        assert runtime.resident_bytes == 2 * size
        assert runtime.switch("c").bytes_evicted == size
        assert runtime.switch("b").bytes_moved == 0


def test_eviction_by_hand_makes_the_next_switch_load_just_that(store: Store, add: Any) -> None:
    """What a plan evicts is what comes back, and a model with a hole in it is not resident."""
    add("a", "conv")
    block = store.model("a").blocks[2]
    with Runtime(store) as runtime:
        runtime.switch("a")
        assert runtime.evict([block.digest, "sha256:" + "0" * 64]) == block.bytes
        with pytest.raises(InputError, match="not resident"):
            runtime.module("a")
        assert runtime.switch("a").bytes_moved == block.bytes


def test_weights_without_an_architecture_cannot_run(store: Store) -> None:
    """The message says what to do."""
    store.add("bare", state_dict_source({"w": torch.ones(1)}))
    with Runtime(store) as runtime, pytest.raises(ArchitectureError, match="import it with --fac"):
        runtime.switch("bare")


def test_a_model_that_is_not_there(store: Store) -> None:
    """Unknown names are the store's to refuse."""
    with Runtime(store) as runtime, pytest.raises(NotInStoreError, match="'nobody'"):
        runtime.switch("nobody")


def test_a_broken_blob_leaves_the_runtime_usable(store: Store, add: Any) -> None:
    """A switch that fails on a truncated or missing blob says so, and the next one works."""
    x = torch.randn(2, 3, 9, 9)
    a = add("a", "conv")
    add("b", "conv", 1)
    with Runtime(store) as runtime:
        runtime.switch("a")
        path: Path = store.blob_path(runtime.store.model("b").blocks[4].digest)
        runtime.prepare("b")
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        with pytest.raises(CorruptBlobError, match=str(path)):
            runtime.switch("b")
        with pytest.raises(InputError, match="not resident"):
            runtime.infer("a", x)
        path.unlink()
        with pytest.raises(NotInStoreError, match="missing"):
            runtime.switch("b")
        path.write_bytes(whole)
        runtime.switch("b")
        runtime.switch("a")
        assert torch.equal(runtime.infer("a", x), normal_output("conv", a, x))


def test_answers_outlast_the_next_switch(store: Store, add: Any) -> None:
    """What a forward returns of its own weights is a copy: the next model's weights lie there."""
    state = add("a", "gives")
    add("b", "gives", 1)
    with Runtime(store) as runtime:
        runtime.switch("a")
        out = runtime.infer("a", torch.zeros(1, 3))
        runtime.switch("b")
        assert torch.equal(out["rows"][0], state["lin.weight"][0])
        assert torch.equal(out["rows"][1][0], state["lin.bias"])


def test_a_forward_that_writes_into_its_weights(store: Store, add: Any) -> None:
    """It is refused by the tensor's name, and what others share is loaded anew; one that writes
    what is there already is let pass."""
    state = add("a", "writes")
    with Runtime(store) as runtime:
        runtime.switch("a")
        runtime.infer("a", -torch.ones(1, 3))
        with pytest.raises(ArchitectureError, match=r"'a' writes into its tensor 'calls'"):
            runtime.infer("a", torch.ones(1, 3))
        assert runtime.switch("a").blocks_moved == 1
        assert torch.equal(runtime.tensors("a")["calls"], state["calls"])


@pytest.mark.parametrize("way", ["buffer", "parameter", "data"])
@pytest.mark.parametrize("loading", [False, True])
def test_a_forward_that_replaces_its_weights(
    store: Store, add: Any, way: str, loading: bool
) -> None:
    """It is refused, too; the next forward, and another model with that block, have the store's."""
    x, kept = torch.ones(1, 3), "calls" if way == "buffer" else "lin.weight"
    base = add("a", "stateful", way=way)
    add("b", "stateful", 1, base, lambda key: True, way="")
    with Runtime(store, memory_bytes=10**6) as runtime:
        for _ in range(2):
            with pytest.raises(ArchitectureError, match=rf"'a' writes into its tensor '{kept}'"):
                runtime.infer_while_loading("a", x, at_once=loading)
            assert runtime.switch("b").blocks_moved == 1
            wanted = normal_output("stateful", base, x, way="")
            assert torch.equal(runtime.infer("b", x), wanted)


def test_threads_that_ask_for_different_models(store: Store, add: Any) -> None:
    """With both models resident and one module for them, every thread gets its own answers."""
    x = torch.randn(8, 3, 9, 9)
    states = {name: add(name, "conv", seed) for seed, name in enumerate("ab")}
    wanted = {name: normal_output("conv", state, x) for name, state in states.items()}
    with Runtime(store, memory_bytes=10**7) as runtime:
        for name in "ab":
            runtime.switch(name)

        def ask(name: str) -> bool:
            return all(torch.equal(runtime.infer(name, x), wanted[name]) for _ in range(150))

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(ask, "abab"))


class _Bytes(bytearray):
    """Memory that goes back as soon as nothing points at it, as PyTorch's on an accelerator."""


class _CountedMemory(HostMemory):
    """Host memory that counts what is alive, and never hands a buffer out twice."""

    def __init__(self) -> None:
        super().__init__(copy=True)
        self.alive = self.most = 0

    def allocate(self, size: int) -> Buffer:
        owner = _Bytes(max(size, 1))
        self.alive += size
        self.most = max(self.most, self.alive)
        weakref.finalize(owner, self._gone, size)
        tensor = torch.frombuffer(owner, dtype=torch.uint8)[:size]
        return Buffer(tensor, size, memoryview(tensor.numpy()))  # type: ignore[arg-type]

    def _gone(self, size: int) -> None:
        self.alive -= size

    def free(self, buffer: Buffer) -> None:
        pass


def test_blocks_that_leave_are_free_before_others_come(
    store: Store, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where memory goes back when its last tensor does (CUDA), no module keeps a block that was
    evicted: old and new never pass the budget together (but for padding, 64 bytes a tensor)."""
    for seed, name in enumerate("abc"):
        add(name, "conv", seed)
        add(name + "6", "conv", seed, classes=6)
    memory = _CountedMemory()
    monkeypatch.setattr("trunkline.runtime.runtime.open_memory", lambda *_: memory)
    budget = store.model("a6").bytes
    gc.disable()
    try:
        with Runtime(store, memory_bytes=budget) as runtime:
            for name in ["a", "a6", "b", "c", "b6", "a", "c6"]:
                runtime.switch(name)
                runtime.infer(name, torch.randn(1, 3, 9, 9))
            runtime.clear()
            assert memory.alive == 0
    finally:
        gc.enable()
    tensors = sum(len(block.tensors) for block in store.model("a6").blocks)
    assert budget <= memory.most <= budget + 64 * tensors


def test_unknown_devices(store: Store) -> None:
    """Devices that PyTorch or this machine does not have are input errors."""
    for device in ("gpu", "meta", "cuda:99", "cpu:7"):
        with pytest.raises(InputError, match=device):
            Runtime(store, device)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_sequence_of_switches(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever the sequence, budget, plan and evictions: exactly what is missing moves, residents
    stay within the budget, shared blocks are one tensor, and outputs are bit-equal."""
    store, states, normal = _family(tmp_path_factory)
    names = sorted(states)
    largest = max(store.model(name).bytes for name in names)
    budget = data.draw(st.none() | st.integers(largest, 4 * largest), label="budget")
    x = torch.linspace(-1, 1, 2 * 3 * 5 * 5).view(2, 3, 5, 5)
    with Runtime(store, memory_bytes=budget) as runtime:
        for _ in range(data.draw(st.integers(1, 8), label="steps")):
            name = data.draw(st.sampled_from(names), label="model")
            plan = data.draw(st.none() | st.lists(st.sampled_from(names), max_size=3), label="plan")
            if data.draw(st.booleans(), label="evict first"):
                runtime.evict(data.draw(st.sets(st.sampled_from(sorted(runtime.resident) or [""]))))
            before = runtime.resident
            blocks = {block.digest: block.bytes for block in store.model(name).blocks}
            switch = runtime.switch(name, next_use=plan)
            assert switch.bytes_moved == sum(b for d, b in blocks.items() if d not in before)
            assert blocks.keys() <= runtime.resident
            assert runtime.resident_bytes == switch.bytes_resident
            if budget is None:
                assert runtime.resident == blocks.keys()
            else:
                assert runtime.resident_bytes <= budget
            assert torch.equal(runtime.infer(name, x), normal[name])
        held = runtime.resident
        whole = [n for n in names if {b.digest for b in store.model(n).blocks} <= held]
        places: dict[tuple[str, str], int] = {}
        for one in whole:
            tensors = runtime.tensors(one)
            for block in store.model(one).blocks:
                for spec in block.tensors:
                    address = tensors[spec.name].data_ptr()
                    assert places.setdefault((block.digest, spec.name), address) == address


_FAMILY: list[tuple[Store, dict[str, Any], dict[str, torch.Tensor]]] = []


def _family(
    factory: pytest.TempPathFactory,
) -> tuple[Store, dict[str, Any], dict[str, torch.Tensor]]:
    """Five variants of two architectures, made once for all examples."""
    if not _FAMILY:
        import tiny_models

        from tests.runtime.conftest import randomised
        from trunkline.store import Architecture

        store = Store.open(factory.mktemp("family") / "store", create=True)
        states: dict[str, dict[str, torch.Tensor]] = {}
        x = torch.linspace(-1, 1, 2 * 3 * 5 * 5).view(2, 3, 5, 5)
        normal = {}
        for n, (name, width, keys) in enumerate(
            [
                ("a", 8, ()),
                ("b", 8, BOTTOM),
                ("c", 8, ("0.", "8.")),
                ("d", 4, ()),
                ("e", 4, ("1.", "4.")),
            ]
        ):
            state = randomised(tiny_models.conv(width=width).state_dict(), n)
            base = states["a" if width == 8 else "d"] if keys else {}
            state = {
                k: base[k] if base and k.startswith(keys or "-") else v for k, v in state.items()
            }
            states[name] = state
            architecture = Architecture(
                "factory", factory="tiny_models:conv", kwargs={"width": width}
            )
            store.add(name, state_dict_source(state, architecture=architecture))
            normal[name] = normal_output("conv", state, x, width=width)
        _FAMILY.append((store, states, normal))
    return _FAMILY[0]


def test_what_nobody_uses_is_let_go(store: Store, add: Any) -> None:
    """After `forget` and `tidy`, a model's network is gone, unless another has the same one; those
    that are still looked up run as before, and load nothing again."""
    add("a", "conv")
    add("b", "conv", 1)
    add("c", "positional")
    x = torch.randn(2, 3, 9, 9)
    with Runtime(store, memory_bytes=10**6) as runtime:
        for name in "cba":
            runtime.verify(name)
            runtime.switch(name)
        before = runtime.infer("a", x)
        networks = {name: weakref.ref(runtime.skeleton(name)) for name in "abc"}
        runtime.forget("b")
        runtime.forget("c")
        runtime.tidy()
        gc.collect()
        assert networks["c"]() is None
        assert networks["b"]() is networks["a"]() is runtime.skeleton("a")
        assert runtime.verify("a") == 0
        assert runtime.switch("a").bytes_moved == 0
        assert torch.equal(runtime.infer("a", x), before)
        runtime.switch("c")
        assert runtime.infer("c", torch.randn(4, 6)).shape == (4, 4)


def test_a_model_looked_up_anew_is_still_checked(store: Store, add: Any) -> None:
    """Writes into weights that were loaded before the model was forgotten are found, too."""
    add("a", "writes")
    with Runtime(store) as runtime:
        runtime.switch("a")
        runtime.forget("a")
        runtime.tidy()
        with pytest.raises(ArchitectureError, match="writes into its tensor"):
            runtime.infer("a", torch.ones(2, 3))
