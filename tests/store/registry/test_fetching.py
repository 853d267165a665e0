"""One blob on its way into the store: connections that break, and holders that lie."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.registries import Reply, Request, scripted
from tests.store.registry.conftest import connect
from trunkline.errors import RegistryError, StoreError
from trunkline.store import Store
from trunkline.store.digests import digest_of
from trunkline.store.layout import Layout
from trunkline.store.manifest import Layer
from trunkline.store.partial import open_partial
from trunkline.store.registry.fetching import Fetcher, Interrupted
from trunkline.store.registry.repository import Repository

CONTENT = bytes(range(256)) * 1000
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
BLOB = Layer(DIGEST, len(CONTENT), "")


@pytest.fixture
def layout(store: Store) -> Layout:
    """The files of an empty store."""
    return Layout.open(store.path)


def fetch(layout: Layout, *holders: Repository, blob: Layer = BLOB) -> tuple[Fetcher, int]:
    """Fetch the blob; the fetcher, and how many bytes were told as progress."""
    told = [0]

    def arrived(count: int) -> None:
        told[0] += count

    fetcher = Fetcher(layout, arrived)
    with layout.importing():
        fetcher.fetch(blob, holders)
    return fetcher, told[0]


def ranged(request: Request, content: bytes = CONTENT, cut: int | None = None) -> Reply:
    """The answer of a registry that knows ranges."""
    asked = request.headers.get("Range")
    if asked is None:
        return Reply(200, content, cut=cut)
    first = int(asked.removeprefix("bytes=").removesuffix("-"))
    if first >= len(content):
        return Reply(416)
    told = {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
    return Reply(206, content[first:], told, cut=cut)


def test_a_connection_that_breaks_is_taken_up_where_it_broke(layout: Layout) -> None:
    """After each break the rest alone is asked for, and every byte comes once."""
    cuts = [100_000, 50_000, None]
    with scripted(lambda request: ranged(request, cut=cuts.pop(0))) as server:
        fetcher, told = fetch(layout, connect(server.host))
        assert [one.headers.get("Range") for one in server.asked] == [
            None, "bytes=100000-", "bytes=150000-",
        ]  # fmt: skip
    assert layout.read_blob(DIGEST) == CONTENT
    assert fetcher.received == told == len(CONTENT)
    assert list(layout.partials.iterdir()) == []


def test_no_connection_waits_for_the_disk(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one blob is being synced, its turn at the registry is another's: with one request at a
    time, two blobs get to the disk together."""
    other = CONTENT[::-1]
    blobs = {DIGEST: CONTENT, digest_of(other): other}
    together = threading.Barrier(2)

    def sync(fd: int) -> None:
        together.wait(timeout=30)  # breaks, and fails the test, if one has to end first

    monkeypatch.setattr("trunkline.store.partial.sync_data", sync)
    with (
        scripted(lambda request: Reply(200, blobs[request.path.rpartition("/")[2]])) as server,
        layout.importing(),
        ThreadPoolExecutor(2) as pool,
    ):
        fetcher = Fetcher(layout, lambda _: None, requests=1)
        holder = connect(server.host)
        layers = [Layer(digest, len(content), "") for digest, content in blobs.items()]
        list(pool.map(lambda layer: fetcher.fetch(layer, [holder]), layers))
    assert {digest: layout.read_blob(digest) for digest in blobs} == blobs


def test_a_registry_without_ranges_begins_anew(layout: Layout) -> None:
    """A registry that sends the whole blob again is taken at its word."""
    cuts = [100_000, None]
    with scripted(lambda _: Reply(200, CONTENT, cut=cuts.pop(0))) as server:
        fetcher, told = fetch(layout, connect(server.host))
    assert layout.read_blob(DIGEST) == CONTENT
    assert fetcher.received == 100_000 + len(CONTENT)
    assert told == len(CONTENT)


