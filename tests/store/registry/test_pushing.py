"""Pushing models to Debian's docker-registry: what is sent, what is mounted, what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.registries import DockerRegistry, Reply, Request, scripted
from tests.store.registry.conftest import connect
from trunkline.errors import CorruptBlobError, NotInStoreError, RegistryError
from trunkline.store import Store
from trunkline.store.registry import Repository

Get = Callable[..., Repository]


def sent(registry: DockerRegistry, repository: Repository) -> list[tuple[str, str, int]]:
    """The requests to a repository so far that change something."""
    top = f"/v2/{repository.name}/"
    return [
        one for one in registry.requests() if one[0] in ("POST", "PUT") and one[1].startswith(top)
    ]


def test_every_blob_is_sent_once(
    base_and_variant: Store, repository: Get, registry: DockerRegistry
) -> None:
    """A variant in the same repository sends what it does not share; the manifest goes last."""
    target = repository()
    first = base_and_variant.push("base", target, "base")
    assert first.blobs == first.blobs_sent == 4 + 3 + 1  # blocks, 2 files + config, manifest
    assert first.bytes_sent == first.bytes_in
    second = base_and_variant.push("variant", target, "variant")
    # a block, the index of tensors, the config, the manifest
    assert (second.blobs, second.blobs_sent, second.blobs_mounted) == (8, 4, 0)
    assert sent(registry, target)[-1][:2] == ("PUT", f"/v2/{target.name}/manifests/variant")
    for block in base_and_variant.model("variant").blocks:
        there = registry.blob_file(block.digest).read_bytes()
        assert there == base_and_variant.blob_path(block.digest).read_bytes()


def test_pushing_again_moves_nothing(
    base_and_variant: Store, repository: Get, registry: DockerRegistry
) -> None:
    """A tag that means this very manifest is left alone, after one question."""
    target = repository()
    base_and_variant.push("base", target, "m")
    before = registry.requests()
    again = base_and_variant.push("base", target, "m")
    assert again.unchanged
    assert again.bytes_sent == again.blobs_sent == 0
    assert registry.requests()[len(before) :] == [("HEAD", f"/v2/{target.name}/manifests/m", 200)]


def test_a_tag_moves(base_and_variant: Store, other: Store, repository: Get) -> None:
    """A tag comes to mean what was pushed last."""
    target = repository()
    base_and_variant.push("base", target, "m")
    base_and_variant.push("variant", target, "m")
    assert other.pull(target, "m", "m").digest == base_and_variant.model("variant").digest


@pytest.mark.parametrize("how", ["seen by a push", "seen by a pull", "named"])
def test_blobs_are_mounted(
    base_and_variant: Store, other: Store, repository: Get, registry: DockerRegistry, how: str
) -> None:
    """What a neighbour repository holds is taken from there: one that this store has pushed to or
    pulled from, or one that is named."""
    source, target = repository(), repository(f"{repository().name}/second")
    base_and_variant.push("base", source, "base")
    store, named = base_and_variant, None
    if how != "seen by a push":
        other.pull(source, "base", "base")
        store = other
    if how == "named":
        (other.path / ".trunkline" / "origins.json").unlink()
        named = [source.name]
    report = store.push("base", target, "base", neighbours=named)
    assert report.blobs_mounted == 7
    assert (report.blobs_sent, report.bytes_sent + report.bytes_mounted) == (1, report.bytes_in)
    assert {status for _, path, status in sent(registry, target)} == {201}


@pytest.mark.parametrize("content", ["{", "[]", '{"%s": 3}', '{"%s": {"../x": ["y"], "a": 3}}'])
def test_hints_that_are_wrong_cost_nothing(
    base_and_variant: Store, repository: Get, content: str
) -> None:
    """A spoilt list of neighbours, or one that no longer holds, is as good as none."""
    target = repository()
    hints = base_and_variant.path / ".trunkline" / "origins.json"
    hints.write_text(content.replace("%s", target.transport.host))
    assert base_and_variant.push("base", target, "base").blobs_sent == 8


def test_a_neighbour_that_lacks_it(base_and_variant: Store, repository: Get) -> None:
    """A mount that the registry does not make becomes an upload."""
    report = base_and_variant.push("base", repository(), "b", neighbours=["tests/nothing"])
    assert (report.blobs_sent, report.blobs_mounted) == (8, 0)


def test_a_damaged_blob_is_not_sent(base_and_variant: Store, repository: Get) -> None:
    """What is not what its digest says gets no name at the registry either."""
    path = base_and_variant.blob_path(base_and_variant.model("base").blocks[0].digest)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CorruptBlobError, match="trunkline verify"):
        base_and_variant.push("base", repository(), "base")
    path.unlink()
    with pytest.raises(NotInStoreError):
        base_and_variant.push("base", repository(), "base")
    assert repository().manifest_digest("base") is None


def test_an_upload_that_breaks_is_begun_again(base_and_variant: Store) -> None:
    """A registry that loses an upload is asked for a new place, and gets every byte."""
    received: dict[str, bytes] = {}
    lost = [0]

    def answer(request: Request) -> Reply:
        if request.method == "HEAD":
            return Reply(404)
        if request.method == "POST":
            return Reply(202, headers={"Location": f"/v2/models/upload/{len(received)}?state=x"})
        if "/upload/" in request.path:
            lost[0] += 1
            if lost[0] <= 2:
                return Reply(503)
            digest = request.path.rpartition("digest=")[2].replace("%3A", ":")
            assert "state=x&digest=" in request.path
            received[digest] = request.body
        return Reply(201)

    told: list[tuple[int, int]] = []
    with scripted(answer) as server:
        base_and_variant.push(
            "base", connect(server.host), "t", progress=lambda *now: told.append(now)
        )
        assert server.asked[-1].path == "/v2/models/manifests/t"
    assert len(received) == 7
    for digest, content in received.items():
        assert content == base_and_variant.blob_path(digest).read_bytes()
    assert told[-1][0] == told[-1][1] == sum(map(len, received.values()))


@pytest.mark.parametrize("status", [403, 404, 405, 413, 507])
def test_a_registry_that_refuses(base_and_variant: Store, status: int) -> None:
    """A refusal is told with its status, and no manifest is sent."""

    def answer(request: Request) -> Reply:
        if request.method == "HEAD":
            return Reply(404)
        return Reply(status)

    with scripted(answer) as server:
        with pytest.raises(RegistryError, match=f"status {status}"):
            base_and_variant.push("base", connect(server.host), "t")
        assert not [one for one in server.asked if one.method == "PUT"]
