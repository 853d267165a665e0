"""Real data, real training: a backbone for digits and variants fine-tuned from it.

The data are the 1,797 scanned digits (8x8 grey) that come with scikit-learn. A backbone learns all
ten upright digits from one half of them; each variant then learns a *task* - some of the labels,
perhaps rotated - from a quarter that the backbone never saw, with its bottom layers frozen. The
last quarter is held out and only ever tested on. Accuracy against the number of frozen layers is
the experiment of PartialLoading, Fig. 2, on data that every machine has.

A frozen layer keeps its parameters *and* runs in evaluation mode, so the running statistics of a
frozen batch normalisation stay the backbone's. Otherwise they drift, and the layer is not shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from trunkline.errors import InputError
from trunkline.experiments.networks import DigitsNet, digits_net, layers

DEPTHS = (0, 2, 4, 6, 8, 10, 12)
"""Numbers of frozen bottom layers: a convolution and its batch normalisation at a time."""

StateDict = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class DigitsTask:
    """What a variant learns: to name the digits in `labels`, turned by `turns` quarter turns."""

    name: str
    labels: tuple[int, ...]
    turns: int = 0

    @property
    def meaning(self) -> str:
        """What is learned, for people: `labels 0-4`, `all labels, turned 90°`."""
        first, last = self.labels[0], self.labels[-1]
        whole = self.labels == tuple(range(first, last + 1))
        text = f"{first}-{last}" if whole else ", ".join(map(str, self.labels))
        turned = f", turned {90 * self.turns}°" if self.turns else ""
        return ("all labels" if self.labels == ALL else f"labels {text}") + turned


ALL = tuple(range(10))
TASKS = (
    DigitsTask("low", (0, 1, 2, 3, 4)),
    DigitsTask("high", (5, 6, 7, 8, 9)),
    DigitsTask("turned90", ALL, 1),
    DigitsTask("turned180", ALL, 2),
)


@dataclass(frozen=True, slots=True)
class Examples:
    """Images, float32 of shape (n, 1, 8, 8) in [-1, 1], and their classes, int64 of shape (n,)."""

    images: Tensor
    classes: Tensor

    def of(self, task: DigitsTask) -> Examples:
        """The examples of a task: its labels only, turned, classes numbered as in its labels."""
        keep = torch.isin(self.classes, torch.tensor(task.labels))
        images = torch.rot90(self.images[keep], task.turns, (2, 3)).contiguous()
        number = torch.full((10,), -1)
        number[list(task.labels)] = torch.arange(len(task.labels))
        return Examples(images, number[self.classes[keep]])


@dataclass(frozen=True, slots=True)
class DigitsData:
    """The three parts of the data: for the backbone, for the variants, and held out."""

    backbone: Examples
    tuning: Examples
    held_out: Examples


def load_digits_data(seed: int = 0) -> DigitsData:
    """Split scikit-learn's digits into a half, a quarter and a quarter, at random by `seed`.

    Raises:
        InputError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InputError(
            "the digits come with scikit-learn, which is not installed: "
            "pip install 'trunkline[demo]'"
        ) from error

    pixels, classes = load_digits(return_X_y=True)  # pixels 0..16, shape (1797, 64)
    order = np.random.default_rng(seed).permutation(len(classes))
    images = torch.from_numpy((pixels[order] / 8.0 - 1.0).astype(np.float32)).view(-1, 1, 8, 8)
    labels = torch.from_numpy(classes[order].astype(np.int64))
    half, rest = len(order) // 2, 3 * len(order) // 4
    parts = (slice(0, half), slice(half, rest), slice(rest, None))
    return DigitsData(*(Examples(images[part], labels[part]) for part in parts))


@dataclass(frozen=True, slots=True)
class Training:
    """How long and how fast to train: stochastic gradient descent, rate falling to 0."""

    epochs: int
    rate: float
    batch: int = 32
    momentum: float = 0.9
    weight_decay: float = 5e-4


BACKBONE_TRAINING = Training(epochs=12, rate=0.1)
TUNING = Training(epochs=8, rate=0.1)
"""Short, since a demo waits for them."""


@dataclass(frozen=True, slots=True)
class FineTuned:
    """One variant: its task, frozen layers, seed, held-out accuracy (0..1) and weights."""

    task: DigitsTask
    frozen: int
    seed: int
    accuracy: float
    state: StateDict

    @property
    def name(self) -> str:
        """The name it is stored under, `digits-<task>-frozen<n>`."""
        return f"digits-{self.task.name}-frozen{self.frozen}"