def test_breaks_without_progress_come_to_an_end(layout: Layout) -> None:
    """A registry that never gets further is left after so many tries; what came is kept."""
    with (
        scripted(lambda request: ranged(request, cut=10)) as server,
        pytest.raises(RegistryError, match="broke at byte 30 of 256000"),
    ):
        fetch(layout, connect(server.host, tries=3))
    (left,) = layout.partials.iterdir()
    assert left.read_bytes() == CONTENT[:30]


@pytest.mark.parametrize(
    ("left", "requests"),
    [
        (CONTENT[:1000], ["bytes=1000-"]),
        (b"x" * 1000, ["bytes=1000-", None]),  # a page that never reached the disk
        (CONTENT, []),
        (CONTENT + b"x", [None]),
        (b"x" * len(CONTENT), [None]),
    ],
)
def test_what_an_earlier_pull_left(layout: Layout, left: bytes, requests: list[str | None]) -> None:
    """What is here is hashed again before it counts; if the whole is then wrong, all comes anew."""
    layout.partials.mkdir()
    (layout.partials / DIGEST.removeprefix("sha256:")).write_bytes(left)
    with scripted(ranged) as server:
        fetcher, told = fetch(layout, connect(server.host))
        assert [one.headers.get("Range") for one in server.asked] == requests
        assert fetcher.resumed == (0 if None in requests else len(left))
    assert layout.read_blob(DIGEST) == CONTENT
    assert told == len(CONTENT)


def test_a_blob_of_no_bytes_is_not_asked_for(layout: Layout) -> None:
    """Nothing is moved for nothing."""
    empty = Layer("sha256:" + hashlib.sha256().hexdigest(), 0, "")
    with scripted(ranged) as server:
        fetch(layout, connect(server.host), blob=empty)
        assert server.asked == []
    assert layout.read_blob(empty.digest) == b""


