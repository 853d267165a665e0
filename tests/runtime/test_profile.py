"""Profiles: saved, read strictly, and what follows from them."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trunkline.errors import DocumentError, MemoryBudgetError, ProfileError
from trunkline.links import Stage
from trunkline.runtime.profile import (
    ComputingFit,
    LoadingFit,
    Profile,
    computing_key,
    load_profile,
)
from trunkline.store import Architecture, InputSpec, StoredBlock, StoredModel, TensorSpec


def model(name: str = "m", size: int = 400, shape: tuple[int, ...] = (3,)) -> StoredModel:
    """A model of one block of `size` bytes of F32."""
    spec = TensorSpec("w", "F32", (size // 4,), 0, size)
    block = StoredBlock(".", "sha256:" + "1" * 64, size, size + 64, 64, (spec,))
    architecture = Architecture("factory", factory="a:b")
    return StoredModel(name, (block,), architecture, InputSpec(shape), size)


def profile(memory_bytes: int = 2000, cold: bool = True) -> Profile:
    """V = 1 ms + bytes / 1 GB/s warm, 5 ms + bytes / 0.5 GB/s cold; 100 bytes a task + 50."""
    fit = ComputingFit(
        computing_key(model()), "a:b()", 0.002, 0.001, 0.05, 50.0, 100.0, {1: 0.003}, {1: 150}
    )
    return Profile(
        {"processor": "p", "cpus": 2},
        "cpu",
        LoadingFit(Stage(1e9, 0.001), 0.1, 9, 10, 1000),
        LoadingFit(Stage(5e8, 0.005), 0.2, 8, 10, 1000) if cold else None,
        (fit,),
        memory_bytes,
        32,
        ("a note",),
    )


def test_a_profile_survives_saving(tmp_path: Path) -> None:
    """What is read back equals what was saved, with and without cold loads."""
    for one in (profile(), profile(cold=False)):
        one.save(tmp_path / "p.json")
        assert load_profile(tmp_path / "p.json") == one


def test_links_and_computing_come_from_the_fits() -> None:
    """V(1 MB) is 1 + 1 ms warm and 5 + 2 ms cold; computing is found by architecture and input."""
    one = profile()
    assert one.loading("warm").link.seconds(1e6) == pytest.approx(0.002)
    assert one.loading("cold").link.seconds(1e6) == pytest.approx(0.007)
    assert one.computing_of(model("other", 800)).seconds_per_task == 0.001
    with pytest.raises(ProfileError, match=r"'other'.*trunkline profile"):
        one.computing_of(model("other", shape=(4,)))
    with pytest.raises(ProfileError, match="cold"):
        profile(cold=False).loading("cold")


def test_max_batch_fills_the_memory() -> None:
    """2000 bytes less 400 of weights and 50 fixed leave 1550: 15 tasks of 100; never over 32."""
    assert profile().max_batch(model()) == 15
    assert profile(10**6).max_batch(model()) == 32
    assert profile(550).max_batch(model()) == 1
    with pytest.raises(MemoryBudgetError, match=r"'m' needs 550 B .*400 B .* allows 549 B"):
        profile(549).max_batch(model())


def test_what_was_imported_bare_has_no_key() -> None:
    """Without architecture or input nothing can be measured; the message says what to do."""
    whole = model()
    bare = StoredModel("m", whole.blocks, None, None, 400)
    no_input = StoredModel("m", whole.blocks, whole.architecture, None, 400)
    with pytest.raises(ProfileError, match="without an architecture; import it with --factory"):
        computing_key(bare)
    with pytest.raises(ProfileError, match="without an input; import it with --input"):
        computing_key(no_input)


def test_models_that_differ_in_weights_only_share_a_key() -> None:
    """Name and size of the weights don't matter; input, its bound and types do."""
    words = model()
    bounded = [replace(words, input=InputSpec((3,), "int64", high)) for high in (None, 10, 11)]
    assert len({computing_key(one) for one in [words, *bounded]}) == 4
    assert computing_key(model("a")) == computing_key(model("b", 800))
    assert computing_key(model("a")) != computing_key(model("a", shape=(9,)))


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("format",), "trunkline/loading-problem/1", r"expected 'trunkline/profile/1'.*profile -o"),
        (("extra",), 1, r"extra"),
        (("loading", "warm", "bytes_per_s"), 0, r"\$\.loading\.warm\.bytes_per_s"),
        (("loading", "warm", "overhead_s"), -1, r"\$\.loading\.warm\.overhead_s"),
        (("loading", "cold", "loads"), "many", r"\$\.loading\.cold\.loads"),
        (("computing", 0, "seconds_per_task"), float("nan"), r"\$\.computing\[0\]"),
        (("computing", 0, "seconds"), {"two": 1.0}, r"\$\.computing\[0\]\.seconds"),
        (("computing", 0, "key"), "", r"\$\.computing\[0\]\.key"),
        (("memory_bytes",), 0, r"\$\.memory_bytes"),
    ],
)
def test_documents_that_cannot_be_used(path: tuple[Any, ...], value: Any, where: str) -> None:
    """Each fault is a DocumentError that names its path."""
    document = copy.deepcopy(profile().to_dict())
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(DocumentError, match=where):
        load_profile(document)