@dataclass(frozen=True, slots=True)
class Backbone:
    """The network that every variant starts from, with its held-out accuracy (0..1)."""

    accuracy: float
    state: StateDict


@dataclass(frozen=True, slots=True)
class Study:
    """Backbone and variants of `run_study`; variants by task, then depth, then seed."""

    backbone: Backbone
    variants: tuple[FineTuned, ...]

    def accuracies(self, task: DigitsTask, frozen: int) -> tuple[float, ...]:
        """Held-out accuracies of the variants of a task and a depth, one a seed."""
        return tuple(v.accuracy for v in self.variants if (v.task, v.frozen) == (task, frozen))


def freeze(net: nn.Module, count: int) -> None:
    """Freeze the `count` bottom layers: no gradients, and evaluation mode for their statistics."""
    for layer in list(layers(net).values())[:count]:
        layer.eval()
        layer.requires_grad_(False)


def accuracy(net: nn.Module, examples: Examples) -> float:
    """The share of `examples` that the network names rightly."""
    net.eval()
    with torch.inference_mode():
        right = net(examples.images).argmax(1) == examples.classes
    return float(right.double().mean())


def train(
    net: DigitsNet, examples: Examples, training: Training, seed: int, frozen: int = 0
) -> None:
    """Train a network in place, its `frozen` bottom layers as they are; repeatable by seed."""
    net.train()
    freeze(net, frozen)
    bottom = list(net.children())[: 3 * frozen // 2]  # a frozen convolution comes with bn and relu
    with torch.no_grad():  # frozen layers give the same features in every epoch
        features = nn.Sequential(*bottom)(examples.images)
    top = nn.Sequential(*list(net.children())[len(bottom) :])
    optimiser = torch.optim.SGD(
        [p for p in net.parameters() if p.requires_grad],
        lr=training.rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        nesterov=True,
    )
    count = len(examples.classes)
    steps = training.epochs * -(-count // training.batch)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, steps)
    rng = np.random.default_rng(seed)
    for _ in range(training.epochs):
        order = torch.from_numpy(rng.permutation(count))
        for start in range(0, count, training.batch):
            rows = order[start : start + training.batch]
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(top(features[rows]), examples.classes[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    net.eval()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: such small tensors gain nothing from more, suffer on a busy machine,
    and their sums would depend on how many threads there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seeded_net(num_classes: int, seed: int) -> DigitsNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return digits_net(num_classes)


def train_backbone(data: DigitsData, training: Training, seed: int = 0) -> Backbone:
    """Train the backbone on all ten upright digits."""
    net = _seeded_net(10, seed)
    with _one_thread():
        train(net, data.backbone, training, seed)
        return Backbone(accuracy(net, data.held_out), net.state_dict())


def fine_tune(
    backbone: Backbone,
    data: DigitsData,
    task: DigitsTask,
    frozen: int,
    training: Training,
    seed: int = 0,
) -> FineTuned:
    """Fine-tune the backbone for a task with `frozen` (even) bottom layers as they are."""
    if frozen not in DEPTHS:
        raise ValueError(f"frozen must be one of {DEPTHS}, not {frozen}")
    net = _seeded_net(len(task.labels), seed)
    below_last = {k: v for k, v in backbone.state.items() if not k.startswith("fc.")}
    net.load_state_dict(below_last, strict=False)  # the last layer starts afresh
    with _one_thread():
        train(net, data.tuning.of(task), training, seed, frozen)
        reached = accuracy(net, data.held_out.of(task))
    return FineTuned(task, frozen, seed, reached, net.state_dict())


def run_study(
    data: DigitsData,
    *,
    tasks: Iterable[DigitsTask] = TASKS,
    depths: Iterable[int] = DEPTHS,
    seeds: Iterable[int] = (0, 1, 2),
    backbone_training: Training = BACKBONE_TRAINING,
    tuning: Training = TUNING,
    progress: Callable[[str], None] | None = None,
) -> Study:
    """Train the backbone and every (task, depth, seed) variant.

    Args:
        progress: called with one line before each training.
    """
    tell = progress or (lambda _: None)
    tell("the backbone, all ten digits")
    backbone = train_backbone(data, backbone_training)
    variants = []
    wanted = [(task, depth, seed) for task in tasks for depth in depths for seed in seeds]
    for task, depth, seed in wanted:
        tell(f"{task.name}, {depth} layers frozen, seed {seed}")
        variants.append(fine_tune(backbone, data, task, depth, tuning, seed))
    return Study(backbone, tuple(variants))
