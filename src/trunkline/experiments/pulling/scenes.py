"""Pulling scenarios on EUA: one draw for all points of the sweeps.

A realisation draws, from a seed and the number of the run alone, which stations have a cloudlet
and what it can do, who asks for what, and how models are tuned. Scenarios at all points are made
from the same draws: more sites, requests or models keep the first ones as they are, a larger
storage is the same draw times another mean, and a larger shared fraction keeps the layers that were
shared before. So points and methods are compared within realisations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trunkline.experiments.pulling.eua import Points, distances_m, stations, users
from trunkline.experiments.pulling.preset import Point, Preset
from trunkline.experiments.pulling.topology import (
    CENTRE,
    hub_name,
    hub_places,
    station_links,
    station_name,
)
from trunkline.experiments.pulling.tuning import Tuning, task_name
from trunkline.pulling.queueing import Queue
from trunkline.pulling.scenario import (
    AccessPoint,
    CandidateModel,
    Cloudlet,
    DataCentre,
    Demand,
    Scenario,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What recorded traces say of the requests.

    Attributes:
        tokens: demands, to be drawn from; empty where there is no trace of them.
        popularity: the share of requests for each kind of task, as many as the preset has at most;
            empty where all are asked alike.
    """

    tokens: tuple[float, ...] = ()
    popularity: tuple[float, ...] = ()


NOTHING = Recorded()


class Realisation:
    """One draw of everything that is random.

    Args:
        preset: the setting.
        run: number of the realisation.
        seed: names the experiment.
        recorded: what traces say; where they say nothing, the preset is drawn from.
    """

    def __init__(
        self, preset: Preset, run: int = 0, seed: int = 0, recorded: Recorded = NOTHING
    ) -> None:
        self._preset = preset
        sources = np.random.SeedSequence([seed, run]).spawn(4)
        places, machines, asking, tuning = (np.random.default_rng(one) for one in sources)
        self._order: list[int] = places.permutation(len(stations()[0])).tolist()
        self._machines = _Machines(preset, machines)
        self._asking = _Asking(preset, asking, recorded)
        self._tuning = Tuning(preset, tuning)

    def scenario(self, point: Point) -> Scenario:
        """The scenario of this realisation at a point of the sweeps."""
        preset, places = self._preset, stations()[1]
        blocks, models = self._tuning.library(point.models, point.shared)
        active, others = self._order[: point.sites], self._order[point.sites :]
        hubs = hub_places(preset.network.hubs)
        points = [AccessPoint(station_name(n), _kilometres(places[n])) for n in others]
        points += [AccessPoint(hub_name(n), _kilometres(hub)) for n, hub in enumerate(hubs)]
        return Scenario(
            data_centre=_centre(preset),
            cloudlets=tuple(
                self._machines.cloudlet(station, point.storage_bytes, models) for station in active
            ),
            links=station_links(preset.network),
            blocks=blocks,
            models=models,
            demands=self._asking.demands(point, active, models),
            access_points=tuple(points),
            seconds_per_joule=preset.seconds_per_joule,
            period_s=preset.site.period_s,
        )


class _Machines:
    """What the cloudlet at each station could do."""

    def __init__(self, preset: Preset, rng: np.random.Generator) -> None:
        count = len(stations()[0])
        self._preset = preset
        self._speed = rng.uniform(*preset.site.flop_per_s, count)
        self._capacity = rng.uniform(*preset.site.capacity_flop_per_s, count)
        self._load = rng.uniform(*preset.site.queue_load, count)
        self._storage = rng.uniform(0.5, 1.5, count)
        self._holds = rng.random(count) < preset.site.resident
        self._held = rng.integers(len(preset.backbones), size=count)

    def cloudlet(
        self, station: int, storage_bytes: float, models: Sequence[CandidateModel]
    ) -> Cloudlet:
        """The cloudlet at a station."""
        site = self._preset.site
        held: tuple[str, ...] = ()
        if self._holds[station] and self._held[station] < len(models):
            held = models[self._held[station]].blocks  # the backbones are the first models
        return Cloudlet(
            id=station_name(station),
            storage_bytes=storage_bytes * float(self._storage[station]),
            flop_per_s=float(self._speed[station]),
            capacity_flop_per_s=float(self._capacity[station]),
            queue=_queue(float(self._load[station]), site.queue_service_s),
            compute_w=site.compute_w,
            transfer_w=site.transfer_w,
            resident=frozenset(held),
            position=_kilometres(stations()[1][station]),
        )


