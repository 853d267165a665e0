"""Credentials out of docker's configuration."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trunkline.errors import RegistryError
from trunkline.store.registry import Credentials, find_credentials

ADA = Credentials("ada", "love:lace")
AUTH = base64.b64encode(b"ada:love:lace").decode()


@pytest.fixture
def configure(docker_config: Path) -> Callable[[Any], None]:
    """Writes docker's configuration."""
    return lambda document: docker_config.write_text(json.dumps(document)) and None


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a credential helper, a shell script, on the path."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def write(name: str, script: str) -> None:
        program = tmp_path / f"docker-credential-{name}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return write


@pytest.mark.parametrize("key", ["h:5000", "https://h:5000", "http://h:5000/v2/", "h:5000/v1/"])
def test_auths(configure: Callable[[Any], None], key: str) -> None:
    """Keys are hosts, with or without a scheme and a path; the port belongs to the host."""
    configure({"auths": {"h": {"auth": "x"}, key: {"auth": AUTH}, "z": 3}})
    assert find_credentials("h:5000") == ADA
    assert find_credentials("h:5001") is None


def test_other_forms(configure: Callable[[Any], None]) -> None:
    """User and password apart, identity tokens, Docker Hub's own key, and nothing at all."""
    assert find_credentials("h") is None
    configure(
        {
            "auths": {
                "a": {"username": "ada", "password": "love:lace"},
                "b": {"auth": AUTH, "identitytoken": "tok"},
                "c": {},
                "https://index.docker.io/v1/": {"auth": AUTH},
            }
        }
    )
    assert find_credentials("a") == find_credentials("docker.io") == ADA
    assert find_credentials("b") == Credentials("", "tok")
    assert find_credentials("c") is None


def test_helpers(
    configure: Callable[[Any], None], helper: Callable[[str, str], None], tmp_path: Path
) -> None:
    """A host's own helper is asked before the common one, and that before `auths`; one that knows
    nothing leaves it to `auths`."""
    said = '{"ServerURL": "h", "Username": "%s", "Secret": "s"}'
    helper("own", f"cat > asked; echo '{said % 'own'}'".replace("asked", str(tmp_path / "asked")))
    helper("common", f"echo '{said % '<token>'}'")
    helper("empty", "echo 'credentials not found in native keychain'; exit 1")
    configure({"credHelpers": {"h": "own", "n": "empty"}, "credsStore": "common"})
    assert find_credentials("h") == Credentials("own", "s")
    assert (tmp_path / "asked").read_text() == "h"
    assert find_credentials("other") == Credentials("", "s")
    assert find_credentials("n") is None
    configure({"credsStore": "empty", "auths": {"h": {"auth": AUTH}}})
    assert find_credentials("h") == ADA


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("[]", "no JSON object"),
        ("{", "no JSON"),
        ('{"auths": {"h": {"auth": "c2VjcmV0"}}}', "no base64 of user:password"),
        ('{"credsStore": "../evil"}', "no name of a credential helper"),
        ('{"credsStore": "missing-one"}', "cannot be run"),
        ('{"credsStore": "failing"}', "status 3"),
        ('{"credsStore": "babbling"}', "gave no credentials"),
    ],
)
def test_what_cannot_be_used(
    document: str, says: str, docker_config: Path, helper: Callable[[str, str], None]
) -> None:
    """A configuration or a helper that is broken is told without what it holds."""
    helper("failing", "echo secret; echo secret >&2; exit 3")
    helper("babbling", "echo secret")
    docker_config.write_text(document)
    with pytest.raises(RegistryError, match=says) as refused:
        find_credentials("h")
    assert "c2VjcmV0" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_repr_tells_no_secret() -> None:
    """Credentials that end up in a log say the user alone."""
    assert "lace" not in repr(ADA)
