"""Pulling models from Debian's docker-registry: what is fetched, what is kept, what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.registries import DockerRegistry, Reply, Request, scripted
from tests.store.registry.conftest import connect
from trunkline.errors import InputError, RegistryError, StoreError, UntrustedFactoryError
from trunkline.store import Architecture, Store, Tensors
from trunkline.store.digests import digest_of
from trunkline.store.manifest import ARTIFACT_TYPE, CONFIG_TYPE, WEIGHT_TYPE
from trunkline.store.registry import Repository
from trunkline.store.sources import open_tensors
from trunkline.store.trust import require_trust

Get = Callable[..., Repository]


@pytest.fixture
def pushed(base_and_variant: Store, repository: Get) -> Repository:
    """A repository with both models."""
    target = repository()
    for name in ("base", "variant"):
        base_and_variant.push(name, target, name)
    return target


def blob_gets(registry: DockerRegistry, repository: Repository) -> list[str]:
    """The blobs that were fetched from a repository so far."""
    top = f"/v2/{repository.name}/blobs/"
    asked = registry.requests()
    return [
        path.removeprefix(top)
        for method, path, _ in asked
        if (method, path[: len(top)]) == ("GET", top)
    ]


def test_a_model_comes_whole(
    base_and_variant: Store, other: Store, pushed: Repository, contents: Any
) -> None:
    """A pulled model is the pushed one: manifest, blocks, tensors; and its store verifies."""
    report = other.pull(pushed, "base", "base")
    here, there = other.model("base"), base_and_variant.model("base")
    assert here == there
    assert contents(other, here) == contents(base_and_variant, there)
    assert other.verify().ok
    assert report.bytes_fetched == report.bytes_in
    assert report.bytes_saved == report.bytes_resumed == 0
    assert report.blobs == report.blobs_fetched == 4 + 3 + 1  # blocks, 2 files + config, manifest


def test_only_what_is_missing_is_fetched(
    registry: DockerRegistry, other: Store, pushed: Repository
) -> None:
    """A variant that shares three of four blocks costs the fourth, two small files (its index of
    tensors and the config) and the manifest; the registry is asked for nothing else."""
    other.pull(pushed, "base", "base")
    before = len(blob_gets(registry, pushed))
    report = other.pull(pushed, "variant", "variant")
    model = other.model("variant")
    fetched = set(blob_gets(registry, pushed)[before:])
    assert model.blocks[3].digest in fetched
    assert len(fetched) == 3
    assert report.blobs_fetched == 4
    assert set(report.shared) == {"base"}
    sizes = {digest: other.blob_path(digest).stat().st_size for digest in (*fetched, model.digest)}
    assert report.bytes_fetched == sum(sizes.values())
    assert report.bytes_saved == report.bytes_in - report.bytes_fetched


def test_a_second_pull_fetches_the_manifest_alone(
    registry: DockerRegistry, other: Store, pushed: Repository
) -> None:
    """The very same model is found out by its manifest."""
    other.pull(pushed, "base", "base")
    before = blob_gets(registry, pushed)
    again = other.pull(pushed, "base", "base")
    assert again.unchanged
    assert again.blobs_fetched == 0
    assert blob_gets(registry, pushed) == before


def test_a_digest_names_one_manifest(
    base_and_variant: Store, other: Store, pushed: Repository
) -> None:
    """A model is pulled by its manifest's digest, whatever a tag means."""
    digest = base_and_variant.model("variant").digest
    assert other.pull(pushed, digest, "m").digest == digest


def test_a_lost_blob_comes_back(other: Store, pushed: Repository) -> None:
    """A pull of a model that is there heals what it lost."""
    other.pull(pushed, "base", "base")
    other.blob_path(other.model("base").blocks[0].digest).unlink()
    report = other.pull(pushed, "base", "base")
    assert report.blobs_fetched == 1
    assert not report.unchanged
    assert other.verify().ok


def test_a_name_that_is_taken(other: Store, pushed: Repository, registry: DockerRegistry) -> None:
    """Another model gives way only if that is allowed; a refusal comes before any blob."""
    other.pull(pushed, "base", "m")
    before = blob_gets(registry, pushed)
    with pytest.raises(StoreError, match=r"another model is called 'm'.*--replace"):
        other.pull(pushed, "variant", "m")
    assert blob_gets(registry, pushed) == before
    assert other.pull(pushed, "variant", "m", replace=True).replaced
    with pytest.raises(InputError):
        other.pull(pushed, "base", "a b")


def test_what_is_not_there(other: Store, repository: Get) -> None:
    """A tag that does not exist is told with the registry's own words."""
    with pytest.raises(RegistryError, match="status 404, manifest unknown"):
        other.pull(repository(), "nothing", "m")
    assert other.names() == []


