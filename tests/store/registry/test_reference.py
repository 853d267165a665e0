"""References to models in registries."""

from __future__ import annotations

import pytest

from trunkline.errors import InputError
from trunkline.store.registry import Reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("oci://ghcr.io/team/models:bert-sst2", "ghcr.io", "team/models", "bert-sst2", None),
        ("oci://localhost:5000/a", "localhost:5000", "a", None, None),
        ("oci://[::1]:5000/a__b/c.d-e:v1", "[::1]:5000", "a__b/c.d-e", "v1", None),
        (f"oci://Host/a@{DIGEST}", "host", "a", None, DIGEST),
        (f"oci://host/a:v1@{DIGEST}", "host", "a", "v1", DIGEST),
    ],
)
def test_references(
    text: str, host: str, repository: str, tag: str | None, digest: str | None
) -> None:
    """The parts of a reference are what they are in docker's, and it prints as it was given."""
    found = Reference.parse(text)
    assert found == Reference(host, repository, tag, digest)
    assert str(found) == text.replace("Host", "host")
    assert found.target == (digest or tag or "latest")


@pytest.mark.parametrize(
    "text",
    [
        "", "host/a:b", "docker://host/a", "oci://", "oci://host", "oci:///a", "oci://host/",
        "oci://host/A", "oci://host/a:", "oci://host/a:b:c", "oci://host/a:.b", "oci://host/a@b",
        "oci://host/../a", "oci://host//a", "oci://host/a/", "oci://host:99999/a", "oci://ho st/a",
        "oci://host/a?b=c", "oci://host/a%2f", f"oci://host/a@{DIGEST}0", "oci://-h/a",
        "oci://host/a:" + "t" * 129, "oci://host/" + "r" * 256, "oci://host/a\n", "oci://host\n/a",
    ],
)  # fmt: skip
def test_what_is_no_reference(text: str) -> None:
    """Anything else is refused by one line that says what is wrong."""
    with pytest.raises(InputError) as refused:
        Reference.parse(text)
    assert 0 < len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["oci://ada:lovelace@host/a:b", "ada:lovelace@host/a"])
def test_a_password_is_not_repeated(text: str) -> None:
    """A password has no place in a reference, and none in the message that says so."""
    with pytest.raises(InputError) as refused:
        Reference.parse(text)
    assert "lovelace" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("oci://h/team/models:bert-sst2", "bert-sst2"),
        ("oci://h/team/bert:latest", "bert"),
        ("oci://h/team/bert:v1.2", "bert"),
        ("oci://h/team/bert:2024", "bert"),
        ("oci://h/team/bert", "bert"),
        (f"oci://h/team/bert@{DIGEST}", "bert"),
        ("oci://h/team/models:2b-instruct", "2b-instruct"),
    ],
)
def test_what_a_pulled_model_is_called(text: str, name: str) -> None:
    """The tag, unless it only tells a version: then the repository's last part."""
    assert Reference.parse(text).model_name == name
