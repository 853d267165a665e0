"""Fig. 8: optimal shares of the band against equal sub-channels, over B and K, in both cases.

In slots the lines are PartialLoading Spec (bottom) and Gen (general), in continuous time the
optimum and Gen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.experiments.figures.sweeps import Panel, Reported, Role, SweepFigure
from trunkline.experiments.lines import (
    OPTIMAL,
    EqualChannels,
    Line,
    Reading,
    best,
    equal,
    gen,
    optimal,
    spec,
)
from trunkline.experiments.preset import Preset
from trunkline.loading.service import Upload

CHANNELS = (5, 10, 20)
"""The r of the paper; what it reports is about these."""

GAINS = {
    "a": (9.9, 16.9, 26.2),
    "b": (3.9, 7.7, 15.2),
    "c": (9.6, 16.1, 25.6),
    "d": (3.4, 7.7, 16.1),
}
"""Points of the served ratio by which optimal shares are above r = 5, 10, 20 (Section VII-D)."""


@dataclass(frozen=True, slots=True)
class EqualRole:
    """A line under equal sub-channels, whatever the reading."""

    base: Role
    channels: int

    def __call__(self, reading: Reading) -> Line:
        """The line."""
        return equal(self.base(reading), self.channels)


def _bottom(upload: Upload, preset: Preset) -> Sequence[Line]:
    return _with_channels((spec(upload), optimal(upload)), preset)


def _general(upload: Upload, preset: Preset) -> Sequence[Line]:
    bases = (gen((upload, "slots")), gen((upload, "continuous")))
    return (optimal(upload), *_with_channels(bases, preset))


def _with_channels(bases: Sequence[Line], preset: Preset) -> tuple[Line, ...]:
    """Lines under optimal shares of the band, then under each number of sub-channels."""
    return (*bases, *(equal(base, r) for base in bases for r in preset.channels))


def _label(line: Line) -> str:
    """How the band is divided; the exact line of the general case keeps its name."""
    if isinstance(line.prepare, EqualChannels):
        return f"equal sub-channels, r = {line.prepare.channels}"
    return "optimal shares (12)"


def _general_label(line: Line) -> str:
    return line.name if line.name == OPTIMAL else _label(line)


def _reported(preset: Preset) -> list[Reported]:
    found = []
    for letter, gains in GAINS.items():
        role, name = (best, "Spec") if letter in "ab" else (gen, "Gen")
        over = "B" if letter in "ac" else "K"
        for channels, gain in zip(CHANNELS, gains, strict=True):
            if channels in preset.channels:
                text = f"{name} - equal r = {channels}, over {over}"
                found.append(Reported(letter, text, gain, role, EqualRole(role, channels)))
    return found


FIGURE_8 = SweepFigure(
    8,
    "optimal shares of the band against equal sub-channels",
    (
        Panel("a", "bottom", "bandwidth_hz", _bottom, _label),
        Panel("b", "bottom", "tasks", _bottom, _label),
        Panel("c", "general", "bandwidth_hz", _general, _general_label),
        Panel("d", "general", "tasks", _general, _general_label),
    ),
    _reported,
)
