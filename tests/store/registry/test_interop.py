"""Other people's tools take what was pushed as it is, and give it back unchanged."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.registries import DockerRegistry
from tests.store.lora_folders import save_bert
from trunkline.store import Store
from trunkline.store.registry import Repository

Get = Callable[..., Repository]


@pytest.fixture
def bert(store: Store, repository: Get, tmp_path: Path) -> Repository:
    """A repository with a small BERT of Transformers', tagged `bert`."""
    store.add("bert", save_bert(tmp_path / "bert"))
    target = repository()
    store.push("bert", target, "bert")
    return target


def skopeo(*words: str) -> bytes:
    """What skopeo prints; the test is skipped where there is none."""
    if shutil.which("skopeo") is None:
        pytest.skip("no skopeo here: `make registry` as root installs Debian's")
    done = subprocess.run(["skopeo", *words], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_skopeo_copies_between_registries(
    store: Store, other: Store, bert: Repository, repository: Get
) -> None:
    """A copy that skopeo made has the same digest, and is pulled as the first is."""
    copy = repository(f"{bert.name}/copy")
    words = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    skopeo("copy", "--quiet", *words, f"docker://{bert}:bert", f"docker://{copy}:bert")
    assert copy.manifest("bert") == bert.manifest("bert")
    other.pull(copy, "bert", "bert")
    assert other.model("bert") == store.model("bert")
    assert other.verify().ok


def test_skopeo_copies_into_a_layout_that_is_a_store(
    store: Store, bert: Repository, tmp_path: Path
) -> None:
    """An OCI layout that skopeo wrote is a store with that model."""
    layout = tmp_path / "layout"
    skopeo(
        "copy", "--quiet", "--src-tls-verify=false", f"docker://{bert}:bert", f"oci:{layout}:bert"
    )
    found = Store.open(layout)
    assert found.model("bert") == store.model("bert")
    assert found.verify().ok


def test_skopeo_copies_a_store_into_a_registry(
    store: Store, other: Store, registry: DockerRegistry, repository: Get, tmp_path: Path
) -> None:
    """The store is an OCI layout: skopeo pushes from it, and trunkline pulls that."""
    store.add("bert", save_bert(tmp_path / "bert"))
    target = repository()
    skopeo(
        "copy", "--quiet", "--dest-tls-verify=false", f"oci:{store.path}:bert",
        f"docker://{target}:bert",
    )  # fmt: skip
    other.pull(target, "bert", "bert")
    assert other.model("bert") == store.model("bert")


def test_skopeo_shows_the_manifest(bert: Repository) -> None:
    """skopeo sees the very bytes, and a title for every layer."""
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{bert}:bert")
    assert raw == bert.manifest("bert")[1]
    for layer in json.loads(raw)["layers"]:
        assert layer["annotations"]["org.opencontainers.image.title"]


def test_a_modelpack_client_and_from_pretrained(bert: Repository, tmp_path: Path) -> None:
    """A ModelPack client that nobody here wrote pulls the model, and Transformers reads the folder:
    every tensor is that of the folder that was imported."""
    client = pytest.importorskip("modelpack_client", reason="modelpack-client is not installed")
    from transformers import AutoModel

    folder = tmp_path / "pulled"
    client.ModelPackClient(insecure=True).pull(f"{bert}:bert", str(folder))
    there = AutoModel.from_pretrained(tmp_path / "bert").state_dict()
    here = AutoModel.from_pretrained(folder).state_dict()
    assert here.keys() == there.keys()
    assert all(torch.equal(here[name], there[name]) for name in here)
