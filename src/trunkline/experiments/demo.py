"""The steps of `trunkline demo`, without their text: the command prints what they return."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trunkline.errors import InputError
from trunkline.experiments import digits, stocking, variants
from trunkline.experiments.accuracy import depths_worth_sharing
from trunkline.experiments.digits import DigitsData, FineTuned, Study, Training
from trunkline.experiments.variants import RandomVariant
from trunkline.library import ModelLibrary
from trunkline.loading import Task
from trunkline.store import ImportReport, Store, library_of

MARKER = ".trunkline-demo"
"""This file marks a folder as the demo's own, so that no other folder is ever written to."""

SPARE_BYTES = 100_000_000
"""Free space asked for beyond the weights: digits, documents, pictures."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How much the demo does.

    Attributes:
        tasks: requests in the burst.
        per_network: random variants of each of ResNet-18, -34 and -50.
        depths: frozen depths of the accuracy table.
        variants_per_task: how many depths of each digits task go into the store (first seed).
        seeds: seeds of the accuracy table.
        backbone, tuning: how long to train.
        repeats: runs of each plan; the median one is shown.
        deadline_share: the deadline is this share of the time in which whole-model loading
            serves everybody.
        margin: plans end this share of the deadline before it.
        seed: of the random weights and the burst.
    """

    tasks: int = 80
    per_network: int = 10
    depths: tuple[int, ...] = digits.DEPTHS
    variants_per_task: int = 3
    seeds: tuple[int, ...] = (0, 1, 2)
    backbone: Training = digits.BACKBONE_TRAINING
    tuning: Training = digits.TUNING
    repeats: int = 3
    deadline_share: float = 0.6
    margin: float = 0.08
    seed: int = 0

    @property
    def trainings(self) -> int:
        """How many networks the study trains."""
        return 1 + len(digits.TASKS) * len(self.depths) * len(self.seeds)


FULL = Settings()
QUICK = Settings(
    tasks=24,
    per_network=2,
    depths=(0, 4, 8),
    variants_per_task=2,
    seeds=(0,),
    backbone=Training(epochs=4, rate=0.1),
    tuning=Training(epochs=2, rate=0.05),
    repeats=1,
)


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the demo leaves what."""

    path: Path

    @property
    def store(self) -> Path:
        """The store's directory."""
        return self.path / "store"

    @property
    def weights(self) -> Path:
        """The digits variants as safetensors files, to try `trunkline import` on."""
        return self.path / "weights"

    def __truediv__(self, name: str) -> Path:
        return self.path / name


def open_folder(path: Path) -> Folder:
    """Make the demo's folder, or use the one of an earlier demo.

    Raises:
        InputError: something else is there, or it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        mine = (path / MARKER).exists()
        if not mine and any(path.iterdir()):
            raise InputError(
                f"{path} is not empty and not from an earlier demo: name a new folder with --dir"
            )
        (path / MARKER).write_text("This folder was made by `trunkline demo`; delete it freely.\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be used for the demo: {error.strerror}") from None
    return Folder(path)


def check_space(folder: Folder, store: Store, settings: Settings) -> None:
    """Refuse to start without room for what is to be written (InputError)."""
    drawn = variants.draw_variants(settings.per_network, seed=settings.seed)
    needed_bytes = stocking.bytes_to_write(store, drawn, settings.seed) + SPARE_BYTES
    free = shutil.disk_usage(folder.path).free
    if free < needed_bytes:
        less = "" if settings == QUICK else ", or take --quick"
        raise InputError(
            f"{folder.path}: the demo has {needed_bytes / 1e9:.1f} GB to write and only "
            f"{free / 1e9:.1f} GB are free there: make room, or name another place with --dir{less}"
        )


def train(settings: Settings, tell: Tell) -> tuple[DigitsData, Study]:
    """Train the digits networks."""
    data = digits.load_digits_data()
    study = digits.run_study(
        data,
        depths=settings.depths,
        seeds=settings.seeds,
        backbone_training=settings.backbone,
        tuning=settings.tuning,
        progress=tell,
    )
    return data, study


@dataclass(frozen=True, slots=True)
class Stock:
    """What the demo put into the store.

    Attributes:
        digits: the digits variants (real weights), by name.
        random: the random ones, by name.
        digits_reports, random_reports: of the imports that were needed.
    """

    digits: Mapping[str, FineTuned]
    random: Mapping[str, RandomVariant]
    digits_reports: Sequence[ImportReport]
    random_reports: Sequence[ImportReport]

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted([*self.digits, *self.random])


def stock(folder: Folder, store: Store, study: Study, settings: Settings, tell: Tell) -> Stock:
    """Import digits and random variants, as far as they are not there yet.

    Raises:
        StoreError: writing failed.
    """
    drawn = variants.draw_variants(settings.per_network, seed=settings.seed)
    chosen = [
        v
        for v in study.variants
        if v.seed == settings.seeds[0]
        and v.frozen in depths_worth_sharing(study, v.task, settings.variants_per_task)
    ]
    paths = stocking.save_digits(chosen, folder.weights)
    digits_reports = stocking.stock_digits(store, chosen, paths)
    random_reports = stocking.stock_random(store, drawn, seed=settings.seed, tell=tell)
    if any(report.replaced for report in (*digits_reports, *random_reports)):
        store.gc()  # an earlier demo had other settings
    return Stock(
        {variant.name: variant for variant in chosen},
        {variant.name: variant for variant in drawn},
        digits_reports,
        random_reports,
    )


def library(store: Store, stock: Stock) -> ModelLibrary:
    """Who shares what among the stocked models."""
    return library_of(store.model(name) for name in stock.names)


def upload_bits(stock: Stock) -> dict[str, float]:
    """What a user of each model uploads: an image of 32x32x3 bytes, or of 8x8 for digits."""
    return {
        **dict.fromkeys(stock.digits, 8.0 * 8 * 8),
        **dict.fromkeys(stock.random, 8.0 * 32 * 32 * 3),
    }


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the users send.

    Attributes:
        tensors: the input of each task by id, without a batch dimension, as its model takes it.
        expected: the right class of each digits task by id; the others have no right answer.
    """

    tensors: Mapping[str, Tensor]
    expected: Mapping[str, int]


def draw_inputs(stock: Stock, data: DigitsData, tasks: Sequence[Task], seed: int = 0) -> Inputs:
    """A held-out image for every digits task, noise for the others."""
    rng = np.random.default_rng([seed, 3])
    noise = torch.Generator().manual_seed(seed)
    held_out = {task: data.held_out.of(task) for task in {v.task for v in stock.digits.values()}}
    tensors: dict[str, Tensor] = {}
    expected: dict[str, int] = {}
    for task in tasks:
        if task.model in stock.digits:
            examples = held_out[stock.digits[task.model].task]
            index = int(rng.integers(len(examples.classes)))
            tensors[task.id] = examples.images[index].clone()
            expected[task.id] = int(examples.classes[index])
        else:
            tensors[task.id] = torch.randn(stocking.IMAGE_INPUT.shape, generator=noise)
    return Inputs(tensors, expected)
