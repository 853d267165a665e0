"""Tags of models: valid, distinct, and the name itself wherever that is one."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from trunkline.server.distribution.names import is_repository, is_tag, tag_of

PLAIN = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True)


@given(st.text(min_size=1) | PLAIN)
def test_every_name_has_a_valid_tag(name: str) -> None:
    """Whatever another tool has named a model, its tag is one that clients accept."""
    assert is_tag(tag_of(name))


@given(st.lists(st.text("aA0._-/:é", min_size=1, max_size=60) | PLAIN, unique=True))
def test_no_two_names_share_a_tag(names: list[str]) -> None:
    """Distinct names have distinct tags."""
    assert len({tag_of(name) for name in names}) == len(names)


@given(PLAIN)
def test_imported_names_stand_as_they_are(name: str) -> None:
    """A name that an import accepts is its own tag."""
    assert tag_of(name) == name


def test_escapes() -> None:
    """By hand: `/` is 0x2f, `:` 0x3a, `é` 0xc3 0xa9 in UTF-8; 200 slashes pass 128 characters."""
    assert tag_of("a/b:1") == "_a_2fb_3a1"
    assert tag_of("_é") == "__5f_c3_a9"
    assert re.fullmatch("_sha256-[0-9a-f]{64}", tag_of("/" * 200))


def test_repositories() -> None:
    """As the specification's grammar has them."""
    assert all(is_repository(one) for one in ("models", "a/b", "a__b.c-d", "a--b"))
    assert not any(is_repository(one) for one in ("", "A", "a//b", "/a", "a_", "a..b", "a" * 256))
