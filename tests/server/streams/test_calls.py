"""Streams over HTTP, from a real server on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import urllib3
from safetensors.numpy import load

from tests.server.distribution.store_servers import layered, make_store
from tests.server.engines import FakeEngine
from tests.server.running import Running, running
from tests.server.streams.streaming import stock, tensors, whole_file
from trunkline.server.streams.calls import Streams
from trunkline.server.streams.offering import Offer
from trunkline.server.streams.transfers import StreamLimits
from trunkline.server.work import Limits, ServerSettings
from trunkline.store import Architecture, Source, Store
from trunkline.store.sources import open_tensors


@dataclass
class Site:
    """A server that streams, and a client's pool of connections to it."""

    store: Store
    streams: Streams
    server: Running
    http: urllib3.PoolManager

    def call(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        """One call, never retried."""
        url = self.server.url + path
        return self.http.request(method, url, retries=False, timeout=30, **more)

    def open(self, model: str = "one", **wish: Any) -> dict[str, Any]:
        """A stream, opened."""
        answer = self.call("POST", f"/v2/models/{model}/stream", json=wish)
        assert answer.status == 201, answer.data
        found: dict[str, Any] = answer.json()
        assert answer.headers["Location"] == f"/v2/streams/{found['id']}"
        return found

    def get(self, opened: dict[str, Any], **headers: str) -> urllib3.BaseHTTPResponse:
        """What a stream sends."""
        return self.call("GET", f"/v2/streams/{opened['id']}", headers=headers)

    def connect(self, opened: dict[str, Any]) -> socket.socket:
        """A connection of one's own over which a stream was asked for."""
        found = socket.socket()
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        found.settimeout(30)
        found.connect(("127.0.0.1", self.server.port))
        found.sendall(
            f"GET /v2/streams/{opened['id']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        return found


def site_of(store: Store, **limits: Any) -> Iterator[Site]:
    """A server of a store, until it is closed."""
    streams = Streams(Offer(store), Limits(), StreamLimits(**limits))
    with running(FakeEngine({}), streams=streams) as server, urllib3.PoolManager(maxsize=8) as http:
        yield Site(store, streams, server, http)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two small models that share all blocks but the last, as fast as it goes."""
    yield from site_of(stock(tmp_path_factory.mktemp("site") / "store"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A model of 24 MB in three blocks."""
    path = tmp_path_factory.mktemp("large") / "store"
    yield from site_of(make_store(path, {"big": layered(1, 2, 3, size=1414)}))


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_whole_stream(site: Site) -> None:
    """A stream is opened, read and ended: the bytes are those of the layout, safetensors loads
    them, and the answer tells each block's place."""
    opened = site.open()
    answer = site.get(opened)
    assert (answer.status, answer.headers["ETag"]) == (200, opened["etag"])
    assert int(answer.headers["Content-Length"]) == len(answer.data) == opened["bytes"]
    found = load(answer.data)
    for name, value in whole_file(site.store, "one").items():
        np.testing.assert_array_equal(found[name], value)
    for one in opened["blocks"]:
        file = site.store.blob_path(one["digest"]).read_bytes()
        assert len(file) == one["size"]
        assert file.endswith(answer.data[one["begin"] : one["end"]])
        assert not one["held"]
    assert (opened["rate_bytes_per_s"], opened["admitted"]) == (None, False)
    assert site.call("DELETE", f"/v2/streams/{opened['id']}").status == 204
    assert site.get(opened).status == 404


def test_documents(site: Site) -> None:
    """The manifest and all that it names and that is no block come with the answer, each with the
    content of its digest; what is held does not."""
    opened = site.open()
    documents = opened["documents"]
    for digest, content in documents.items():
        raw = base64.b64decode(content)
        assert "sha256:" + hashlib.sha256(raw).hexdigest() == digest
    manifest = json.loads(base64.b64decode(documents[opened["manifest"]]))
    named = [manifest["config"], *manifest["layers"]]
    blocks = {one["digest"] for one in opened["blocks"]}
    assert {one["digest"] for one in named} == (documents.keys() | blocks) - {opened["manifest"]}
    again = site.open(have=[opened["manifest"]])
    assert documents.keys() - again["documents"].keys() == {opened["manifest"]}
    for one in (opened, again):
        site.call("DELETE", f"/v2/streams/{one['id']}")


def test_only_what_is_lacking(site: Site) -> None:
    """Who holds the other model's blocks gets the last one."""
    have = [block.digest for block in site.store.model("two").blocks]
    opened = site.open(have=have)
    assert [one["held"] for one in opened["blocks"]] == [True, True, True, False]
    assert all(("begin" in one) != one["held"] for one in opened["blocks"])
    assert list(load(site.get(opened).data)) == ["b.weight"]


def test_resume_in_every_region(site: Site) -> None:
    """From any byte on (in the length, the header, a tensor, at each border, the last one) the rest
    comes with 206, also over a transfer that was opened anew."""
    whole = site.get(site.open()).data
    opened = site.open()
    borders = [one["begin"] for one in opened["blocks"]] + [len(whole)]
    places = {
        0,
        1,
        7,
        8,
        9,
        100,
        *borders,
        *(one - 1 for one in borders),
        *(b + 1 for b in borders),
    }
    for place in sorted(places):
        if place >= len(whole):
            continue
        headers = {"Range": f"bytes={place}-", "If-Range": opened["etag"]}
        answer = site.get(opened, **headers)
        assert (answer.status, answer.data) == (206, whole[place:])
        assert answer.headers["Content-Range"] == f"bytes {place}-{len(whole) - 1}/{len(whole)}"
    assert site.get(opened, Range="bytes=10-19").data == whole[10:20]
    assert site.get(opened, Range="bytes=-5").data == whole[-5:]


def test_ranges_that_cannot_be_had(site: Site) -> None:
    """Behind the end: 416 with the length. Another ETag, another unit: the whole."""
    opened = site.open()
    answer = site.get(opened, Range=f"bytes={opened['bytes']}-")
    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{opened['bytes']}"
    assert list(answer.json()) == ["error"]
    for headers in ({"Range": "bytes=5-", "If-Range": '"other"'}, {"Range": "lines=1-2"}):
        answer = site.get(opened, **headers)
        assert (answer.status, len(answer.data)) == (200, opened["bytes"])


def test_cut_and_resumed(large: Site) -> None:
    """A connection that breaks within a tensor frees its place, and the rest comes over another."""
    opened = large.open("big")
    with large.connect(opened) as connection:
        got = connection.recv(1000)
        while len(got) < 3_000_000:
            got += connection.recv(2**16)
    until(lambda: large.streams.transfers.sending == 0)
    body = got.partition(b"\r\n\r\n")[2]
    rest = large.get(opened, **{"Range": f"bytes={len(body)}-", "If-Range": opened["etag"]})
    assert rest.status == 206
    found = load(body + rest.data)
    for name, value in whole_file(large.store, "big").items():
        np.testing.assert_array_equal(found[name], value)


def test_an_order_that_becomes_known_between_two_connections(tmp_path: Path) -> None:
    """A transfer keeps the order with which it began, byte for byte; the next one has the new one,
    another validator, and the planner's layers in that order, whatever the manifest's is."""
    store = Store.open(tmp_path / "store", create=True)
    architecture = Architecture("factory", factory="nets:net")
    store.add("one", Source(open_tensors(tensors(1)).tensors, architecture))
    for site in site_of(store, link_bytes_per_s=1e9):
        each = [1.0, 2.0, 3.0, 4.0]  # z, a, m, b
        opened = site.open(compute_s=each)
        whole = site.get(opened).data
        digests = [one["digest"] for one in opened["blocks"]]
        assert store.orders.note(store.model("one"), [digests[3], digests[0]])
        half = len(whole) // 2
        rest = site.get(opened, Range=f"bytes={half}-", **{"If-Range": opened["etag"]})
        assert (rest.status, rest.data) == (206, whole[half:])
        again = site.open(compute_s=each)
        assert again["etag"] != opened["etag"]
        found = [one["digest"] for one in again["blocks"]]
        assert found == [digests[3], digests[0], digests[1], digests[2]]
        content = site.get(again).data
        values = load(content)
        for name, value in whole_file(store, "one").items():
            np.testing.assert_array_equal(values[name], value)
        last = again["blocks"][0]
        file = store.blob_path(digests[3]).read_bytes()
        assert file.endswith(content[last["begin"] : last["end"]])
        for one, seconds in ((opened, (1.0, 2.0, 3.0, 4.0)), (again, (4.0, 1.0, 2.0, 3.0))):
            progress = site.streams.transfers.get(one["id"]).progress
            progress.return_to(0, 0.0)
            assert progress.demand(0.0, True).compute_s == seconds


def test_resume_after_a_restart(tmp_path: Path) -> None:
    """A server that was started again knows no stream; opened anew, the same bytes come under the
    same ETag, from where they broke off."""
    store = stock(tmp_path / "store")
    for site in site_of(store):
        before = site.open()
        whole = site.get(before).data
    for site in site_of(store):
        assert site.get(before).status == 404
        opened = site.open()
        rest = site.get(opened, **{"Range": "bytes=500-", "If-Range": before["etag"]})
        assert (rest.status, rest.data) == (206, whole[500:])


def test_slow_reader_holds_a_fixed_buffer(large: Site) -> None:
    """Of 24 MB for a client that reads nothing, the server takes no more from its files than the
    sockets' buffers and its own hold; another client over the same transfer takes its place."""
    opened = large.open("big")
    transfer = large.streams.transfers.get(opened["id"])
    positions: list[int] = []

    def stands() -> bool:
        positions.append(transfer.progress.position)
        time.sleep(0.05)
        return positions[-1] > 0 and positions[-4:] == [positions[-1]] * 4

    with large.connect(opened):
        until(stands)
        assert positions[-1] < 8e6  # 4 MB is what Linux gives a socket to send
        assert len(large.get(opened).data) == opened["bytes"]
    until(lambda: large.streams.transfers.sending == 0)


def test_ended_while_it_is_read(large: Site, caplog: pytest.LogCaptureFixture) -> None:
    """DELETE cuts off who reads: less comes than was promised. Clients may do that as often as they
    like, so nothing is logged."""
    opened = large.open("big")
    with large.connect(opened) as connection:
        got = len(connection.recv(1000))
        assert large.call("DELETE", f"/v2/streams/{opened['id']}").status == 204
        with suppress(ConnectionResetError):
            while piece := connection.recv(2**20):
                got += len(piece)
    assert got < opened["bytes"]
    until(lambda: large.streams.transfers.sending == 0)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("status", "method", "path", "body"),
    [
        (404, "POST", "/v2/models/none/stream", b""),
        (404, "POST", "/v2/models/../stream", b""),
        (404, "GET", "/v2/streams/none", b""),
        (404, "GET", "/v2/streams/", b""),
        (404, "DELETE", "/v2/streams/none", b""),
        (405, "GET", "/v2/models/one/stream", b""),
        (405, "POST", "/v2/streams/none", b""),
        (400, "POST", "/v2/models/one/stream", b'{"have": 1}'),
        (400, "POST", "/v2/models/one/stream", b"\x00"),
        (400, "POST", "/v2/models/one/stream", b'{"compute_s": [1]}'),
        (400, "POST", "/v2/models/one/stream", b'{"deadline_s": -1}'),
        (413, "POST", "/v2/models/one/stream", b" " * (8 * 2**20 + 1)),
    ],
)
def test_bad_calls(site: Site, status: int, method: str, path: str, body: bytes) -> None:
    """Each is refused with its status and `{"error": ...}`."""
    answer = site.call(method, path, body=body)
    assert answer.status == status, answer.data
    assert list(answer.json()) == ["error"]


def test_head(site: Site) -> None:
    """HEAD tells length and ETag, and sends nothing."""
    opened = site.open()
    answer = site.call("HEAD", f"/v2/streams/{opened['id']}")
    assert (answer.status, answer.data) == (200, b"")
    assert int(answer.headers["Content-Length"]) == opened["bytes"]


def test_refused_and_free(tmp_path: Path) -> None:
    """Over a link a second deadline that does not fit is refused: 503, a reason and Retry-After;
    when the first has gone it is let in. As many as allowed are open."""
    store = make_store(tmp_path / "store", {"big": layered(1, 2, 3, size=300)})
    link = 2e6  # 1.08 MB: 0.54 s
    for site in site_of(store, link_bytes_per_s=link, most=2):
        wish = {"deadline_s": 0.8, "compute_s": 0.03}
        opened = site.open("big", **wish)
        assert (opened["rate_bytes_per_s"], opened["admitted"]) == (pytest.approx(link), True)
        answer = site.call("POST", "/v2/models/big/stream", json=wish)
        assert (answer.status, answer.json()["reason"]) == (503, "deadline")
        assert int(answer.headers["Retry-After"]) >= 1
        free = site.open("big")
        assert free["rate_bytes_per_s"] < 0.5 * link
        answer = site.call("POST", "/v2/models/big/stream")
        assert (answer.status, answer.json()["reason"]) == (503, "queue_full")
        for one in (opened, free):
            site.call("DELETE", f"/v2/streams/{one['id']}")
        paced = site.open("big", **wish)
        assert len(site.get(paced).data) == paced["bytes"]
        counts = site.streams.transfers.counts
        assert (counts.opened, counts.refused_deadline, counts.refused_full) == (3, 1, 1)
        assert counts.bytes == paced["bytes"]


def test_eight_at_once(tmp_path: Path) -> None:
    """Eight clients over one link all get their bytes, though the pace of each falls while it waits
    for its turn."""
    store = make_store(tmp_path / "store", {"big": layered(1, 2, 3, size=300)})
    for site in site_of(store, link_bytes_per_s=16e6):  # 8.6 MB: 0.54 s
        opened = [site.open("big") for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            found = [one.data for one in pool.map(site.get, opened)]
        assert len(set(found)) == 1
        assert load(found[0]).keys() == whole_file(store, "big").keys()


def test_a_damaged_model(tmp_path: Path) -> None:
    """A model whose block is gone, or was cut, is refused and named; the other one is streamed."""
    store = stock(tmp_path / "store")
    last = store.model("one").blocks[-1].digest
    for site in site_of(store):
        opened = site.open()
        store.blob_path(last).unlink()
        answer = site.call("POST", "/v2/models/one/stream")
        assert (answer.status, answer.json()["reason"]) == (503, "unavailable")
        assert last.removeprefix("sha256:")[:12] in answer.json()["error"]
        with pytest.raises(urllib3.exceptions.HTTPError):  # less than was promised
            site.get(opened)
        assert len(load(site.get(site.open("two")).data)) == 5


def test_token(tmp_path: Path) -> None:
    """With a token none of the calls is answered without it."""
    streams = Streams(Offer(stock(tmp_path / "store")), Limits())
    settings = ServerSettings(port=0, token="t")
    with running(FakeEngine({}), settings, streams=streams) as server:
        for method, path in (
            ("POST", "/v2/models/one/stream"),
            ("GET", "/v2/streams/x"),
            ("DELETE", "/v2/streams/x"),
        ):
            assert server.call(method, path)[0] == 401
        good = {"Authorization": "Bearer t"}
        assert server.call("POST", "/v2/models/one/stream", headers=good)[0] == 201


def test_stopping_server_opens_none(tmp_path: Path) -> None:
    """A server that is about to stop refuses new streams."""
    engine = FakeEngine({})
    with running(engine, streams=Streams(Offer(stock(tmp_path / "store")), Limits())) as server:
        engine.ready = False
        status, _, content = server.call("POST", "/v2/models/one/stream")
        assert (status, content["reason"]) == (503, "draining")


def test_models_that_are_not_offered(tmp_path: Path) -> None:
    """Of a server that serves one model the other is not streamed."""
    offer = Offer(stock(tmp_path / "store"), ["two"])
    with running(FakeEngine({}), streams=Streams(offer, Limits())) as server:
        assert server.call("POST", "/v2/models/one/stream")[0] == 404
        assert server.call("POST", "/v2/models/two/stream")[0] == 201
