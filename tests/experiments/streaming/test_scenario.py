"""Users in a cell: one draw for all settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trunkline.experiments.streaming.scenario import Realisation, Setting, efficiency


def test_settings_are_applied_to_one_draw():
    """More users keep the first ones, and what a setting does not touch stays as it is."""
    drawn = Realisation(run=3)
    few, many = (drawn.problem(Setting(users=count)) for count in (10, 40))
    assert many.users[:10] == few.users
    wide = drawn.problem(Setting(users=10, bandwidth_hz=2e8))
    assert wide.users == few.users
    fast = drawn.problem(Setting(users=10, speed=2.0))
    for before, after in zip(few.users, fast.users, strict=True):
        assert after.device.hz == pytest.approx(2 * before.device.hz)
        assert replace(after, device=before.device) == before


def test_runs_and_seeds_differ_and_repeat():
    """The same run and seed give the same problem, others another."""
    problem = Realisation(1, 0).problem(Setting())
    assert Realisation(1, 0).problem(Setting()) == problem
    assert Realisation(2, 0).problem(Setting()) != problem
    assert Realisation(1, 1).problem(Setting()) != problem


def test_efficiency_by_hand():
    """At 250 m without shadowing 8.1 bit/s/Hz, capped at 7.4; with 20 dB more loss 1.9."""
    # 128.1 + 37.6 log10(.25) = 105.46 dB; -37 - 105.46 + 167 = 24.54 dB, log2(1 + 284.3) = 8.16.
    assert efficiency(1.0, 0.0) == 7.4
    # 4.54 dB: log2(1 + 2.843) = 1.942.
    assert efficiency(1.0, 2.5) == pytest.approx(1.942, abs=1e-3)
    assert efficiency(0.0, 5.0) > efficiency(1.0, 5.0)


def test_groups_ask_for_heads_on_one_trunk():
    """In groups of 15, forty users are in three groups, and all blocks but the heads are shared."""
    problem = Realisation().problem(Setting(group=15))
    assert [len(group.users) for group in problem.multicast] == [15, 15, 10]
    assert len(problem.multicast[0].blocks) == 13
    assert len({user.models for user in problem.users}) == 40
    assert Realisation().problem(Setting(group=15, stream=False)).multicast == ()


def test_devices_hold_trunks():
    """With everybody holding, image users lack only heads of the ViTs, and all of other models."""
    problem = Realisation().problem(Setting(holding=1.0))
    image = [user for user in problem.users if "vit-s" in user.models]
    assert image
    for user in image:
        assert set(user.cached) == {"vit-s", "vit-b"}
        assert user.cached["vit-s"].count(False) == 1
        assert user.cached["vit-s"][-1] is False
