"""Who is told which credentials: anonymous, basic and bearer, on redirects, in messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.registries import (
    HTPASSWD,
    PASSWORD,
    USER,
    DockerRegistry,
    Reply,
    Request,
    docker_registry,
    scripted,
)
from tests.store.registry.conftest import connect
from trunkline.errors import RegistryError
from trunkline.store.registry.authorization import read_challenge
from trunkline.store.registry.transport import Transport

BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize("realm", ["https://[bad", "http://[::1", "/token", "ftp://host/token"])
def test_a_realm_that_is_no_address(realm: str) -> None:
    """It is told as the registry's fault."""
    wants = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
    with (
        scripted(lambda _: Reply(401, headers=wants)) as server,
        pytest.raises(RegistryError, match=r"names the token service .* no address"),
    ):
        connect(server.host).has_blob(DIGEST)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """A docker-registry that wants a password."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "htpasswd").write_text(HTPASSWD)
    with docker_registry(
        folder, f"auth: {{htpasswd: {{realm: r, path: {folder}/htpasswd}}}}"
    ) as found:
        yield found


def log_in(config: Path, host: str, password: str = PASSWORD) -> None:
    """What `docker login` leaves."""
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    config.write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def test_basic(locked: DockerRegistry, docker_config: Path) -> None:
    """With the right password a locked registry answers; else the message says what is missing,
    and never the password."""
    with pytest.raises(RegistryError, match="has no credentials") as refused:
        connect(locked.host).has_blob(DIGEST)
    assert refused.value.status == 401
    log_in(docker_config, locked.host)
    assert not connect(locked.host).has_blob(DIGEST)
    log_in(docker_config, locked.host, "byron1815")
    with pytest.raises(RegistryError, match="are not enough") as refused:
        connect(locked.host).has_blob(DIGEST)
    assert "byron1815" not in str(refused.value)


class TokenService:
    """A registry and its token service in one: tokens are numbered, each good for `uses`."""

    def __init__(self, uses: int = 1000) -> None:
        self.uses = uses
        self.left = 0
        self.tokens = 0
        self.host = ""

    def answer(self, request: Request) -> Reply:
        if request.path.startswith("/token"):
            self.tokens += 1
            self.left = self.uses
            return Reply(body=json.dumps({"token": f"t{self.tokens}"}).encode())
        self.left -= 1
        if request.headers.get("Authorization") == f"Bearer t{self.tokens}" and self.left >= 0:
            return Reply()
        scope = (
            "repository:models:pull,push" if request.method == "POST" else "repository:models:pull"
        )
        challenge = f'Bearer realm="http://{self.host}/token?a=b",service="s",scope="{scope}"'
        return Reply(401, headers={"WWW-Authenticate": challenge})


def test_a_token_without_credentials() -> None:
    """Without credentials the token service is asked anonymously, once for several requests."""
    service = TokenService()
    with scripted(service.answer) as server:
        service.host = server.host
        repository = connect(server.host)
        assert repository.has_blob(DIGEST)
        assert repository.has_blob(DIGEST)
        (asked,) = [one for one in server.asked if one.path.startswith("/token")]
    query = parse_qs(urlsplit(asked.path).query)
    assert query == {"a": ["b"], "service": ["s"], "scope": ["repository:models:pull"]}
    assert "Authorization" not in asked.headers


def test_a_token_with_credentials_for_all_scopes(docker_config: Path) -> None:
    """The service gets the password, the registry the token; a further scope asks for both."""
    service = TokenService()
    with scripted(service.answer) as server:
        service.host = server.host
        log_in(docker_config, server.host)
        repository = connect(server.host)
        assert repository.has_blob(DIGEST)
        service.left = 0
        with pytest.raises(RegistryError):  # status 200, where an upload begins with 202
            repository.mount(DIGEST, None)
        tokens = [one for one in server.asked if one.path.startswith("/token")]
        others = [one for one in server.asked if not one.path.startswith("/token")]
    assert [one.headers["Authorization"] for one in tokens] == [BASIC, BASIC]
    assert {one.headers.get("Authorization") for one in others} == {None, "Bearer t1", "Bearer t2"}
    scopes = parse_qs(urlsplit(tokens[1].path).query)["scope"]
    assert scopes == ["repository:models:pull", "repository:models:pull,push"]


def test_a_token_that_ends_is_renewed() -> None:
    """A registry that refuses a token it took before gets a new one."""
    service = TokenService(uses=2)
    with scripted(service.answer) as server:
        service.host = server.host
        repository = connect(server.host)
        assert all(repository.has_blob(DIGEST) for _ in range(5))
        assert service.tokens == 3  # for uses 1 and 2, 3 and 4, and 5


def test_an_identity_token_is_posted(docker_config: Path) -> None:
    """An identity token goes in a form to the token service, and nowhere else."""
    service = TokenService()
    with scripted(service.answer) as server:
        service.host = server.host
        docker_config.write_text(json.dumps({"auths": {server.host: {"identitytoken": "long"}}}))
        assert connect(server.host).has_blob(DIGEST)
        (asked,) = [one for one in server.asked if one.path.startswith("/token")]
    form = parse_qs(asked.body.decode())
    assert (form["grant_type"], form["refresh_token"]) == (["refresh_token"], ["long"])
    assert asked.method == "POST"
    assert "long" not in asked.path


def test_a_redirect_leads_elsewhere_without_credentials(docker_config: Path) -> None:
    """Another host, or another port, is not told what the registry was told."""

    def registry(request: Request) -> Reply:
        if request.headers.get("Authorization") != BASIC:
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        return Reply(307, headers={"Location": f"http://{storage.host}/blob?signature=xyz"})

    with scripted(lambda _: Reply(body=b"content")) as storage, scripted(registry) as server:
        log_in(docker_config, server.host)
        with closing(connect(server.host).open_blob(DIGEST)) as response:
            assert response.read() == b"content"
        assert storage.seen("Authorization") == []
        assert storage.asked[0].path == "/blob?signature=xyz"


def test_a_signed_address_is_told_without_its_signature() -> None:
    """What follows the `?` of an address may be as good as a password."""

    def registry(_: Request) -> Reply:
        return Reply(307, headers={"Location": f"http://{storage.host}/blob?signature=xyz"})

    with scripted(lambda _: Reply(403)) as storage, scripted(registry) as server:
        with pytest.raises(RegistryError, match="/blob: status 403") as refused:
            connect(server.host).open_blob(DIGEST)
        assert "xyz" not in str(refused.value)


def test_a_registry_that_repeats_the_password(docker_config: Path) -> None:
    """What a registry says goes into the message without the secrets it was told."""

    def echo(request: Request) -> Reply:
        if "Authorization" not in request.headers:
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        said = f"no {request.headers['Authorization']} nor {PASSWORD} \x1b[31m"
        return Reply(403, json.dumps({"errors": [{"message": said}]}).encode())

    with scripted(echo) as server:
        log_in(docker_config, server.host)
        with pytest.raises(RegistryError, match=r"no Basic \*\*\* nor \*\*\*") as refused:
            connect(server.host).open_blob(DIGEST)
    assert "\x1b" not in str(refused.value)


def test_a_token_service_without_tls_is_refused() -> None:
    """Over TLS, a registry cannot have the password sent in the clear."""
    transport = Transport("h", credentials=lambda _: None)
    with pytest.raises(RegistryError, match="no address with https"):
        transport.authorization.renew(['Bearer realm="http://h/token"'], None)


def test_no_way_leads_from_tls_to_plain_http() -> None:
    """Neither a redirect nor the place for an upload may do without TLS."""
    transport = Transport("h")
    assert transport.resolve("/v2/x?a=b") == "https://h/v2/x?a=b"
    assert transport.resolve("https://elsewhere/x") == "https://elsewhere/x"
    for place in ("http://h/x", "//[", "", "file:///etc/passwd", "https://a:b@h/", "https://h:x/"):
        with pytest.raises(RegistryError):
            transport.resolve(place)


def test_challenges() -> None:
    """Quoted values may hold commas; what cannot be read holds nothing."""
    found = read_challenge('Bearer realm="https://a/t",scope="repository:x:pull,push"')
    assert found == ("bearer", {"realm": "https://a/t", "scope": "repository:x:pull,push"})
    assert read_challenge("Basic") == ("basic", {})
    for odd in ("", "=", " =", "Bearer realm=", 'Bearer realm="', "Bearer ,,=,", 'Bearer "'):
        assert set(read_challenge(odd).parameters.values()) <= {""}
