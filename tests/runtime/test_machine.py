"""What measurements were made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from trunkline.runtime import machine


def test_the_processor_is_what_the_system_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first model name of /proc/cpuinfo; without one, what Python knows."""
    text = "processor : 0\nmodel name\t: Abacus 9: fast\nmodel name\t: other\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert machine.processor() == "Abacus 9: fast"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "Hardware : x\n")
    assert machine.processor() == (platform.processor() or platform.machine())

    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert machine.processor() == (platform.processor() or platform.machine())
    assert machine.describe()["cpus"] == (os.cpu_count() or 1)


def test_a_busy_machine_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above three quarters of the processors, with both numbers; not below."""
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 9.0, 9.0))
    assert machine.busy() is None
    monkeypatch.setattr(os, "getloadavg", lambda: (3.1, 0.0, 0.0))
    assert machine.busy() == "the machine was busy: load average 3.1 on 4 processors at the start"
