"""`trunkline push` and `trunkline pull` on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Run, runner
from tests.registries import DockerRegistry, Reply, docker_registry, scripted
from trunkline.store import Architecture, InputSpec, Store

NETWORK = Architecture("factory", factory="trunkline.experiments.networks:digits_net")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """A docker-registry without passwords."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command against a store of its own: exit status, output, errors."""
    monkeypatch.setenv("TRUNKLINE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


@pytest.fixture
def digits(tmp_path: Path) -> None:
    """Two models in the store that share all but their head."""
    import torch

    from trunkline.experiments.networks import digits_net
    from trunkline.runtime import state_dict_source

    store = Store.open(tmp_path / "store", create=True)
    torch.manual_seed(0)
    first = digits_net().state_dict()
    second = {**first, "fc.weight": torch.randn_like(first["fc.weight"])}
    for name, state in (("one", first), ("two", second)):
        store.add(name, state_dict_source(state, architecture=NETWORK, input=InputSpec((1, 8, 8))))


@pytest.mark.usefixtures("digits")
def test_there_and_back(run: Run, registry: DockerRegistry) -> None:
    """What is pushed under its names is pulled under them; the reports say what moved, for people
    and for machines, and the pulled models answer as the first ones."""
    place = f"oci://{registry.host}/there"
    status, out, err = run("push", "one", "two", place, "--insecure")
    assert (status, err) == (0, "")
    assert f"to {place}:one" in out.replace("\n ", "")
    again = json.loads(run("push", "one", place, "--insecure", "--json")[1])["models"]
    assert [(one["name"], one["unchanged"], one["bytes_sent"]) for one in again] == [
        ("one", True, 0)
    ]
    status, out, err = run("pull", f"{place}:one", "--insecure", "--store", "s")
    assert (status, err) == (0, "")
    assert "0 B were here already" in out
    status, out, _ = run("pull", f"{place}:two", "--insecure", "--store", "s", "--json")
    report = json.loads(out)
    assert status == 0
    assert report["name"] == "two"
    assert report["notes"] == []
    assert report["bytes_saved"] == report["bytes_in"] - report["bytes_fetched"] > 0
    assert report["bytes_saved"] > report["shared"]["one"] > 0.5 * report["bytes_in"]
    assert "nothing to fetch" in run("pull", f"{place}:two", "--insecure", "--store", "s")[1]
    assert run("verify", "--store", "s")[0] == 0
    import torch

    from trunkline.runtime import Runtime

    pixels = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with Runtime(Store.open("store")) as there, Runtime(Store.open("s")) as here:
        for name in ("one", "two"):
            here.switch(name)
            there.switch(name)
            assert torch.equal(here.infer(name, pixels), there.infer(name, pixels))


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["push", "one", "two", "oci://h/r:tag"], "can name one model"),
        (["push", "one", "oci://h/r@sha256:" + "0" * 64], "a push takes a tag"),
        (["push", "three", "oci://h/r:tag"], "no model 'three'"),
        (["push", "one", "h/r:tag"], "write oci://HOST/REPO:TAG"),
        (["push", "one", "oci://h/r", "--mount-from", "../x"], "is refused"),
        (["push", "one", "oci://ada:lovelace@h/r"], "no user and no password"),
        (["pull", "docker://h/r:tag"], "write oci://HOST/REPO:TAG"),
        (["pull", "oci://h/r:tag", "--name", "a/b"], "model name 'a/b'"),
        (["pull", "oci://127.0.0.1:1/r:tag"], "no answer from 127.0.0.1:1: Connection refused"),
        (["pull", "oci://none.invalid/r:tag"], "no host of that name"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(run: Run, words: list[str], says: str) -> None:
    """One line that says what is wrong, status 2, and no password in it."""
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert "lovelace" not in err


@pytest.mark.parametrize(
    ("reply", "says"), [(Reply(404), "status 404"), (Reply(200, b"{}"), "no ModelPack manifest")]
)
def test_a_first_pull_that_fails_leaves_no_store(
    run: Run, tmp_path: Path, reply: Reply, says: str
) -> None:
    """Where nothing could be pulled, no empty store is made."""
    with scripted(lambda _: reply) as server:
        status, out, err = run("pull", f"oci://{server.host}/r:tag", "--insecure")
    assert (status, out) == (2, "")
    assert says in err
    assert not (tmp_path / "store").exists()


def test_a_registry_that_fails(run: Run, tmp_path: Path) -> None:
    """A registry's refusal is one line; its control characters don't reach the terminal."""
    said = b'{"errors": [{"code": "DENIED", "message": "\\u001b[31mgo\\naway"}]}'
    with scripted(lambda _: Reply(404, said)) as server:
        status, out, err = run("pull", f"oci://{server.host}/r:tag", "--insecure")
    assert (status, out) == (2, "")
    assert "status 404" in err
    assert "go away" in err
    assert "\x1b" not in err
    assert err.count("\n") == 1


def test_a_pulled_factory_is_told_to_be_code(
    run: Run, registry: DockerRegistry, tmp_path: Path
) -> None:
    """Whoever pulls a model with a factory is told that it runs code, and how to trust it."""
    from dataclasses import replace

    from trunkline.store import Tensors
    from trunkline.store.sources import open_tensors

    store = Store.open(tmp_path / "store", create=True)
    source = open_tensors(Tensors([("w", "U8", (1,), b"x")]))
    store.add("m", replace(source, architecture=Architecture("factory", factory="evil:build")))
    place = f"oci://{registry.host}/evil:m"
    assert run("push", "m", place, "--insecure")[0] == 0
    status, out, _ = run("pull", place, "--insecure", "--store", "s")
    assert status == 0
    assert "trunkline trust evil:build" in " ".join(out.split())
