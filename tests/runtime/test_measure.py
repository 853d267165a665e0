"""Measuring: what a profile says is what was there to measure (never how fast it was)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runtime.test_runtime import bottom
from trunkline.errors import ProfileError
from trunkline.runtime import Runtime, state_dict_source
from trunkline.runtime.cache import drop_cached
from trunkline.runtime.measure import Settings, _line, _loading_fit, measure
from trunkline.runtime.peak import _highest, peak_bytes
from trunkline.runtime.profile import load_profile
from trunkline.store import InputSpec, Store

SPEC = InputSpec((3, 8, 8))
QUICK = Settings(batches=(1, 2, 4), rounds=3, limit_s=0.0)


def test_a_store_is_measured(store: Store, add: Any, tmp_path: Path) -> None:
    """One entry an architecture, whichever and however many its models; the bare one is left out
    with a note; the document can be read back."""
    a = add("a", "conv", 0, input=SPEC)
    add("b", "conv", 1, a, bottom, input=SPEC)
    add("words", "encoder", 2, input=InputSpec((7,), "int64", 31))
    store.add("bare", state_dict_source({"w": torch.ones(1)}))
    told: list[tuple[str, int, int]] = []
    found = measure(store, settings=QUICK, tell=lambda *what: told.append(what))
    labels = sorted(one.label for one in found.computing)
    assert labels == ["tiny_models:conv()", "tiny_models:encoder()"]
    assert any("'bare'" in note for note in found.notes)
    for one in found.computing:
        assert one.seconds.keys() == one.peak_bytes.keys() == {1, 2, 4}
        assert all(seconds > 0 for seconds in one.seconds.values())
    assert found.warm.loads >= 10
    assert found.warm.largest_bytes <= max(store.model(n).bytes for n in ("a", "words"))
    assert found.machine["threads"] == torch.get_num_threads()
    assert found.max_batch(store.model("b")) >= 1
    assert all(0 <= done <= of for _, done, of in told)
    found.save(tmp_path / "p.json")
    assert load_profile(tmp_path / "p.json") == found


def test_one_model_alone_can_be_measured(store: Store, add: Any) -> None:
    """Its partial loads are of parts that were let go."""
    add("a", "conv", 0, input=SPEC)
    found = measure(store, ["a"], settings=QUICK)
    assert found.warm.loads >= 9
    assert found.warm.smallest_bytes < store.model("a").bytes


def test_models_that_cannot_be_measured(store: Store, add: Any) -> None:
    """A bare model by name, a store without any other, and a forward that fails: each says why."""
    store.add("bare", state_dict_source({"w": torch.ones(1)}))
    with pytest.raises(ProfileError, match="'bare' was imported without an architecture"):
        measure(store, ["bare"], settings=QUICK)
    with pytest.raises(ProfileError, match=r"has no model that can be measured.*'bare'"):
        measure(store, settings=QUICK)
    add("wrong", "conv", 0, input=InputSpec((9,)))
    with pytest.raises(ProfileError, match=r"'wrong' does not run on a batch of shape \[1, 9\]"):
        measure(store, ["wrong"], settings=QUICK)


def test_the_smallest_batch_is_left_out_where_it_is_off_the_line() -> None:
    """2, 4, 8 lie on 5 + 0.25 b and 1 does not: the line is theirs. Where all lie on one, all
    count; with three sizes none is left out."""
    off = _line({1: 3.0, 2: 5.5, 4: 6.0, 8: 7.0})
    assert (off.intercept_s, off.slope_s, off.points) == (pytest.approx(5), pytest.approx(0.25), 3)
    assert _line({1: 5.25, 2: 5.5, 4: 6.0, 8: 7.0}).points == 4
    assert _line({1: 3.0, 2: 5.5, 4: 6.0}).points == 3


def test_loads_of_one_size_give_a_rate() -> None:
    """Without different sizes there is no overhead to be told from the rate: 100 bytes in 2 s are
    50 bytes/s; loads of nothing don't count."""
    fit = _loading_fit([(100, 2.0), (100, 2.0), (0, 1.0)])
    assert fit.link.seconds(100) == pytest.approx(2.0)
    assert fit.loads == 2
    with pytest.raises(ProfileError, match="no weights"):
        _loading_fit([(0, 1.0)])


def test_peak_memory_is_the_highest_running_sum() -> None:
    """+3 +4 -3 +1 peaks at 7, in order of time and not of the file."""
    changes = [(4, -3), (1, 3), (2, 4), (5, 1)]
    events = [{"name": "[memory]", "ts": t, "args": {"Bytes": b}} for t, b in changes]
    assert _highest([*events, {"name": "aten::add"}]) == 7


def test_peak_memory_covers_the_activations(store: Store, add: Any) -> None:
    """The first convolution alone makes 8 x 8 x 8 floats a task; more tasks need more."""
    add("a", "conv", 0, input=SPEC)
    with Runtime(store) as runtime:
        runtime.switch("a")
        small, large = (peak_bytes(runtime, "a", torch.zeros(n, 3, 8, 8)) for n in (2, 32))
    assert small >= 2 * 8 * 8 * 8 * 4
    assert large > small


def test_dropping_cached_pages_tells_whether_it_worked(tmp_path: Path) -> None:
    """Whatever the file system does, the answer is a plain yes or no and the file is unharmed."""
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100_000)
    assert drop_cached([path]) in (True, False)
    assert path.read_bytes() == b"x" * 100_000
