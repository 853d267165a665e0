"""The device's end against `trunkline serve`'s own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests.runtime.conftest import Adder, normal_output
from tests.server.engines import FakeEngine
from tests.server.running import running
from trunkline.device import StreamClient
from trunkline.errors import StreamError, StreamUnavailableError
from trunkline.server.streams.calls import StreamLimits, Streams
from trunkline.server.streams.offering import Offer
from trunkline.server.work import Limits
from trunkline.store import Store

X = torch.linspace(-1, 1, 96).reshape(2, 3, 4, 4)


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
