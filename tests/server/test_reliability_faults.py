"""Blobs and models that are at fault: theirs is refused and says why, the others are served."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.server.odd_models import NAN, RAISES, SLEEPS, SPINS
from tests.server.processes import Process, Site, serving, until
from trunkline.errors import StoreError

STUCK_S = 2.5
"""Longer than the time between two looks at the store."""


def flip(path: Path) -> None:
    """Change the last byte, which is a weight's."""
    whole = path.read_bytes()
    path.unlink()  # files of a store may not be written to
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))


def flip_in_place(path: Path) -> None:
    """The same, in the same file."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))


def truncate(path: Path) -> None:
    """Cut the last byte off."""
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size - 1)


def directory(path: Path) -> None:
    """A directory in its place."""
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    """A pipe that nobody writes to."""
    path.unlink()
    os.mkfifo(path)


def loop(path: Path) -> None:
    """A link to itself, which cannot be opened."""
    path.unlink()
    path.symlink_to(path)


FAULTS: dict[str, Callable[[Path], None]] = {
    "flipped": flip,
    "flipped-in-place": flip_in_place,
    "truncated": truncate,
    "removed": Path.unlink,
    "directory": directory,
    "pipe": pipe,
    "loop": loop,
}


@dataclass(frozen=True)
class Blob:
    """The blob of a model's only block, as it should be."""

    digest: str
    path: Path
    content: bytes


