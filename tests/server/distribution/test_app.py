"""A store over the distribution protocol: what the specification and stock clients ask."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.distribution.store_servers import Served, layered, make_store, serving
from trunkline.server.work import Limits, ServerSettings
from trunkline.store import Store
from trunkline.store.manifest import MANIFEST_TYPE


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two models of three layers, of which they share two."""
    models = {"a": layered(1, 2, 3, size=300), "B_2.x": layered(1, 2, 4, size=300)}
    return make_store(tmp_path_factory.mktemp("served") / "store", models)


@pytest.fixture(scope="module")
def served(store: Store) -> Iterator[Served]:
    """The same, served."""
    with serving(store.path) as there:
        yield there


def code(body: bytes) -> str:
    """The code of an error document, whose form is checked."""
    (one,) = json.loads(body)["errors"]
    assert set(one) == {"code", "message", "detail"}
    return str(one["code"])


def test_base_and_lists(served: Served) -> None:
    """`/v2/` says which protocol this is; the store is one repository, its models are the tags."""
    status, headers, _ = served.call("GET", "/v2/")
    assert (status, headers["docker-distribution-api-version"]) == (200, "registry/2.0")
    assert json.loads(served.call("GET", "/v2/_catalog")[2]) == {"repositories": ["models"]}
    tags = json.loads(served.call("GET", "/v2/models/tags/list")[2])
    assert tags == {"name": "models", "tags": ["B_2.x", "a"]}


def test_pages(served: Served) -> None:
    """Pages of one, each leading to the next by its Link, make up the whole list."""
    found: list[str] = []
    path = "/v2/models/tags/list?n=1"
    while path:
        _, headers, body = served.call("GET", path)
        found += json.loads(body)["tags"]
        link = headers.get("link", "")
        assert not link or link.endswith('>; rel="next"')
        path = link[1:].partition(">")[0]
    assert found == ["B_2.x", "a"]
    assert json.loads(served.call("GET", "/v2/models/tags/list?n=0")[2])["tags"] == []
    assert json.loads(served.call("GET", "/v2/_catalog?last=models")[2])["repositories"] == []
    status, _, body = served.call("GET", "/v2/models/tags/list?n=-1")
    assert (status, code(body)) == (400, "PAGINATION_NUMBER_INVALID")


def test_manifests(served: Served, store: Store) -> None:
    """A manifest comes by tag and by digest, byte by byte as it is stored, with its type and
    digest; HEAD answers the same without a body."""
    digest = store.model("a").digest
    content = store.blob_path(digest).read_bytes()
    for reference in ("a", digest):
        path = f"/v2/models/manifests/{reference}"
        status, headers, body = served.call("GET", path)
        assert (status, body) == (200, content)
        assert headers["content-type"] == MANIFEST_TYPE
        assert headers["docker-content-digest"] == digest
        status, same, body = served.call("HEAD", path)
        assert (status, body) == (200, b"")
        assert int(same["content-length"]) == len(content)


def test_blobs(served: Served, store: Store) -> None:
    """Every blob of a model comes whole, and its content is its digest's."""
    manifest = json.loads(store.blob_path(store.model("a").digest).read_bytes())
    for part in (manifest["config"], *manifest["layers"]):
        path = f"/v2/models/blobs/{part['digest']}"
        status, headers, body = served.call("GET", path)
        assert (status, len(body)) == (200, part["size"])
        assert "sha256:" + hashlib.sha256(body).hexdigest() == part["digest"]
        assert headers["docker-content-digest"] == part["digest"]
        status, headers, body = served.call("HEAD", path)
        assert (status, int(headers["content-length"]), body) == (200, part["size"], b"")


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=10-19", 206, slice(10, 20)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=5-99999999999", 206, slice(5, None)),
        ("bytes=0-1,5-6", 200, slice(None)),  # several: the whole may be sent
        ("bytes=9-5", 200, slice(None)),  # not valid: as if it were not there
        ("lines=1-2", 200, slice(None)),
    ],
)
def test_ranges(served: Served, store: Store, asked: str, status: int, part: slice) -> None:
    """A single range brings its bytes and says which; what is none brings the whole."""
    digest = store.model("a").blocks[0].digest
    content = store.blob_path(digest).read_bytes()
    got, headers, body = served.call("GET", f"/v2/models/blobs/{digest}", {"Range": asked})
    assert (got, body) == (status, content[part])
    if status == 206:
        first, end, _ = part.indices(len(content))
        assert headers["content-range"] == f"bytes {first}-{end - 1}/{len(content)}"


