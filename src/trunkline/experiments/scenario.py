"""PartialLoading's simulations (Section VII) as loading problems: one draw for all settings.

A realisation draws, from a seed and the number of the run alone, where users are and how their
channels fade, which models they ask for, and which layers each model keeps of its backbone. The
problems of all settings are made from the same draws, so that methods and settings are compared on
equal terms: more users keep the first ones as they are, and a greater share of layers keeps those
that were kept before.

The paper's two cases are "bottom" (a model keeps its lowest layers) and "general" (layers
anywhere). The last layer, which names the classes, is always a model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trunkline.experiments.burst import Cell
from trunkline.experiments.layers import layer_bytes
from trunkline.experiments.preset import Point, Preset, load_preset
from trunkline.library import Model, ModelLibrary
from trunkline.links import Link, Stage
from trunkline.loading import LoadingModel, LoadingProblem, Task
from trunkline.radio import distances_in_cell, rayleigh_power

Sharing = Literal["bottom", "general"]

Kept = NDArray[np.bool_]
"""Which layers of its backbone a model keeps, in the layers' order."""


class Realisation:
    """One draw of everything that is random in a simulation.

    Args:
        preset: the setting.
        sharing: which layers models share.
        models: I, how many models the library has.
        run: number of the realisation.
        seed: names the experiment.
    """

    def __init__(
        self, preset: Preset, sharing: Sharing, models: int, run: int = 0, seed: int = 0
    ) -> None:
        self._preset = preset
        self._sharing = sharing
        self._count = models
        self._streams = tuple([seed, run, source] for source in range(5))
        self._libraries: dict[float, ModelLibrary] = {}

    def problem(self, point: Point) -> LoadingProblem:
        """The loading problem of this realisation at a point of the sweeps."""
        return LoadingProblem(
            point.deadline_s,
            point.bandwidth_hz,
            Link(tuple(Stage(s.bytes_per_s, s.overhead_s) for s in self._preset.loading)),
            self.library(point.share),
            self._computing,
            self._tasks(point.tasks),
        )

    def library(self, share: float) -> ModelLibrary:
        """The library when models keep this share of their layers on average."""
        found = self._libraries.get(share)
        if found is None:
            found = self._libraries[share] = sharing_library(self._names, self._kept(share))
        return found

    @cached_property
    def _names(self) -> list[str]:
        """The models' ids, such as `resnet50-07`."""
        networks = self._preset.networks
        return [
            f"{networks[i % len(networks)].network}-{i // len(networks):02d}"
            for i in range(self._count)
        ]

    @cached_property
    def _computing(self) -> tuple[LoadingModel, ...]:
        networks, most = self._preset.networks, self._preset.max_batch
        costs = [(n.seconds_per_batch, n.seconds_per_task) for n in networks]
        return tuple(
            LoadingModel(name, *costs[i % len(costs)], most) for i, name in enumerate(self._names)
        )

    def _kept(self, share: float) -> list[Kept]:
        """The layers that each model keeps: a share of them uniform around the average."""
        uniform = self._generator(0).random(self._count)
        positions = self._generator(1)
        spread = min(self._preset.share_spread, 1.0 - share, share)
        kept = []
        for name, u in zip(self._names, uniform, strict=True):
            layers = len(layer_bytes(name.partition("-")[0]))
            wanted = min(round(layers * (share + spread * (2.0 * u - 1.0))), layers - 1)
            rank = np.arange(layers)
            if self._sharing == "general":
                rank[:-1] = positions.permutation(layers - 1)
            kept.append(rank < wanted)
        return kept

    def _tasks(self, count: int) -> tuple[Task, ...]:
        """The first `count` users' tasks; each model is equally likely to be asked for."""
        part = self._preset.cell
        cell = Cell(
            part.radius_m, part.power_w_per_hz, part.noise_dbm_per_hz, part.path_loss_exponent
        )
        links = cell.links(
            distances_in_cell(count, part.radius_m, self._generator(2)),
            rayleigh_power(count, self._generator(3)),
        )
        asked = (self._generator(4).random(count) * self._count).astype(int)
        bits = 8.0 * self._preset.upload_bytes
        return tuple(
            Task(f"u{number:03d}", self._names[model], bits, link)
            for number, (model, link) in enumerate(zip(asked, links, strict=True), start=1)
        )

    def _generator(self, source: int) -> np.random.Generator:
        """The generator of one source of randomness, from its beginning."""
        return np.random.default_rng(self._streams[source])


def sharing_library(names: Sequence[str], kept: Sequence[Kept]) -> ModelLibrary:
    """The library of models that keep some layers of their backbones.

    Layers of a backbone that exactly the same models keep are one block, named by the first and
    the last of each run of layers (`resnet50/0-75`, `resnet18/3-3,8-9`).

    Args:
        names: `network-...`, one a model.
        kept: the layers of its network that each model keeps.
    """
    sizes: dict[str, float] = {}
    holds: dict[str, list[str]] = {name: [] for name in names}
    for network in dict.fromkeys(name.partition("-")[0] for name in names):
        own = [i for i, name in enumerate(names) if name.partition("-")[0] == network]
        bytes_of = np.array(layer_bytes(network), dtype=float)
        incidence = np.array([kept[i] for i in own])
        holders, group = np.unique(incidence, axis=1, return_inverse=True)
        for column in sorted(range(holders.shape[1]), key=lambda g: int(np.argmax(group == g))):
            if holders[:, column].any():
                block = f"{network}/{_runs(np.flatnonzero(group == column).tolist())}"
                sizes[block] = float(bytes_of[group == column].sum())
                for row in np.flatnonzero(holders[:, column]).tolist():
                    holds[names[own[row]]].append(block)
        for row, i in enumerate(own):
            sizes[f"{names[i]}/own"] = float(bytes_of[~incidence[row]].sum())
            holds[names[i]].append(f"{names[i]}/own")
    return ModelLibrary(sizes, [Model(name, tuple(holds[name])) for name in names])


def _runs(layers: list[int]) -> str:
    """Increasing numbers as runs: 3, 8, 9 -> `3-3,8-9`."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ",".join(f"{first}-{last}" for first, last in runs)


def paper_problem(
    models: int | None = None,
    tasks: int | None = None,
    *,
    sharing: Sharing = "bottom",
    share: float | None = None,
    deadline_s: float | None = None,
    seed: int = 0,
    run: int = 0,
    preset: Preset | None = None,
) -> LoadingProblem:
    """One realisation of the paper's setting; what is None is as in the preset (set A).

    Args:
        models: I, a third of them of each network.
        tasks: K, one a user.
        share: theta, the share of layers that a model keeps of its backbone, on average.
        deadline_s: one for all tasks.
        seed, run: fix the draw.
    """
    preset = preset or load_preset()
    default = preset.point
    point = Point(
        bandwidth_hz=default.bandwidth_hz,
        tasks=default.tasks if tasks is None else tasks,
        deadline_s=default.deadline_s if deadline_s is None else deadline_s,
        share=default.share if share is None else share,
    )
    count = getattr(preset.models, sharing) if models is None else models
    return Realisation(preset, sharing, count, run, seed).problem(point)
