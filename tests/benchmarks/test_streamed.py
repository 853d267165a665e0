"""What the benchmark of real streams reckons from a report, and when it leaves the kernel out."""

from __future__ import annotations

import os
from typing import Any

import pytest

from benchmarks.namespaces import NamespacesMissing, namespaces
from benchmarks.streamed.reckoning import (
    computing,
    end_by_rate,
    least_rate,
    median_computing,
    rate,
    saving,
)


def report(
    arrived: list[float], compute: list[float], sent: list[int], header: int = 0
) -> dict[str, Any]:
    """A run of the recursion whose first layer is asked for at 0."""
    layers, at = [], 0.0
    for i, (there, seconds, count) in enumerate(zip(arrived, compute, sent, strict=True)):
        begun = max(at, there)
        layers.append(
            {
                "name": f"l{i}",
                "sent_bytes": count,
                "arrived_s": there,
                "started_s": begun,
                "ended_s": (at := begun + seconds),
            }
        )
    return {"layers": layers, "first_s": 0.0, "received_bytes": sum(sent) + header}


def test_saving_of_a_hand_case() -> None:
    """D = (1, 3), T = (2, 1): overlapped 4, downloading first 6, so a third is saved."""
    one = report([1.0, 3.0], [2.0, 1.0], [1, 2])
    assert saving(one, computing(one)) == pytest.approx(1 / 3)


def test_layer_times_are_medians() -> None:
    """Each layer's own: of 1, 2, 9 and of 5, 3, 4."""
    runs = [report([0.0, 0.0], [a, b], [1, 1]) for a, b in ((1.0, 5.0), (2.0, 3.0), (9.0, 4.0))]
    assert median_computing(runs) == pytest.approx({"l0": 2.0, "l1": 4.0})


def test_one_rate_replaces_the_arrivals() -> None:
    """Layer 2 of 3 came early; at the rate between the first and the last it is there later."""
    # 10 bytes each: (30 - 10) / (4 - 2) = 10 a second, so layer 2 is there at 3 and not at 2.1.
    # T = (0.1, 5, 0): from the arrivals 2.1 + 5 = 7.1, by rate 3 + 5 = 8
    one = report([2.0, 2.1, 4.0], [0.1, 5.0, 0.0], [10, 10, 10])
    assert rate(one) == pytest.approx(10.0)
    assert end_by_rate(one) == pytest.approx(8.0)


def test_the_header_counts_to_the_first_layer() -> None:
    """It does not change the rate between layers, and is sent before the first."""
    # r = 10; the first layer's 10 bytes and the header's 5 took 1.5 s of the 2: t0 = 0.5, and
    # r_min = max(15 / (4.5 - 0.5 - 2), 25 / (4.5 - 0.5 - 1)) with T = (1, 1)
    one = report([2.0, 3.0], [1.0, 1.0], [10, 10], header=5)
    assert least_rate(one, computing(one), 4.5) == pytest.approx(max(15 / 2, 25 / 3))


def test_least_rate_of_the_hand_case() -> None:
    """S = (8, 16, 16) Mbit, T = (.2, .3, .1) s, 1.6 s: 2/3 of 40 Mbit/s."""
    # at 40 Mbit/s D = (.2, .6, 1)
    one = report([0.2, 0.6, 1.0], [0.2, 0.3, 0.1], [1_000_000, 2_000_000, 2_000_000])
    assert 8e-6 * least_rate(one, computing(one), 1.6) == pytest.approx(40 * 2 / 3)


def test_a_deadline_shorter_than_computing_has_no_rate() -> None:
    """It is told, not divided by."""
    one = report([1.0, 2.0], [1.0, 1.0], [1, 1])
    with pytest.raises(ValueError, match="of computing"):
        least_rate(one, computing(one), 1.5)


@pytest.mark.parametrize(("user", "path", "why"), [(1000, "/", "not root"), (0, "/", "no ip and")])
def test_without_namespaces_it_says_why(
    monkeypatch: pytest.MonkeyPatch, user: int, path: str, why: str
) -> None:
    """Not root, or no tools: no error of the machine's own."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("PATH", path)
    with pytest.raises(NamespacesMissing, match=why), namespaces():
        pass