def test_ranges_that_are_not_there(served: Served, store: Store) -> None:
    """A range behind the end is refused with the length; one of other content brings all."""
    block = store.model("a").blocks[0]
    path = f"/v2/models/blobs/{block.digest}"
    for asked in (f"bytes={block.size}-", "bytes=-0"):
        status, headers, body = served.call("GET", path, {"Range": asked})
        assert (status, headers["content-range"]) == (416, f"bytes */{block.size}")
        assert code(body) == "SIZE_INVALID"
    status, _, body = served.call("GET", path, {"Range": "bytes=5-", "If-Range": '"another"'})
    assert (status, len(body)) == (200, block.size)


def until(holds: Callable[[], object]) -> None:
    """Wait for something that nobody announces."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


UNKNOWN = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/v2/models/manifests/none", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"/v2/models/manifests/{UNKNOWN}", 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/models/manifests/.x", 400, "TAG_INVALID"),
        ("GET", "/v2/models/manifests/sha256:abc", 400, "DIGEST_INVALID"),
        ("GET", f"/v2/models/blobs/{UNKNOWN}", 404, "BLOB_UNKNOWN"),
        ("GET", "/v2/models/blobs/..%2F..%2Findex.json", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/models/blobs/sha512:abc", 400, "DIGEST_INVALID"),
        ("GET", f"/v2/other/blobs/{UNKNOWN}", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/Models/manifests/a", 400, "NAME_INVALID"),
        ("GET", f"/v2/models/referrers/{UNKNOWN}", 404, "UNSUPPORTED"),
        ("GET", "/index.json", 404, "NAME_UNKNOWN"),
        ("POST", "/v2/models/blobs/uploads/", 405, "UNSUPPORTED"),
        ("PUT", "/v2/models/manifests/a", 405, "UNSUPPORTED"),
        ("PATCH", "/v2/models/blobs/uploads/1", 405, "UNSUPPORTED"),
        ("DELETE", "/v2/models/manifests/a", 405, "UNSUPPORTED"),
    ],
)
def test_refusals(served: Served, method: str, path: str, status: int, expected: str) -> None:
    """What is not there, not well formed, or would write: refused in the specification's words."""
    got, headers, body = served.call(method, path)
    assert (got, code(body)) == (status, expected)
    assert status != 405 or headers["allow"] == "GET, HEAD"


def test_a_block_is_no_manifest(served: Served, store: Store) -> None:
    """A blob that is no manifest is not to be had as one, nor is a JSON file that is none."""
    model = store.model("a")
    for digest in (model.blocks[0].digest, model.files["trunkline.json"]):
        status, _, body = served.call("GET", f"/v2/models/manifests/{digest}")
        assert (status, code(body)) == (404, "MANIFEST_UNKNOWN")