LIES: dict[str, tuple[Callable[[Request], Reply], str]] = {
    "another content": (lambda _: Reply(200, b"x" * len(CONTENT)), "sent sha256:"),
    "more than declared": (lambda _: Reply(200, CONTENT + b"x"), "sends more than the 256000"),
    "less than declared": (lambda _: Reply(200, CONTENT[:9]), "has 9 bytes of the blob"),
    "more, without a length": (
        lambda _: Reply(200, b"3e801\r\n" + CONTENT + b"x\r\n0\r\n\r\n", {
            "Transfer-Encoding": "chunked", "Content-Length": ""}), "sends more than",
    ),
    "not there": (lambda _: Reply(404), "status 404"),
    "a range nobody asked for": (
        lambda _: Reply(206, CONTENT, {"Content-Range": "bytes 0-1/2"}), "status 206|another range",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_holder_that_lies(layout: Layout, lie: str) -> None:
    """Whatever a holder sends, nothing wrong gets the blob's name, and the reason is told; the
    next holder is asked and brings it."""
    answer, says = LIES[lie]
    with scripted(answer) as liar, scripted(ranged) as honest:
        with pytest.raises(RegistryError, match=says):
            fetch(layout, connect(liar.host))
        assert not layout.has(DIGEST, len(CONTENT))
        fetch(layout, connect(liar.host), connect(honest.host))
    assert layout.read_blob(DIGEST) == CONTENT


def test_a_holder_that_is_gone_is_asked_once(layout: Layout) -> None:
    """One that has not got a blob may have the next; one that fails otherwise is left alone."""
    blobs = {digest_of(one): one for one in (b"a", b"bb", b"ccc")}

    def answer(request: Request) -> Reply:
        return Reply(body=blobs[request.path.rpartition("/")[2]])

    with (
        scripted(lambda _: Reply(404)) as poor,
        scripted(lambda _: Reply(403)) as shut,
        scripted(answer) as rich,
    ):
        holders = [connect(one.host) for one in (poor, shut, rich)]
        fetcher = Fetcher(layout, lambda _: None)
        with layout.importing():
            for digest, content in blobs.items():
                fetcher.fetch(Layer(digest, len(content), ""), holders)
        assert [len(one.asked) for one in (poor, shut, rich)] == [3, 1, 3]


def test_a_wrong_range_after_a_break(layout: Layout) -> None:
    """A registry that goes on elsewhere than it was asked to is not believed."""
    replies = [
        Reply(200, CONTENT, cut=1000),
        Reply(206, CONTENT[900:], {"Content-Range": "bytes 900-255999/256000"}),
    ]
    with (
        scripted(lambda _: replies.pop(0)) as server,
        pytest.raises(RegistryError, match="another range"),
    ):
        fetch(layout, connect(server.host))


def test_two_pulls_of_one_blob(layout: Layout) -> None:
    """The second waits for the first and asks for nothing."""
    begun, go = threading.Event(), threading.Event()

    def slowly(request: Request) -> Reply:
        begun.set()
        assert go.wait(10)
        return ranged(request)

    with scripted(slowly) as server:
        pulls = [
            threading.Thread(target=fetch, args=(layout, connect(server.host))) for _ in range(2)
        ]
        pulls[0].start()
        assert begun.wait(10)
        pulls[1].start()
        go.set()
        for one in pulls:
            one.join()
        assert len(server.asked) == 1
    assert layout.read_blob(DIGEST) == CONTENT


def test_a_silent_registry_can_be_left(layout: Layout) -> None:
    """A fetch that waits for bytes ends when it is told to, and keeps what came."""
    silent, arrived = threading.Event(), threading.Event()
    fetcher = Fetcher(layout, lambda count: count > 0 and arrived.set())
    with socket.create_server(("127.0.0.1", 0)) as held, ThreadPoolExecutor(2) as pool:

        def send_some() -> None:
            there, _ = held.accept()
            with there:
                there.recv(4096)
                there.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 256000\r\n\r\n" + CONTENT[:900])
                silent.wait(20)

        sending = pool.submit(send_some)
        holder = connect(f"127.0.0.1:{held.getsockname()[1]}", read_s=20.0)
        with layout.importing():
            fetching = pool.submit(fetcher.fetch, BLOB, [holder])
            assert arrived.wait(20)
            fetcher.stop()
            with pytest.raises(Interrupted):
                fetching.result(10)
        silent.set()
        sending.result()
    (left,) = layout.partials.iterdir()
    assert left.read_bytes() == CONTENT[:900]


def test_a_pull_that_holds_the_blob_can_be_left(layout: Layout) -> None:
    """A fetch that waits for another pull of its blob ends when it is told to."""
    fetcher = Fetcher(layout, lambda _: None)
    with (
        layout.importing(),
        open_partial(layout, DIGEST, len(CONTENT)),
        ThreadPoolExecutor() as pool,
    ):
        fetching = pool.submit(fetcher.fetch, BLOB, [])
        with pytest.raises(TimeoutError):
            fetching.result(0.1)
        fetcher.stop()
        with pytest.raises(Interrupted):
            fetching.result(10)


def test_the_first_error_is_the_one_that_is_told(layout: Layout) -> None:
    """What goes wrong with a request after another thread's error is no news."""
    asked, stopped = threading.Event(), threading.Event()

    def late(_: Request) -> Reply:
        asked.set()
        assert stopped.wait(10)
        return Reply(404)

    fetcher = Fetcher(layout, lambda _: None)
    with scripted(late) as server, layout.importing(), ThreadPoolExecutor() as pool:
        fetching = pool.submit(fetcher.fetch, BLOB, [connect(server.host)])
        assert asked.wait(10)
        fetcher.stop()
        stopped.set()
        with pytest.raises(Interrupted):
            fetching.result(10)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc")
def test_a_lock_that_fails_leaves_no_descriptor(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems know no locks: that is told, and the file is closed."""

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with layout.importing():
        monkeypatch.setattr(fcntl, "flock", none)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(StoreError, match="No locks available"):
                Fetcher(layout, lambda _: None).fetch(BLOB, [])
        assert len(os.listdir("/proc/self/fd")) == before
        monkeypatch.undo()


def test_a_full_disk(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that finds no room says so and how room is made; what came is kept."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with (
        scripted(ranged) as server,
        pytest.raises(StoreError, match=r"No space left on device.*trunkline gc"),
    ):
        fetch(layout, connect(server.host))
