"""Users in a cell that download and infer: one draw for all settings.

The paper's set-up is not known to us (only its abstract was available), so this is one of our own,
of customary parts: users placed uniformly by area 50 to 250 m from the base station, path loss
128.1 + 37.6 log10(d / km) dB (3GPP TR 36.814), 8 dB of shadowing, 43 dBm over 100 MHz, -174 dBm/Hz
and a noise figure of 7 dB, at most 7.4 bit/s/Hz. Three of four users classify images, by any of
ViT-S, ViT-B and ResNet-50 that is accurate enough; the others continue texts by GPT-2. Devices have
0.3 to 1 GHz at 1,000 FLOP a cycle, 2 ms to launch a block, and take 5 W at 1 GHz.

A realisation draws everything from a seed and the number of the run, each kind of thing from a
generator of its own, and settings are applied to the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trunkline.experiments.streaming.networks import TOP_1, gpt2, resnet50, vit
from trunkline.radio import spectral_efficiency
from trunkline.streaming import Device, MulticastGroup, StreamingModel, StreamingProblem, User

MODELS = (vit("vit-s", 384), vit("vit-b", 768), resnet50(), gpt2())
FLOORS = (0.0, 0.78, 0.81)
"""Accuracies that image users ask for; below 0.78 there is ResNet-50, below 0.81 ViT-S."""

MOST_USERS = 80
LAUNCH_S = 0.002
FLOP_PER_CYCLE = 1000.0
JOULE_PER_CYCLE_HZ2 = 5e-27
DRAWS = ("place", "shadow", "kind", "floor", "samples", "deadline", "device", "energy", "holds")


@dataclass(frozen=True, slots=True)
class Setting:
    """A point of the sweeps.

    Attributes:
        bandwidth_hz, users: the band and how many share it.
        deadline_s: the mean; users have two thirds to four thirds of it.
        samples: least and most samples in a task.
        energy_j: mean energy budget, users have half to one and a half of it; None for none.
        speed: times the devices' speed.
        holding: share of the users whose device holds the trunks of ViT-S and ViT-B.
        group: image users that ask together for fine-tuned ViT-S in a multicast group; 0: nobody,
            and the models are those of `MODELS`.
        stream: whether the groups may have streams.
    """

    bandwidth_hz: float = 1e8
    users: int = 40
    deadline_s: float = 3.0
    samples: tuple[int, int] = (16, 48)
    energy_j: float | None = None
    speed: float = 1.0
    holding: float = 0.0
    group: int = 0
    stream: bool = True


class Realisation:
    """One draw of everything that is random; `problem` applies a setting to it."""

    def __init__(self, run: int = 0, seed: int = 0) -> None:
        self._drawn: dict[str, NDArray[np.float64]] = {}
        for source, name in enumerate(DRAWS):
            rng = np.random.default_rng(np.random.SeedSequence([seed, run, source]))
            draw = rng.standard_normal if name == "shadow" else rng.random
            self._drawn[name] = draw(MOST_USERS)

    def problem(self, setting: Setting) -> StreamingProblem:
        """The streaming problem of this realisation in a setting."""
        if setting.group:
            return self._fine_tuned(setting)
        users = tuple(self._user(setting, k, *self._asked(k)) for k in range(setting.users))
        return StreamingProblem(setting.bandwidth_hz, MODELS, users)

    def _fine_tuned(self, setting: Setting) -> StreamingProblem:
        """Everybody asks for a ViT-S of its own head on one trunk, in groups that ask together."""
        models = tuple(vit(f"vit-s/{k}", 384, trunk="vit-s") for k in range(setting.users))
        users = tuple(self._user(setting, k, (model.id,), 0.0) for k, model in enumerate(models))
        blocks = tuple(layer.block for layer in models[0].layers if layer.block is not None)
        groups = tuple(
            MulticastGroup(f"g{first}", tuple(u.id for u in users[first : first + setting.group]),
                           blocks)
            for first in range(0, setting.users, setting.group)
        )  # fmt: skip
        if not setting.stream:
            groups = ()
        return StreamingProblem(setting.bandwidth_hz, models, users, multicast=groups)

    def _asked(self, k: int) -> tuple[tuple[str, ...], float]:
        """The models that a user takes, and the accuracy that it asks for."""
        if self._drawn["kind"][k] >= 0.75:
            return ("gpt-2",), 0.0
        return tuple(TOP_1), FLOORS[int(self._drawn["floor"][k] * len(FLOORS))]

    def _user(self, setting: Setting, k: int, models: tuple[str, ...], floor: float) -> User:
        drawn = {name: float(values[k]) for name, values in self._drawn.items()}
        low, high = setting.samples
        holds = drawn["holds"] < setting.holding
        return User(
            id=f"u{k:02}",
            models=models,
            bits_per_s_per_hz=efficiency(drawn["place"], drawn["shadow"]),
            deadline_s=setting.deadline_s * (2 + 2 * drawn["deadline"]) / 3,
            device=Device(
                1e9 * setting.speed * (0.3 + 0.7 * drawn["device"]),
                1 / FLOP_PER_CYCLE,
                JOULE_PER_CYCLE_HZ2,
            ),
            samples=low + int(drawn["samples"] * (high + 1 - low)),
            energy_j=None
            if setting.energy_j is None
            else setting.energy_j * (0.5 + drawn["energy"]),
            fixed_s=LAUNCH_S,
            min_accuracy=floor,
            cached=HELD if holds and models != ("gpt-2",) else {},
        )


def trunk_held(model: StreamingModel) -> tuple[bool, ...]:
    """A device that holds all of a model but its head."""
    return (*(True for _ in model.layers[1:]), False)


HELD = {model.id: trunk_held(model) for model in MODELS if model.id.startswith("vit")}


def efficiency(place: float, shadow: float) -> float:
    """Bit/s/Hz of a user: `place` in [0, 1) by area, `shadow` in standard deviations."""
    near, far = 0.05, 0.25
    distance_km = float(np.sqrt(near**2 + place * (far**2 - near**2)))
    loss_db = 128.1 + 37.6 * float(np.log10(distance_km)) + 8.0 * shadow
    snr_db = (43.0 - 80.0) - loss_db - (-174.0 + 7.0)  # both per Hz, in dBm
    return min(7.4, float(spectral_efficiency(10.0 ** (snr_db / 10.0))))