def test_pulling_trusts_nobody(store: Store, other: Store, repository: Get) -> None:
    """A factory that came with a pulled model is code that nobody here has named."""
    architecture = Architecture("factory", factory="evil.module:build")
    source = open_tensors(Tensors([("w", "U8", (1,), b"x")]))
    store.add("m", replace(source, architecture=architecture))
    store.push("m", repository(), "m")
    other.pull(repository(), "m", "m")
    found = other.model("m").architecture
    assert found == architecture
    with pytest.raises(UntrustedFactoryError):
        require_trust(found, "m")


def test_an_interrupted_pull_goes_on(other: Store, pushed: Repository) -> None:
    """What an earlier pull had of a blob is not fetched again, and gc removes it where nobody
    goes on."""
    raw = pushed.open_blob(
        digest := json.loads(pushed.manifest("base")[1])["layers"][0]["digest"]
    ).read()
    partials = other.path / ".trunkline" / "partial"
    partials.mkdir()
    left = partials / digest.removeprefix("sha256:")
    left.write_bytes(raw[:1000])
    assert other.gc().temporaries == 1
    assert not left.exists()
    left.write_bytes(raw[:1000])
    report = other.pull(pushed, "base", "base")
    assert report.bytes_resumed == 1000
    assert report.bytes_fetched == report.bytes_in - 1000
    assert list(partials.iterdir()) == []
    assert other.verify().ok


def test_no_room(
    other: Store, pushed: Repository, registry: DockerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk without room for what is missing is told before anything is fetched."""
    usage = shutil.disk_usage(other.path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StoreError, match=r"has 1.00 kB free, and .* are needed"):
        other.pull(pushed, "base", "base")
    assert blob_gets(registry, pushed) == []
    assert other.names() == []


def test_other_holders_are_asked_first(
    base_and_variant: Store, other: Store, pushed: Repository, registry: DockerRegistry,
    repository: Get,
) -> None:  # fmt: skip
    """Blobs come from the first holder that has them, else from the next, at last from where the
    manifest is; a holder that is gone costs nothing but its turn."""
    near, gone = repository("tests/near"), connect("127.0.0.1:1", tries=1)
    base_and_variant.push("base", near, "base")
    before = len(blob_gets(registry, pushed))
    other.pull(pushed, "variant", "variant", holders=lambda _: [gone, near])
    base = {one.digest for one in base_and_variant.model("base").blocks}
    assert base & set(blob_gets(registry, near)) == {
        one.digest for one in other.model("variant").blocks[:3]
    }
    assert not base & set(blob_gets(registry, pushed)[before:])
    assert other.verify().ok


def layer(content: bytes, path: str, **changes: Any) -> dict[str, Any]:
    """A descriptor of a block."""
    return {
        "mediaType": WEIGHT_TYPE,
        "digest": digest_of(content),
        "size": len(content),
        "annotations": {"org.opencontainers.image.title": path},
        **changes,
    }


def artifact(*layers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A manifest."""
    config = {"mediaType": CONFIG_TYPE, "digest": digest_of(b"{}"), "size": 2}
    document = {
        "schemaVersion": 2,
        "artifactType": ARTIFACT_TYPE,
        "config": config,
        "layers": list(layers),
    }
    return {**document, **changes}


REFUSED: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "the manifest is no JSON"),
    "deep JSON": (b"[" * 100_000, "the manifest is no JSON"),
    "a list": (b"[]", "no JSON object"),
    "an index": ({"manifests": [{}, {}]}, "an index of 2 manifests.*by its digest"),
    "an image": (artifact(artifactType=None), "this is no ModelPack manifest"),
    "a path out of its folder": (artifact(layer(b"x", "../../x")), "leaves its folder"),
    "an absolute path": (artifact(layer(b"x", "/etc/passwd")), "is absolute"),
    "a negative size": (artifact(layer(b"x", "a", size=-1)), "size -1 is not within"),
    "a huge size": (artifact(layer(b"x", "a", size=2**60)), "is not within"),
    "no digest": (artifact(layer(b"x", "a", digest="../x")), "is no digest"),
    "many layers": (artifact(*[layer(b"x", "a")] * 12_001), "at most 12000 layers"),
    "two sizes": (
        artifact(layer(b"x", "a"), layer(b"x", "b", size=2)), "1 bytes in one place and 2",
    ),
    "an archive": (
        artifact(layer(b"x", "a", mediaType="application/vnd.cncf.model.weight.v1.tar")),
        "only raw files are read",
    ),
    "a block that is none": (artifact(layer(b"no tensors", "a")), "no model that can be used"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(other: Store, what: str) -> None:
    """A manifest that breaks a rule is told with its place, and the store is as it was."""
    document, says = REFUSED[what]
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    blobs = {digest_of(one): one for one in (b"{}", b"x", b"no tensors")}

    def answer(request: Request) -> Reply:
        if "/manifests/" in request.path:
            return Reply(body=raw)
        found = blobs.get(request.path.rpartition("/")[2])
        return Reply(404) if found is None else Reply(body=found)

    with scripted(answer) as server, pytest.raises((StoreError, RegistryError)) as refused:
        other.pull(connect(server.host), "latest", "m")
    assert refused.match(says)
    assert len(str(refused.value)) < 500
    assert other.names() == []
    assert other.verify().ok
