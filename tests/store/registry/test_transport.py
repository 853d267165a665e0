"""Requests that fail: what is tried again, how often, and what is said in the end."""

from __future__ import annotations

import base64
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.registries import Reply, Request, docker_registry, scripted
from tests.store.registry.conftest import connect
from trunkline.errors import RegistryError, RegistryUnavailableError
from trunkline.store.registry import Patience, Repository, Transport
from trunkline.store.registry.transport import _proxy_for

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_registry_that_recovers(status: int) -> None:
    """Two failures of the passing kind are followed by a third try, which counts."""
    replies = [Reply(status), Reply(status, headers={"Retry-After": "0"}), Reply()]
    with scripted(lambda _: replies.pop(0)) as server:
        assert connect(server.host).has_blob(DIGEST)
    assert replies == []


def test_a_registry_that_does_not_recover() -> None:
    """After so many tries the registry's own words are told."""
    said = b'{"errors": [{"code": "UNAVAILABLE", "message": "service unavailable"}]}'
    with scripted(lambda _: Reply(503, said)) as server:
        with pytest.raises(RegistryUnavailableError, match="status 503") as failed:
            connect(server.host, tries=3).manifest("latest")
        assert "service unavailable" in str(failed.value)
        assert len(server.asked) == 3


def test_a_registry_that_wants_a_long_wait() -> None:
    """A wait beyond what the user's patience allows is told, and not waited for."""
    wait = {"Retry-After": "3600"}
    with scripted(lambda _: Reply(429, headers=wait)) as server:
        with pytest.raises(RegistryUnavailableError, match="to wait 3600 s"):
            connect(server.host).has_blob(DIGEST)
        assert len(server.asked) == 1


def test_waits_grow_up_to_a_limit() -> None:
    """Waits double from the first to the longest, less up to half; the registry's own wait counts
    if it is given."""
    patience = Patience(tries=5, first_s=1.0, most_s=3.0)
    error = RegistryUnavailableError("lost")
    for tried, most in ((1, 1.0), (2, 2.0), (3, 3.0), (4, 3.0)):
        delay_s = patience.delay_s(tried, error)
        assert delay_s is not None
        assert most / 2 <= delay_s <= most
    assert patience.delay_s(5, error) is None
    assert patience.delay_s(1, RegistryUnavailableError("busy", 429, 2.5)) == 2.5
    assert patience.delay_s(1, RegistryUnavailableError("busy", 429, 3.5)) is None


@pytest.mark.parametrize("value", ["soon", "-5", "nan", "inf", "Fri, 99 Foo 2000", ""])
def test_an_odd_wait_is_no_wait(value: str) -> None:
    """A `Retry-After` that cannot be read does not end the tries."""
    replies = [Reply(503, headers={"Retry-After": value}), Reply()]
    with scripted(lambda _: replies.pop(0)) as server:
        assert connect(server.host).has_blob(DIGEST)


def test_a_wait_without_end() -> None:
    """A number beyond all floats is a long wait like any other."""
    with (
        scripted(lambda _: Reply(503, headers={"Retry-After": "9" * 400})) as server,
        pytest.raises(RegistryUnavailableError, match="to wait"),
    ):
        connect(server.host).has_blob(DIGEST)


def test_nobody_there() -> None:
    """An address where nobody listens is told at once: it is more likely wrong than busy."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(RegistryError, match=f"no answer from {host}: Connection refused"):
            connect(host).has_blob(DIGEST)


def test_a_silent_registry_is_left() -> None:
    """A registry that takes the connection and says nothing costs the reading time, each try."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        host = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(RegistryError, match="it went silent"):
            connect(host, read_s=0.05, tries=2).has_blob(DIGEST)


def test_too_many_redirects() -> None:
    """A registry that leads in a circle is left."""
    there = {"Location": "/v2/models/blobs/" + DIGEST}
    with (
        scripted(lambda _: Reply(307, headers=there)) as server,
        pytest.raises(RegistryError, match="more than 5 redirects"),
    ):
        connect(server.host).open_blob(DIGEST)


@pytest.mark.parametrize(("place", "says"), [("", "cannot be used"), ("ftp://x/", "cannot be")])
def test_a_redirect_to_nowhere(place: str, says: str) -> None:
    """A redirect without a place that HTTP reaches is refused."""
    with (
        scripted(lambda _: Reply(307, headers={"Location": place})) as server,
        pytest.raises(RegistryError, match=says),
    ):
        connect(server.host).open_blob(DIGEST)


