"""How long compute threads spin."""

from __future__ import annotations

import os
import sys

import pytest

from trunkline.runtime.threads import spin_briefly


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without the settings, and undo what the test sets."""
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "to be undone")
        monkeypatch.delenv(name)


def test_spinning_is_cut_short_before_torch_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before torch is imported the setting is made; what the user set is left alone."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert spin_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "20000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert spin_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert spin_briefly()
    assert "GOMP_SPINCOUNT" not in os.environ


def test_after_torch_it_is_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once torch is there, OpenMP has read its settings: nothing is done, and it says so."""
    monkeypatch.setitem(sys.modules, "torch", object())
    assert not spin_briefly()
    assert "GOMP_SPINCOUNT" not in os.environ
