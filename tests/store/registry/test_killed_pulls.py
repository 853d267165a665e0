"""What a kill or a full disk may do to a pull: nothing that lasts, and no byte twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import trunkline
from tests.store.registry.hostile import Registry, registry
from tests.store.registry.test_hostile import tensors
from trunkline.store import Store

LAYERS = 30

KILLS = int(os.environ.get("TRUNKLINE_KILLS", "4"))


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with a model of 30 layers of 160 kB."""
    store = Store.open(tmp_path_factory.mktemp("far") / "store", create=True)
    store.add("m", tensors(*range(LAYERS), size=200))
    return store


@pytest.fixture
def there(far: Store) -> Iterator[Registry]:
    """The store behind a registry."""
    with registry(far) as found:
        yield found


def begin(reference: str, path: Path) -> subprocess.Popen[bytes]:
    """`trunkline pull` as its own process."""
    command = [sys.executable, "-m", "trunkline", "pull", reference, "--insecure"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [*command, "--store", str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def kept(there: Registry, path: Path) -> int:
    """The bytes of the model's blobs, whole and begun, that a store holds; its manifest, which is
    asked for each time, is none of them."""
    folders = (path / "blobs" / "sha256", path / ".trunkline" / "partial")
    return sum(
        one.stat().st_size
        for folder in folders
        for one in folder.glob("*")
        if f"sha256:{one.name}" in there.blobs
    )


def test_killed_pulls(far: Store, there: Registry, tmp_path: Path) -> None:
    """Each pull is killed when the registry has sent a drawn number of bytes: the store verifies,
    and the next pull fetches what is missing, byte for byte."""
    draw = random.Random(7)
    model = far.model("m")
    whole = sum(map(len, there.blobs.values())) + len(there.manifests["m"])
    halfway = 0
    for kill in range(KILLS):
        path = tmp_path / str(kill)
        at = draw.randrange(1, whole)
        there.begin_count()
        process = begin(there.reference("m"), path)

        def progress(process: subprocess.Popen[bytes] = process, at: int = at) -> None:
            if there.sent >= at:
                process.send_signal(signal.SIGKILL)

        there.progress = progress
        process.communicate(timeout=120)
        there.progress = lambda: None
        store = Store.open(path, create=True)
        assert store.verify().ok
        assert process.returncode == -signal.SIGKILL or store.names() == ["m"]
        before = kept(there, path)
        halfway += 0 < before < whole - len(there.manifests["m"])
        there.begin_count()
        done = trunkline("pull", there.reference("m"), "--insecure", "--store", path)
        assert done.returncode == 0, done.stderr
        assert there.sent == whole - before
        assert Store.open(path).model("m").digest == model.digest
        assert store.verify().ok
    assert halfway >= KILLS // 2  # or the kills tell nothing


def test_a_disk_without_room(there: Registry, small_disk: Path) -> None:
    """What cannot fit is refused before anything is fetched."""
    path = small_disk / "store"
    done = trunkline("pull", there.reference("m"), "--insecure", "--store", path)
    assert done.returncode == 2
    assert "has 1.0" in done.stderr.replace(",", "")
    assert "nothing was fetched" in done.stderr
    assert not any("/blobs/" in path for _, path, _ in there.asked)


def test_a_disk_that_fills(there: Registry, small_disk: Path) -> None:
    """A disk that somebody else fills meanwhile ends a pull in one line; the store verifies, and
    once there is room the pull goes on from what is there."""
    path = small_disk / "store"
    Store.open(path, create=True)
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    filler = small_disk / "filler"

    def fill() -> None:
        if there.sent > 10**6 and not filler.exists():
            with filler.open("wb") as file:
                try:
                    while True:
                        file.write(bytes(2**16))
                        file.flush()
                except OSError:
                    pass

    there.progress = fill
    done = trunkline("pull", there.reference("m"), "--insecure", "--store", path)
    there.progress = lambda: None
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
    assert "`trunkline gc` frees" in done.stderr
    assert Store.open(path).verify().ok
    filler.unlink()
    before = kept(there, path)
    there.begin_count()
    assert before > 0
    done = trunkline("pull", there.reference("m"), "--insecure", "--store", path)
    assert done.returncode == 0, done.stderr
    whole = sum(map(len, there.blobs.values())) + len(there.manifests["m"])
    assert there.sent == whole - before
    assert Store.open(path).verify().ok
