"""`trunkline stream`: a server's model, run while it arrives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cli.commands import Run, runner
from tests.device.stream_server import serving
from trunkline.experiments.networks import digits_net
from trunkline.runtime import state_dict_source
from trunkline.store import Architecture, InputSpec, Store

X = torch.linspace(-1, 1, 128).reshape(2, 1, 8, 8)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of one model, and of one that cannot be run."""
    store = Store.open(tmp_path_factory.mktemp("server") / "store", create=True)
    network = Architecture("factory", factory="trunkline.experiments.networks:digits_net")
    torch.manual_seed(0)
    state = digits_net().state_dict()
    for name, given in (("one", InputSpec((1, 8, 8))), ("unsaid", None)):
        store.add(name, state_dict_source(state, architecture=network, input=given))
    store.add("bare", state_dict_source({"w": torch.ones(1)}))
    with serving(store) as (url, _):
        yield url


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in an empty folder with a store of its own: status, output, errors."""
    monkeypatch.setenv("TRUNKLINE_STORE", "store")
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


def test_outputs_are_written(server: str, run: Run) -> None:
    """A batch from a file, the output in another, as the loaded network computes it."""
    save_file({"x": X}, "x.safetensors")
    status, out, _ = run(
        "stream", server, "one", "--input", "x.safetensors", "--outputs", "y.safetensors"
    )
    assert status == 0
    torch.manual_seed(0)
    with torch.inference_mode():
        assert torch.equal(load_file("y.safetensors")["output"], digits_net().eval()(X))
    assert "kept as one in store" in out
    assert "recursion" in out
    assert Store.open("store").names() == ["one"]


def test_the_second_time_nothing_is_sent(server: str, run: Run) -> None:
    """The report as JSON; then all blocks are here, and a picture is drawn all the same."""
    status, out, _ = run("stream", server, "one", "--json", "--deadline-s", "1000")
    report = json.loads(out)
    assert (status, report["held_bytes"], report["late"]) == (0, 0, False)
    assert sum(layer["sent_bytes"] for layer in report["layers"]) == report["bytes"]
    status, out, _ = run("stream", server, "one", "--picture", "p.svg", "--batch", "3")
    assert status == 0
    assert "one: 0 B received" in out
    assert Path("p.svg").stat().st_size > 1000


def test_downloading_first_computes_after_the_last_byte(server: str, run: Run) -> None:
    """`--download-first` is the same client, that waits."""
    report = json.loads(run("stream", server, "one", "--json", "--download-first")[1])
    assert report["first_s"] >= report["last_byte_s"] > 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere", "one"], "is no address"),
        (["URL", "two"], "no model 'two'"),
        (["URL", "../one"], "no model"),
        (["URL", "one", "--name", "a/b"], "model name 'a/b'"),
        (["URL", "one", "--input", "none.safetensors"], "none.safetensors"),
        (["URL", "one", "--deadline-s", "-1"], "--deadline-s"),
        (["URL", "one", "--compute-s", "nan"], "--compute-s"),
        (["URL", "one", "--batch", "0"], "--batch"),
        (["URL", "one", "--device", "abacus"], "abacus"),
        (["URL", "one", "--picture", "p.txt"], "picture"),
        (["URL", "unsaid"], "no input can be generated"),
        (["URL", "bare"], "cannot be run"),
        (["URL", ""], "an empty text"),
        (["http://127.0.0.1:9", "one"], "no answer"),
    ],
)
def test_bad_input_is_one_line(server: str, run: Run, words: list[str], told: str) -> None:
    """Status 2, a reason, and nothing on standard output; no model is named in the store."""
    status, out, err = run("stream", *(server if word == "URL" else word for word in words))
    assert (status, out) == (2, "")
    assert told in err
    assert not Path("store").exists() or Store.open("store").names() == []


def test_a_batch_that_does_not_fit(server: str, run: Run) -> None:
    """The forward's own complaint, in one line."""
    save_file({"x": torch.zeros(2, 3)}, "x.safetensors")
    status, out, err = run("stream", server, "one", "--input", "x.safetensors")
    assert (status, out) == (2, "")
    assert "the forward of model 'one' failed" in err
    assert len(err.splitlines()) == 1