class _Asking:
    """Who asks for what: one request a user, users in a drawn order."""

    def __init__(self, preset: Preset, rng: np.random.Generator, recorded: Recorded) -> None:
        count = len(users())
        self._preset = preset
        self._user = rng.permutation(count)
        if recorded.popularity:
            self._task = rng.choice(len(recorded.popularity), count, p=recorded.popularity)
        else:
            self._task = rng.integers(preset.tasks, size=count)
        self._need = rng.uniform(-preset.accuracy_spread, preset.accuracy_spread, count)
        self._input = _log_uniform(rng, preset.input_bytes, count)
        self._output = _log_uniform(rng, preset.output_bytes, count)
        normal = rng.standard_normal(count)
        drawn = preset.tokens.median * np.exp(preset.tokens.sigma * normal)
        given = np.asarray(recorded.tokens)
        self._tokens = rng.choice(given, count) if given.size else drawn

    def demands(
        self, point: Point, active: Sequence[int], models: Sequence[CandidateModel]
    ) -> tuple[Demand, ...]:
        """The first requests of the draw: from the station nearest to the user, to be served by
        the nearest sites."""
        places = stations()[1]
        homes = distances_m(users(), places).argmin(axis=1)
        near = np.argsort(distances_m(places, places[list(active)]), axis=1, kind="stable")
        best = _best(models)
        found = []
        for n in range(point.requests):
            home, task = int(homes[self._user[n]]), task_name(int(self._task[n]))
            need = min(point.accuracy + float(self._need[n]), best[task])
            allowed = [station_name(active[k]) for k in near[home, : self._preset.reach]]
            demand = Demand(
                id=f"r{n:03d}",
                home=station_name(home),
                units=float(np.ceil(self._tokens[n])),
                input_bytes=float(np.round(self._input[n])),
                output_bytes=float(np.round(self._output[n])),
                type=task,
                accuracy=max(need, 0.0),
                sites=tuple(allowed),
            )
            found.append(demand)
        return tuple(found)


def _log_uniform(rng: np.random.Generator, ends: tuple[float, float], count: int) -> Array:
    return np.exp(rng.uniform(math.log(ends[0]), math.log(ends[1]), count))


def _best(models: Sequence[CandidateModel]) -> dict[str, float]:
    """The most accurate model's accuracy by kind of task."""
    best: dict[str, float] = {}
    for model in models:
        if isinstance(model.accuracy, Mapping):
            for task, value in model.accuracy.items():
                best[task] = max(best.get(task, 0.0), value)
    return best


def _centre(preset: Preset) -> DataCentre:
    """The data centre, drawn to the left of the map."""
    centre = preset.centre
    places = stations()[1]
    position = (float(places[:, 0].min()) / 1e3 - 0.5, float(places[:, 1].mean()) / 1e3)
    return DataCentre(
        id=CENTRE,
        flop_per_s=centre.flop_per_s,
        queue=_queue(centre.queue_load, centre.queue_service_s),
        compute_w=centre.compute_w,
        transfer_w=centre.transfer_w,
        position=position,
    )


def _queue(load: float, service_s: float) -> Queue:
    """An M/G/1 queue whose service times spread as much as exponential ones."""
    return Queue(load / service_s, 1 / service_s, service_s)


def _kilometres(place: Points) -> tuple[float, float]:
    east, north = (place / 1e3).tolist()
    return round(east, 4), round(north, 4)
