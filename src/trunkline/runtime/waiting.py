"""A module that runs while its weights arrive, whatever module it is.

Before the forward every slot holds a stand-in: a tensor that knows its shape, type and device and
has no data. Two things make the forward wait, and nothing else:

- a module that holds tensors of its own waits before its forward for just these, and then holds the
  real ones;
- an operation that is given a stand-in (a parent reads its child's weight, a kernel takes the
  weights of a whole layer, a tied weight is used elsewhere) waits for that tensor and takes it.

So a forward that uses its weights in another order than they come is right all the same, only
slower; and no operation ever sees a tensor that is not there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from torch.utils.hooks import RemovableHandle

from trunkline.runtime.arrivals import Arrivals
from trunkline.runtime.dtypes import torch_dtype
from trunkline.runtime.overlap import LayerRun, Overlap
from trunkline.runtime.resident import ResidentBlock
from trunkline.runtime.skeleton import Binding
from trunkline.runtime.slots import Slot
from trunkline.store import StoredBlock, TensorSpec

Fetch = Callable[[], Tensor]
"""Waits for a tensor and returns it."""


class StandIn(Tensor):
    """A tensor without data; each operation on it is done on the tensor that it stands for.

    A subclass that PyTorch's dispatcher knows, so that kernels written in C++ meet it, too.
    """

    _fetch: Fetch

    @staticmethod
    def __new__(
        cls, spec: TensorSpec, is_parameter: bool, device: torch.device, fetch: Fetch
    ) -> StandIn:
        """A stand-in for a stored tensor."""
        made: StandIn = Tensor._make_wrapper_subclass(
            cls, spec.shape, dtype=torch_dtype(spec.dtype), device=device, requires_grad=False
        )
        made._fetch = fetch
        if is_parameter:
            made._is_param = True  # what isinstance asks for
        return made

    # Without this, modules with fused kernels would take their slow way and round otherwise.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Do the operation on the real tensors."""
        real = tree_map(_real, (args, kwargs or {}))
        return func(*real[0], **real[1])

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"StandIn(shape={tuple(self.shape)}, dtype={self.dtype})"


@functools.cache
def prepare() -> None:
    """Do one operation on a stand-in, before a clock runs: for the first one in a process PyTorch
    imports modules of its own (`torch.distributed.tensor`), which may take seconds."""
    spec = TensorSpec("", "U8", (1,), 0, 1)
    stand_in = StandIn(spec, False, torch.device("cpu"), lambda: torch.zeros(1, dtype=torch.uint8))
    torch.neg(stand_in)


def _real(value: Any) -> Any:
    return value._fetch() if isinstance(value, StandIn) else value


