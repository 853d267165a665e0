"""Pulls from a registry that misbehaves: a clear error, a store that verifies, a pull that
goes on from there."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import trunkline
from tests.store.registry.hostile import (
    Ask,
    Registry,
    die,
    garbage,
    hang,
    lie,
    on,
    redirect,
    registry,
    resized,
    status,
)
from trunkline.store import Store, Tensors
from trunkline.store.manifest import MAX_BLOB_BYTES
from trunkline.store.registry import transport

BLOB = "/blobs/"
MANIFEST = "/manifests/"


def tensors(*seeds: int, size: int = 100) -> Tensors:
    """A model of one layer for each seed, from which its values follow."""
    return Tensors(
        [
            (
                f"layer{i}.w",
                "F32",
                (size, size),
                np.random.default_rng(seed).random((size, size)).astype("<f4"),
            )
            for i, seed in enumerate(seeds)
        ]
    )


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store behind the registry: `old`, and `new`, which shares its first two layers."""
    store = Store.open(tmp_path_factory.mktemp("far") / "store", create=True)
    store.add("old", tensors(1, 2, 3))
    store.add("new", tensors(1, 2, 4, 5))
    return store


@pytest.fixture
def there(far: Store) -> Iterator[Registry]:
    """The registry, honest so far."""
    with registry(far) as found:
        yield found