def mend(blob: Blob) -> None:
    """Put the right blob into its place, whatever is there."""
    if blob.path.is_dir():
        blob.path.rmdir()
    fresh = blob.path.with_name("fresh")
    fresh.write_bytes(blob.content)
    fresh.rename(blob.path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Models of 80 bytes."""
    made = Site(tmp_path_factory.mktemp("site"))
    for name in ("a", "b", "early-flipped", "early-truncated", *FAULTS):
        made.add(name, "obedient")
    return made


@pytest.fixture(scope="module")
def blobs(site: Site) -> dict[str, Blob]:
    """Every model's."""
    found = {}
    for name in site.weights:
        (block,) = site.store.model(name).blocks
        path = site.store.blob_path(block.digest)
        found[name] = Blob(block.digest, path, path.read_bytes())
    return found


@pytest.fixture(scope="module")
def server(site: Site, blobs: dict[str, Blob]) -> Iterator[Process]:
    """A server with memory for two models, of a store in which two blobs are damaged. Whatever
    happened to it, and though a forward may hang in it for ever, it ends when it is told to."""
    flip(blobs["early-flipped"].path)
    truncate(blobs["early-truncated"].path)
    with serving(site, "--memory=200", f"--stuck-s={STUCK_S}") as found:
        yield found
        assert found.stop() == 0


def refused(server: Process, model: str, blob: Blob) -> bool:
    """Whether a model is refused with the digest named."""
    status, message = server.ask(model)
    said = f"model {model!r} cannot be served: "
    return (
        status == 503
        and message.startswith(said)
        and blob.digest.removeprefix("sha256:") in message
    )


@pytest.mark.parametrize("model", ["early-flipped", "early-truncated"])
def test_a_blob_that_was_damaged_before_the_start(
    server: Process, blobs: dict[str, Blob], model: str
) -> None:
    """The server starts; the model is refused with the digest named, the others serve; the model
    too, once the blob is whole."""
    assert refused(server, model, blobs[model])
    assert server.serves("a")
    mend(blobs[model])
    until(lambda: server.serves(model))


def test_blobs_that_become_unreadable(server: Process, blobs: dict[str, Blob]) -> None:
    """Flipped, cut, removed, in place of it a directory, a pipe, a link to itself: each model is
    refused with the digest named, the others serve, and it serves again with its blob back."""
    assert all(server.serves(name) for name in FAULTS)  # so every blob was found good once
    assert all(server.serves(name) for name in "ab")  # there is memory for these only
    for name, spoil in FAULTS.items():
        spoil(blobs[name].path)
    assert [name for name in FAULTS if not refused(server, name, blobs[name])] == []
    assert server.serves("a")
    index = server.http.request("POST", f"{server.url}/v2/repository/index").json()
    states = {one["name"]: (one["state"], blobs[one["name"]].digest in one["reason"])
              for one in index}  # fmt: skip
    assert {states[name] for name in FAULTS} == {("UNAVAILABLE", True)}
    for name in FAULTS:
        mend(blobs[name])
    for name in FAULTS:
        until(lambda name=name: server.serves(name))  # type: ignore[misc]


def test_a_forward_that_raises_or_returns_nan(server: Process) -> None:
    """500 and what went wrong, for that request alone; the metrics count it."""
    before = server.metrics()
    assert server.ask("b", (RAISES, 0, 0, 0)) == (
        500,
        "the forward of model 'b' failed: ZeroDivisionError: as it was told",
    )
    assert server.ask("b", (NAN, 0, 0, 0)) == (500, "model 'b' returned NaN in its output 'output'")
    assert server.serves("b")
    after = server.metrics()
    for key, more in {
        "requests_refused_total failed": 2,
        "batches_failed_total b": 2,
        "requests_answered_total in_time": 1,
        "requests_received_total": 3,
    }.items():
        assert after[key] - before.get(key, 0) == more, key


@pytest.mark.parametrize(("how", "stays"), [(SPINS, False), (SLEEPS, True)])
def test_a_forward_that_hangs(server: Process, site: Site, how: float, stays: bool) -> None:
    """It is given up on and its requests are told so, one with a deadline before that at its
    deadline; other models serve then, also one that was imported meanwhile; and so does its own
    model, if the forward could be ended."""
    answers: dict[float, tuple[int, str]] = {}

    def hang(timeout_s: float) -> None:
        answers[timeout_s] = server.ask("b", (how, 0, 0, 0), timeout_s)

    threads = [threading.Thread(target=hang, args=(30,))]
    threads[0].start()
    until(lambda: server.metrics()["computing"] == 1)
    threads.append(threading.Thread(target=hang, args=(0.5,)))
    threads[1].start()
    new = f"new{how:g}"
    site.add(new, "obedient")
    for thread in threads:
        thread.join(60)
    assert answers[30][0] == 503
    assert "given up on" in answers[30][1]
    assert answers[0.5][0] in (503, 504)
    assert "deadline" in answers[0.5][1]
    until(lambda: server.serves("a"))
    until(lambda: server.ask(new)[0] == 200)
    if stays:
        assert server.metrics()["stuck_forwards"] == 1
        status, message = server.ask("b")
        assert (status, "did not end within" in message) == (503, True)
    else:
        until(lambda: server.serves("b"))
        assert server.metrics()["stuck_forwards"] == 0
    received, answered, refused_, in_flight = server.balance()
    assert (in_flight, received) == (0, answered + refused_)


def test_a_full_disk(small_disk: Path) -> None:
    """Where store, log, configuration and temporary files have no byte left, models load and
    answer; an import fails and says why; with room again it succeeds, and is served."""
    site = Site(small_disk)
    for name in "ab":
        site.add(name, "obedient")
    fill = small_disk / "fill"
    with fill.open("wb", buffering=0) as file, suppress(OSError):  # no space left
        while file.write(bytes(4096)):
            pass
    site.environment["TMPDIR"] = str(small_disk)
    with serving(site, "--memory=100", cwd=small_disk) as server:
        assert all(server.serves(name) for name in "abab")
        assert server.ask("b", (RAISES, 0, 0, 0))[0] == 500  # has a lot to log
        with pytest.raises(StoreError, match="No space left on device"):
            site.add("c", "obedient")
        assert all(server.serves(name) for name in "abab")
        fill.unlink()
        site.add("c", "obedient")
        until(lambda: server.ask("c")[0] == 200)
        assert all(server.serves(name) for name in "abc")
        assert server.stop() == 0