def test_only_blobs_may_be_elsewhere() -> None:
    """A manifest is not taken from where a redirect leads."""
    with (
        scripted(lambda _: Reply(307, headers={"Location": "http://127.0.0.1:1/"})) as server,
        pytest.raises(RegistryError, match="status 307"),
    ):
        connect(server.host).manifest("latest")


def test_a_manifest_without_end() -> None:
    """More than 4 MiB of manifest are not read."""
    with (
        scripted(lambda _: Reply(body=b" " * (2**22 + 1))) as server,
        pytest.raises(RegistryError, match="an answer of more than 4194304 bytes"),
    ):
        connect(server.host).manifest("latest")


@pytest.mark.parametrize("target", ["latest", DIGEST])
def test_a_manifest_of_another_digest(target: str) -> None:
    """Content that is not that of the digest asked for, or of the one told, is refused."""

    def lie(_: Request) -> Reply:
        return Reply(body=b"{}", headers={"Docker-Content-Digest": DIGEST})

    with (
        scripted(lie) as server,
        pytest.raises(RegistryError, match="came with content sha256:44136fa3"),
    ):
        connect(server.host).manifest(target)


def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS is the default: a registry without it, or with a certificate that nobody vouches for, is
    refused; with one that the system trusts it answers."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    more = [
        "-subj",
        "/CN=x",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-out",
        cert,
        "-keyout",
        key,
    ]
    try:
        subprocess.run([*words.split(), *map(str, more)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    with (
        scripted(lambda _: Reply()) as plain,
        pytest.raises(RegistryError, match="a registry without TLS needs --insecure"),
    ):
        Repository(Transport(plain.host), "models").has_blob(DIGEST)
    with docker_registry(tmp_path, f"  tls: {{certificate: {cert}, key: {key}}}") as registry:
        with pytest.raises(RegistryError, match=f"no TLS with {registry.host}"):
            Repository(Transport(registry.host), "models").has_blob(DIGEST)
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        assert not Repository(Transport(registry.host), "models").has_blob(DIGEST)


def test_each_address_goes_by_its_own_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry by the proxy of the environment, with the password in its address; a token
    service that is excepted directly, so that no proxy sees what it is told."""
    seen: list[tuple[str, str | None]] = []

    def token(_: Request) -> Reply:
        return Reply(200, b'{"token": "t"}')

    with scripted(token) as service:
        realm = f'Bearer realm="http://{service.host}/token",service="x"'

        def by_proxy(request: Request) -> Reply:
            told = {name.lower(): value for name, value in request.headers.items()}
            seen.append((request.path, told.get("proxy-authorization")))
            if request.headers.get("Authorization") == "Bearer t":
                return Reply(200)
            return Reply(401, headers={"WWW-Authenticate": realm})

        with scripted(by_proxy) as proxy:
            monkeypatch.setenv("http_proxy", f"http://ada:se%20cret@{proxy.host}")
            monkeypatch.setenv("no_proxy", "auth.internal")
            assert connect("registry.internal:5000").has_blob(DIGEST)
    place = f"http://registry.internal:5000/v2/models/blobs/{DIGEST}"
    basic = "Basic " + base64.b64encode(b"ada:se cret").decode()
    assert seen == [(place, basic)] * 2
    assert len(service.asked) == 1


def test_proxies_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the address's scheme; none for this machine, nor for what NO_PROXY excepts."""
    monkeypatch.setenv("http_proxy", "http://one:1")
    monkeypatch.setenv("https_proxy", "http://two:2")
    monkeypatch.setenv("no_proxy", "auth.internal,other:99")
    wanted = {
        "http://registry/v2/": "http://one:1",
        "https://registry/v2/": "http://two:2",
        "https://auth.internal/token": None,
        "https://auth.internal:8443/token": None,
        "https://other:99/token": None,
        "https://other/token": "http://two:2",
        "http://localhost:5000/v2/": None,
        "http://127.0.0.1:5000/v2/": None,
        "http://[::1]:5000/v2/": None,
    }
    assert {url: _proxy_for(*urlsplit(url)[:2]) for url in wanted} == wanted