@pytest.fixture
def near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that holds `old`; its pulls have little patience."""
    short = partial(transport.Patience, tries=2, first_s=0.001, connect_s=5.0, read_s=0.5)
    monkeypatch.setattr(transport, "Patience", short)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    store = Store.open(tmp_path / "near", create=True)
    store.add("old", tensors(1, 2, 3))
    return store


def pull(store: Store, reference: str, *words: str) -> Any:
    """`trunkline pull` into a store."""
    return trunkline("pull", reference, "--insecure", "--store", store.path, *words)


def refused(store: Store, reference: str) -> str:
    """The one line of a pull that fails with status 2 and leaves a store that verifies."""
    done = pull(store, reference)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.count("\n") == 1
    assert store.names() == ["old"]
    assert store.verify().ok
    assert not list((store.path / ".trunkline" / "tmp").iterdir())
    return str(done.stderr)


def resumed(store: Store, far: Store, there: Registry) -> None:
    """Once the registry is honest, the same pull fetches what is missing and nothing else."""
    manifest = json.loads(far.blob_path(far.model("new").digest).read_bytes())
    layers = {part["digest"]: part["size"] for part in (manifest["config"], *manifest["layers"])}
    missing, waste = sum(layers.values()) + len(there.manifests["new"]), 0
    for digest, size in layers.items():
        begun = store.path / ".trunkline" / "partial" / digest.removeprefix("sha256:")
        if store.blob_path(digest).exists():
            missing -= size
        elif begun.exists():
            kept = begun.read_bytes()
            if there.blobs[digest].startswith(kept):
                missing -= len(kept)
            else:  # wrong bytes cannot be told before the rest has come
                waste += size - len(kept)
    there.fault = lambda ask: False
    there.begin_count()
    done = pull(store, there.reference("new"))
    assert done.returncode == 0, done.stderr
    assert missing <= there.sent <= missing + waste
    assert store.model("new").digest == far.model("new").digest
    assert store.verify().ok


@pytest.mark.parametrize(
    ("path", "act", "expected"),
    [
        (BLOB, die(0.5), r"ended .*sha256:.* at byte \d+ of \d+|broke at byte \d+ of \d+"),
        (BLOB, lie, r"sent sha256:\w+ as the blob sha256:"),
        (BLOB, resized(+10, True), r"sends more than the \d+ bytes that the manifest says"),
        (BLOB, resized(+10, False), r"sends more than the \d+ bytes that the manifest says"),
        (BLOB, resized(-10, True), r"has \d+ bytes of the blob sha256:\w+, its manifest says"),
        (BLOB, resized(-10, False), r"ended sha256:\w+ at byte \d+ of \d+"),
        (BLOB, status(401), r"/blobs/sha256:\w+: status 401, so it is"),
        (BLOB, status(404), r"/blobs/sha256:\w+: status 404, so it is"),
        (BLOB, status(429, Retry_After="3600"), r"status 429, so it is; it asks to wait 3600 s"),
        (BLOB, status(500), r"/blobs/sha256:\w+: status 500, so it is"),
        (BLOB, redirect("file:///etc/passwd"), "an address that cannot be used"),
        (BLOB, redirect("http://user:secret@127.0.0.1/x"), "an address that cannot be used"),
        (BLOB, redirect("http://[bad/x"), "an address that cannot be used"),
        (BLOB, redirect(""), "an address that cannot be used"),
        (BLOB, redirect("{path}"), "more than 5 redirects"),
        (MANIFEST, redirect("{path}"), "redirects|status 307"),
        (MANIFEST, status(401), r"/manifests/new: status 401"),
        (MANIFEST, status(404), r"/manifests/new: status 404"),
        (MANIFEST, status(429), r"/manifests/new: status 429"),
        (MANIFEST, status(500), r"/manifests/new: status 500"),
        (MANIFEST, die(0.5), "it ended before all bytes were there|was closed"),
        (MANIFEST, lie, "came with content|no JSON"),
        (MANIFEST, garbage(b"\xff\x00<html>"), "no JSON"),
        (MANIFEST, garbage(b"[" * 100_000), "no JSON"),
        (MANIFEST, garbage(b"[1]"), "no JSON object"),
        (MANIFEST, garbage(b"{}"), "no ModelPack manifest"),
        (MANIFEST, garbage(b" " * (4 * 2**20 + 1)), "more than 4194304 bytes"),
    ],
)
def test_faults(
    near: Store,
    far: Store,
    there: Registry,
    path: str,
    act: Callable[[Ask], None],
    expected: str,
) -> None:
    """One line that says where and what, exit status 2, a store that verifies, and a next pull that
    fetches only what is missing."""
    there.fault = on(path, act)
    said = refused(near, there.reference("new"))
    assert there.host in said
    assert re.search(expected, said), said
    assert "secret" not in said
    resumed(near, far, there)


def test_silence(near: Store, far: Store, there: Registry) -> None:
    """A registry that says nothing is given up on."""
    end = threading.Event()
    there.fault = on(BLOB, hang(end))
    try:
        assert "it went silent" in refused(near, there.reference("new"))
    finally:
        end.set()
    resumed(near, far, there)


def test_a_lost_connection_is_mended(near: Store, far: Store, there: Registry) -> None:
    """Connections that break once each cost another request for the rest, and no byte twice."""
    layer = far.model("new").blocks[3]
    there.fault = on(f"{BLOB}{layer.digest}", die(0.5), times=1)
    assert pull(near, there.reference("new")).returncode == 0
    ranges = [headers.get("Range") for headers in there.asks_for(layer.digest)]
    assert ranges == [None, f"bytes={layer.size // 2}-"]
    assert near.verify().ok


def test_credentials_stay(near: Store, far: Store, there: Registry, tmp_path: Path) -> None:
    """A redirect to another host is followed without the credentials, which the first host got."""
    login = base64.b64encode(b"me:secret").decode()
    (tmp_path / "docker").mkdir(exist_ok=True)
    config = {"auths": {there.host: {"auth": login}}}
    (tmp_path / "docker" / "config.json").write_text(json.dumps(config))

    with registry(far) as other:

        def fault(ask: Ask) -> bool:
            if ask.headers.get("Authorization") != f"Basic {login}":
                status(401, WWW_Authenticate='Basic realm="x"')(ask)
                return True
            return on(BLOB, redirect(other.url + "{path}"))(ask)

        there.fault = fault
        done = pull(near, there.reference("new"))
        assert done.returncode == 0, done.stderr
        assert other.asks_for(BLOB)
        assert not any("Authorization" in headers for headers in other.asks_for(""))


def manifest_of(there: Registry) -> dict[str, Any]:
    """The manifest of `new`, to be changed."""
    found: dict[str, Any] = json.loads(there.manifests["new"])
    return found


def _title(path: str) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        manifest["layers"][0]["annotations"]["org.opencontainers.image.title"] = path
        manifest["layers"][0]["annotations"]["org.cncf.model.filepath"] = path

    return change


def _layer(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["layers"][-1].update(fields)


def _twice(manifest: dict[str, Any]) -> None:
    manifest["layers"].append(manifest["layers"][0])


def _two_sizes(manifest: dict[str, Any]) -> None:
    more = {**manifest["layers"][0], "size": 1, "mediaType": manifest["layers"][-1]["mediaType"]}
    manifest["layers"].append(more)


def _cycle(manifest: dict[str, Any]) -> None:
    manifest.pop("layers")
    manifest.pop("artifactType")
    itself = {"mediaType": "application/vnd.oci.image.index.v1+json", "size": 1}
    manifest["manifests"] = [{**itself, "digest": "sha256:" + "0" * 64}]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_title("../x"), "'../x' is absolute or leaves its folder"),
        (_title("/etc/cron.d/x"), "'/etc/cron.d/x' is absolute or leaves its folder"),
        (_title("a/../../x"), "is absolute or leaves its folder"),
        (_title("..\\x"), "is absolute or leaves its folder"),
        (_layer(size=-1), "size -1 is not within"),
        (_layer(size=MAX_BLOB_BYTES + 1), "is not within"),
        (_layer(size=1.5), "no descriptor"),
        (_layer(size=True), "size True is not within"),
        (_layer(size=2**49), "has .* free, and .* are needed; nothing was fetched"),
        (_layer(digest="sha256:../../x"), "is no digest"),
        (_layer(digest="sha512:" + "0" * 128), "is no digest"),
        (_layer(mediaType="application/vnd.oci.image.layer.v1.tar+gzip"), "media type"),
        (_layer(mediaType=7), "no descriptor"),
        (_layer(annotations=[1]), "not an object of texts"),
        (_twice, "two blocks have the same id"),
        (_two_sizes, r"has \d+ bytes in one place and 1 in another"),
        (_cycle, "is an index of 1 manifests and no model"),
        (lambda manifest: manifest.update(layers={}), "'layers' is no list"),
        (lambda manifest: manifest.update(config=None), "config: no descriptor"),
        (lambda manifest: manifest.update(artifactType="x"), "no ModelPack manifest"),
    ],
)
def test_manifests(
    near: Store,
    far: Store,
    there: Registry,
    change: Callable[[dict[str, Any]], None],
    expected: str,
) -> None:
    """A manifest that breaks a rule is refused before any blob is asked for, with the place and
    the rule."""
    manifest = manifest_of(there)
    change(manifest)
    there.put("odd", manifest)
    said = refused(near, there.reference("odd"))
    assert there.host in said or "free, and" in said
    assert re.search(expected, said), said
    assert not there.asks_for(BLOB)
    resumed(near, far, there)


def test_a_million_layers(near: Store, there: Registry) -> None:
    """As many as that fit into the 4 MiB that a manifest may have, if each is `{}`: refused for
    their number."""
    manifest = manifest_of(there)
    manifest["layers"] = []
    raw = json.dumps(manifest).replace('"layers": []', f'"layers": [{",".join(["{}"] * 10**6)}]')
    there.put("million", raw.encode())
    assert "no list of at most 12000 layers" in refused(near, there.reference("million"))
    assert not there.asks_for(BLOB)


def test_a_blob_that_is_no_block(near: Store, there: Registry) -> None:
    """Content that is what its digest says, and no safetensors file, makes no model."""
    manifest = manifest_of(there)
    junk = b"\x80\x04junk" * 50
    digest = "sha256:" + hashlib.sha256(junk).hexdigest()
    there.blobs[digest] = junk
    manifest["layers"][0] |= {"digest": digest, "size": len(junk)}
    there.put("odd", manifest)
    assert "holds no model that can be used" in refused(near, there.reference("odd"))