def test_the_store_changes_while_it_is_served(tmp_path: Path) -> None:
    """A model imported or removed meanwhile is there or gone for the next request; what another
    tool named is reachable by the escape."""
    store = make_store(tmp_path / "store", {"a": layered(1)})
    with serving(store.path) as there:
        assert there.call("HEAD", "/v2/models/manifests/b")[0] == 404
        store.add("b", layered(2))
        assert there.call("HEAD", "/v2/models/manifests/b")[0] == 200
        store.remove("b")
        assert there.call("HEAD", "/v2/models/manifests/b")[0] == 404
        index: dict[str, Any] = json.loads((store.path / "index.json").read_bytes())
        entry = index["manifests"][0]
        entry["annotations"]["org.opencontainers.image.ref.name"] = "team/a:1"
        index["manifests"].append({"digest": "sha256:no", "annotations": None})
        (store.path / "index.json").write_text(json.dumps(index))
        assert json.loads(there.call("GET", "/v2/models/tags/list")[2])["tags"] == ["_team_2fa_3a1"]
        assert there.call("HEAD", "/v2/models/manifests/_team_2fa_3a1")[0] == 200


def test_a_damaged_manifest(tmp_path: Path) -> None:
    """A manifest whose content is not its digest's is not handed out, and no path is told."""
    store = make_store(tmp_path / "store", {"a": layered(1)})
    path = store.blob_path(store.model("a").digest)
    path.write_bytes(path.read_bytes().replace(b"layer0", b"layer9"))
    with serving(store.path) as there:
        status, _, body = there.call("GET", "/v2/models/manifests/a")
    assert (status, code(body)) == (500, "UNKNOWN")
    assert str(tmp_path).encode() not in body


def test_the_token(store: Store) -> None:
    """With a token nothing is told without it; it comes as a bearer token or a basic password."""
    with serving(store.path, ServerSettings(port=0, token="secret")) as there:
        good = base64.b64encode(b"any:secret").decode()
        bad = base64.b64encode(b"any:wrong").decode()
        for given in (None, "Bearer wrong", f"Basic {bad}", "Basic secret", "Basic "):
            headers = {} if given is None else {"Authorization": given}
            status, answer, body = there.call("GET", "/v2/", headers)
            assert (status, code(body)) == (401, "UNAUTHORIZED")
            assert answer["www-authenticate"] == 'Basic realm="trunkline"'
        for given in ("Bearer secret", f"Basic {good}"):
            assert there.call("GET", "/v2/models/manifests/a", {"Authorization": given})[0] == 200


def test_pages_of_other_hosts_may_not_call(served: Served) -> None:
    """A name that was made to point here (DNS rebinding), and a foreign page, are turned away."""
    for header in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        status, _, body = served.call("GET", "/v2/models/tags/list", header)
        assert (status, code(body)) == (403, "DENIED")


def test_a_client_that_does_not_read(tmp_path: Path) -> None:
    """Is cut off once it has read nothing for `idle_s`; the next one is served."""
    store = make_store(tmp_path / "store", {"a": layered(1, size=3000)})  # 36 MB, past all buffers
    digest = store.model("a").blocks[0].digest
    limits = Limits(idle_s=0.3)
    with serving(store.path, ServerSettings(port=0, limits=limits)) as there:
        with socket.create_connection(("127.0.0.1", there.port), timeout=30) as client:
            request = f"GET /v2/models/blobs/{digest} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            client.sendall(request.encode())
            assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
            until(lambda: not there.server.server_state.connections)
        status, _, body = there.call("GET", f"/v2/models/blobs/{digest}")
    assert (status, "sha256:" + hashlib.sha256(body).hexdigest()) == (200, digest)


def test_over_tls(store: Store, tmp_path: Path) -> None:
    """Over TLS, where the kernel cannot send files, the same bytes come."""
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command = [*words.split(), "-subj", "/CN=localhost", "-keyout", key, "-out", certificate]
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    subprocess.run(command, check=True, capture_output=True)
    settings = ServerSettings(port=0, certificate=str(certificate), key=str(key))
    context = ssl.create_default_context(cafile=str(certificate))
    digest = store.model("a").blocks[0].digest  # 360 kB: two pieces
    with serving(store.path, settings) as there:
        url = f"https://localhost:{there.port}/v2/models/blobs/{digest}"
        body = urllib.request.urlopen(url, context=context, timeout=30).read()
    assert "sha256:" + hashlib.sha256(body).hexdigest() == digest
