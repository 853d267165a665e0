"""Models tuned from a few backbones: which layers they keep, what they are good at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trunkline.experiments.pulling.backbones import BACKBONES
from trunkline.experiments.pulling.preset import MOST_MODELS, Preset
from trunkline.pulling.scenario import CandidateModel


class Tuning:
    """The draw of models.

    The backbones come first, untuned; then models tuned from them in turns, each for one kind of
    task. A tuned model keeps the lowest layers of its backbone (the embedding is the lowest), never
    its head.
    """

    def __init__(self, preset: Preset, rng: np.random.Generator) -> None:
        self._preset = preset
        self._keeps = rng.uniform(-1.0, 1.0, MOST_MODELS)
        self._task = rng.integers(preset.tasks, size=MOST_MODELS)
        self._own = rng.uniform(*preset.tuned_gain, MOST_MODELS)
        self._other = rng.uniform(*preset.other_gain, (MOST_MODELS, preset.tasks))

    def library(
        self, count: int, shared: float
    ) -> tuple[dict[str, float], tuple[CandidateModel, ...]]:
        """The blocks' sizes and the first `count` models, when they keep this fraction of their
        layers on average."""
        sizes: dict[str, float] = {}
        models = []
        for n in range(count):
            part = self._preset.backbones[n % len(self._preset.backbones)]
            tuned = n >= len(self._preset.backbones)
            layers = BACKBONES[part.network].layer_parameters
            kept = self._kept(n, len(layers), shared) if tuned else len(layers)
            name = f"{part.network}-{n:02d}" if tuned else part.network
            blocks = []
            for k, parameters in enumerate(layers):
                blocks.append(f"{part.network if k < kept else name}/{k:02d}")
                sizes[blocks[-1]] = parameters * self._preset.bytes_per_parameter
            work = sum(layers) * self._preset.flop_per_parameter
            accuracy = self._accuracy(n, part.accuracy, tuned)
            models.append(CandidateModel(name, tuple(blocks), work, accuracy))
        return sizes, tuple(models)

    def _kept(self, model: int, layers: int, shared: float) -> int:
        """How many layers a tuned model keeps; a larger mean never keeps fewer."""
        spread = min(self._preset.shared_spread, shared, 1.0 - shared)
        fraction = shared + spread * float(self._keeps[model])
        return min(round(fraction * layers), layers - 1)

    def _accuracy(self, model: int, base: float, tuned: bool) -> dict[str, float]:
        """By kind of task."""
        gains: NDArray[np.float64] = np.zeros(self._preset.tasks)
        if tuned:
            gains = self._other[model].copy()
            gains[self._task[model]] = self._own[model]
        found = np.clip(base + gains, 0.0, 1.0)
        return {task_name(n): round(float(value), 4) for n, value in enumerate(found)}


def task_name(number: int) -> str:
    """The id of a kind of task."""
    return f"task{number}"