class Waiting:
    """One forward of a module whose blocks arrive meanwhile. Used once, as a context.

    Inside the context the module waits as described above. Afterwards its slots hold the tensors
    that have arrived, and nothing where they have not.

    Attributes:
        replaced: blocks of which the forward put another tensor in the place of one, and that
            one's name; known when all is filled.

    Args:
        module: built without weights.
        slots: its places for tensors.
        binding: which tensor goes where.
        arrivals: where the blocks come.
        device: where they come to.
        blocks: the model's blocks by digest.
        synchronize: waits until the device has done what it was given, so that its times count.
    """

    def __init__(
        self,
        module: nn.Module,
        slots: Sequence[Slot],
        binding: Binding,
        arrivals: Arrivals,
        device: torch.device,
        blocks: Iterable[StoredBlock],
        synchronize: Callable[[], None] = lambda: None,
    ) -> None:
        self.begun_s = self.ended_s = 0.0
        self.replaced: dict[str, str] = {}
        self._module = module
        self._arrivals = arrivals
        self._blocks = {block.digest: block for block in blocks}
        self._synchronize = synchronize
        self._device = device
        self._feeds = [(slots[at], digest, name) for at, digest, name in binding.feeds]
        self._open = set(range(len(self._feeds)))  # those whose slots hold stand-ins
        self._used: set[str] = set()
        self._steps: list[_Step] = []
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> Waiting:
        owned: dict[nn.Module, list[int]] = {}
        stand_ins: dict[tuple[str, str, bool], StandIn] = {}
        specs = {spec.name: spec for one in self._blocks.values() for spec in one.tensors}
        with torch.inference_mode(False):
            for position, (slot, digest, name) in enumerate(self._feeds):
                key = digest, name, slot.is_parameter
                if key not in stand_ins:  # places that share a tensor share its stand-in
                    stand_ins[key] = StandIn(
                        specs[name], slot.is_parameter, self._device, self._fetcher(*key)
                    )
                slot.hold(stand_ins[key])
                owned.setdefault(slot.module, []).append(position)
        for module, own in owned.items():
            hook = module.register_forward_pre_hook(self._before(own), prepend=True)
            self._hooks.append(hook)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        self._fill()

    def run(self, forward: Callable[[], Any]) -> Any:
        """What `forward`, a call of the module, returns.

        Raises:
            StreamError: a block that it needs does not come (or what `Arrivals.fail` was told).
        """
        self.begun_s = self._arrivals.clock()
        result = forward()
        self._synchronize()
        self.ended_s = self._arrivals.clock()
        if self._steps:
            self._steps[-1].ended_s = self.ended_s
        return result

    def wait_for_all(self) -> None:
        """Wait for every block, before a forward that is not to overlap (errors as `run`)."""
        self._arrivals.wait(self._blocks)

    def fill(self) -> None:
        """Wait for the blocks that the forward did not use; then every slot has its tensor.

        Raises:
            StreamError: as `run`.
        """
        self._arrivals.wait(self._blocks)
        self.replaced = {
            digest: name
            for n, (slot, digest, name) in enumerate(self._feeds)
            if n not in self._open and not slot.holds(self._arrived(digest), name)
        }
        self._fill()

    @property
    def layers(self) -> tuple[LayerRun, ...]:
        """What was measured, in the order of use."""
        return tuple(self._measured(step) for step in self._steps)

    def overlap(self, download_first: bool = False) -> Overlap:
        """What was measured; of blocks without bytes it does not matter whether they were used."""
        unused = (b.id for d, b in self._blocks.items() if d not in self._used and b.bytes)
        return Overlap(self.layers, self.begun_s, self.ended_s, tuple(unused), download_first)

    # ---- inside ----

    def _before(self, own: Sequence[int]) -> Callable[..., None]:
        """What a module does before its forward: wait for its own tensors, and hold them."""
        digests = tuple(dict.fromkeys(self._feeds[position][1] for position in own))
        held = False

        def hook(module: nn.Module, args: Any) -> None:
            nonlocal held
            if not held:
                self._need(digests)
                self._assign(own)
                held = True

        return hook

    def _fetcher(self, digest: str, name: str, is_parameter: bool) -> Fetch:
        def fetch() -> Tensor:
            self._need((digest,))
            with torch.inference_mode(False):
                return self._tensor(digest, name, is_parameter)

        return fetch

    def _need(self, digests: Collection[str]) -> None:
        """Wait for blocks; those that are used for the first time begin a layer."""
        new = [digest for digest in digests if digest not in self._used]
        if not new:
            return
        self._synchronize()
        asked_s = self._arrivals.clock()
        if self._steps:
            self._steps[-1].ended_s = asked_s
        self._arrivals.wait(new)
        self._used.update(new)
        self._steps.append(_Step(tuple(new), asked_s, self._arrivals.clock()))

    def _assign(self, positions: Collection[int]) -> None:
        self._open.difference_update(positions)
        with torch.inference_mode(False):
            for position in positions:
                slot, digest, name = self._feeds[position]
                slot.hold(self._tensor(digest, name, slot.is_parameter))

    def _tensor(self, digest: str, name: str, is_parameter: bool) -> Tensor:
        block = self._arrived(digest)
        return block.parameter(name) if is_parameter else block.tensors[name]

    def _arrived(self, digest: str) -> ResidentBlock:
        found = self._arrivals.get(digest)
        assert found is not None  # it was waited for
        return found.block

    def _fill(self) -> None:
        """Real tensors for what has arrived, nothing for the rest."""
        there = [n for n in self._open if self._arrivals.get(self._feeds[n][1]) is not None]
        self._assign(there)
        for position in self._open:
            self._feeds[position][0].release()

    def _measured(self, step: _Step) -> LayerRun:
        found = [one for digest in step.digests if (one := self._arrivals.get(digest)) is not None]
        return LayerRun(
            name=" + ".join(self._blocks[digest].id for digest in step.digests),
            digests=step.digests,
            bytes=sum(self._blocks[digest].bytes for digest in step.digests),
            sent_bytes=sum(one.sent_bytes for one in found),
            arrived_s=max(one.arrived_s for one in found),
            ready_s=max(one.ready_s for one in found),
            asked_s=step.asked_s,
            started_s=step.started_s,
            ended_s=step.ended_s,
        )


class _Step:
    """A first use of blocks, and what was computed until the next one."""

    def __init__(self, digests: tuple[str, ...], asked_s: float, started_s: float) -> None:
        self.digests = digests
        self.asked_s = asked_s
        self.started_s = self.ended_s = started_s
