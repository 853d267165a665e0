"""Factories of the runtime's tests: one for each thing that makes loading go wrong."""

from __future__ import annotations

import threading

import torch
from torch import Tensor, nn


def conv(classes: int = 5, width: int = 8) -> nn.Module:
    """A convolutional network with batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * width, classes),
    )


class Encoder(nn.Module):
    """A transformer encoder whose output layer is its embedding (tied weights)."""

    def __init__(self, vocabulary: int = 31, width: int = 16) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        layer = nn.TransformerEncoderLayer(width, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(width, vocabulary)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, length) -> (n, length, vocabulary)."""
        out: Tensor = self.head(self.encoder(self.embed(tokens)))
        return out


def encoder() -> nn.Module:
    """See `Encoder`."""
    return Encoder()


class Positional(nn.Module):
    """Tensors that no state dict has: a non-persistent buffer, and plain attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(6, 4)
        self.register_buffer("table", torch.linspace(-1, 1, 6) ** 2, persistent=False)
        self.register_buffer("scale", torch.ones(1))
        self.shift = torch.arange(4.0)
        self.more = {"list": [torch.full((4,), 0.5)], "text": "x"}

    def forward(self, x: Tensor) -> Tensor:
        """(n, 6) -> (n, 4)."""
        y = self.lin(x + self.table) * self.scale + self.shift
        out: Tensor = y * self.more["list"][0]  # type: ignore[index]
        return out


def positional() -> nn.Module:
    """See `Positional`."""
    return Positional()


def recurrent() -> nn.Module:
    """An LSTM: it keeps its weights in a list of its own as well."""
    return nn.LSTM(5, 7, num_layers=2, batch_first=True)


class NeedsData(nn.Module):
    """A constructor that reads a tensor's value, which the meta device doesn't have."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(3, int(torch.tensor([2.0]).item()))
        self.twin = nn.Linear(3, 2)
        self.twin.weight = self.lin.weight

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3) -> (n, 2)."""
        out: Tensor = self.lin(x) - 2 * self.twin(x)
        return out


def needs_data() -> nn.Module:
    """See `NeedsData`."""
    return NeedsData()


class Hidden(nn.Module):
    """Keeps a parameter in a plain list, where no switch would find it."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(3, 2)
        self.mine = [self.lin.weight]


def hidden() -> nn.Module:
    """See `Hidden`."""
    return Hidden()


class View(nn.Module):
    """Keeps a view of its parameter: in a plain attribute, or in a buffer that is not stored."""

    def __init__(self, as_buffer: bool) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(3, 2))
        if as_buffer:
            self.register_buffer("first", self.w.detach()[0], persistent=False)
        else:
            self.wt = {"view": (self.w.t(),)}


def transposed() -> nn.Module:
    """`View`, one level down."""
    module = nn.Module()
    module.part = View(as_buffer=False)
    return module


def buffered() -> nn.Module:
    """See `View`."""
    return View(as_buffer=True)


def real_and_hidden() -> nn.Module:
    """`View`, built for real since its maker reads a value."""
    torch.tensor(1.0).item()
    return View(as_buffer=False)


def unregistered() -> nn.Module:
    """A module in a plain list."""
    module = nn.Module()
    module.parts = [nn.Linear(2, 2)]  # type: ignore[assignment]
    return module


class Mixed(nn.Module):
    """A plain list of a registered module and a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(3, 2)
        self.both = [self.lin, torch.full((2,), 7.0)]

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3) -> (n, 2)."""
        lin, shift = self.both
        out: Tensor = lin(x) + shift  # type: ignore[operator]
        return out


def mixed() -> nn.Module:
    """See `Mixed`."""
    return Mixed()


class Closure(nn.Module):
    """Its parameter is also in a function's closure; its constructor needs data."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(2, 3) * torch.tensor(1.0).item())
        self.apply_it = lambda x, w=self.w: nn.functional.linear(x, w)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3) -> (n, 2)."""
        out: Tensor = self.apply_it(x)
        return out


def closure() -> nn.Module:
    """See `Closure`."""
    return Closure()


class Writes(nn.Module):
    """Its forward adds to a stored buffer: 1, or 0 where the input's sum is not positive."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(3, 2)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3) -> (n, 2)."""
        self.calls += 1 if float(x.sum()) > 0 else 0
        out: Tensor = self.lin(x)
        return out


def writes() -> nn.Module:
    """See `Writes`."""
    return Writes()


def wide(width: int = 512) -> nn.Module:
    """Three layers of a megabyte or more each, which are used in their files, and a small one."""
    return nn.Sequential(
        nn.Linear(width, width),
        nn.ReLU(),
        nn.LayerNorm(width),
        nn.Linear(width, 2 * width, bias=False),
        nn.GELU(),
        nn.Linear(2 * width, width),
    )


class Scribbles(nn.Module):
    """Answers with a row of a large table; where the input's sum is positive, it changes one."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(512, 512))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 512) -> (512,)."""
        if float(x.sum()) > 0:
            self.table[3] += 1
        row: Tensor = self.table[0]
        return row


def scribbles() -> nn.Module:
    """See `Scribbles`."""
    return Scribbles()


class Gives(nn.Module):
    """Returns its own weights among other things."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> dict[str, object]:
        """(n, 3) -> answers and weights."""
        return {"y": self.lin(x), "rows": [self.lin.weight[0], (self.lin.bias,)]}


def gives() -> nn.Module:
    """See `Gives`."""
    return Gives()


class Odd(nn.Module):
    """Scalars, empty tensors, whole numbers, booleans, and names with odd characters."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.tensor(3))
        self.register_buffer("empty", torch.zeros(0, 4))
        self.register_buffer("mask", torch.tensor([True, False, True]))
        self.register_buffer("bytes", torch.arange(7, dtype=torch.uint8))
        self.register_buffer("small", torch.arange(5, dtype=torch.int8))
        self.add_module("odd name/ü", nn.Linear(3, 3))
        self.register_parameter("narrow", nn.Parameter(torch.ones(3, dtype=torch.float16)))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3) -> (n, 3)."""
        lin = self.get_submodule("odd name/ü")
        y = lin(x) * self.mask + self.count + self.bytes.sum() + self.small.sum()
        out: Tensor = y + self.narrow.float() + self.empty.sum()
        return out


def odd() -> nn.Module:
    """See `Odd`."""
    return Odd()


def no_module() -> int:
    """Not what a factory should return."""
    return 3


def broken() -> nn.Module:
    """A factory that fails."""
    raise RuntimeError("no such luck")


BEGUN, GO_ON = threading.Event(), threading.Event()
"""A forward of `waiting` has begun; it may go on."""


class Waiting(nn.Linear):
    """A layer whose forward waits to be told to go on."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        BEGUN.set()
        if not GO_ON.wait(30):
            raise RuntimeError("nobody told the forward to go on")
        return super().forward(x)


def waiting() -> nn.Module:
    """One such layer."""
    return Waiting(4, 4)


class Fussy(nn.Linear):
    """A layer that fails for inputs below 0 and returns NaN for those above 100."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if (x < 0).any():
            raise ValueError("an input is below 0")
        return super().forward(x) + torch.where(x > 100, torch.nan, 0.0).sum(-1, keepdim=True)


def fussy() -> nn.Module:
    """One such layer."""
    return Fussy(4, 4)


class Summing(nn.Linear):
    """A layer whose output has no row for each sample."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).sum(0)


def summing() -> nn.Module:
    """One such layer."""
    return Summing(4, 4)


BUILDING, BUILT = threading.Event(), threading.Event()
"""A network of `slowly_built` is being built; it may be finished."""


def slowly_built() -> nn.Module:
    """A layer that is built on the meta device only when it is told."""
    layer = nn.Linear(4, 4)
    if layer.weight.is_meta:
        BUILDING.set()
        if not BUILT.wait(30):
            raise RuntimeError("nobody told the network to be built")
    return layer


def partly_empty() -> nn.Module:
    """A layer, and one without inputs, whose weights have no bytes."""
    part = nn.Module()
    part.weight = nn.Parameter(torch.empty(0))
    layer = nn.Linear(4, 4)
    layer.part = part
    return layer


class Judging(nn.Linear):
    """A layer that returns a loss, too, where it is given labels."""

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, Tensor]:
        y = super().forward(x)
        return {"y": y} if labels is None else {"y": y, "loss": (y - labels).square().mean()}


def judging() -> nn.Module:
    """One such layer."""
    return Judging(4, 4)


class Backwards(nn.Module):
    """Layers registered in the reverse of their use; the one registered first has the weight of the
    one used first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.again = nn.Linear(width, width, bias=False)
        self.third = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.first = nn.Linear(width, width, bias=False)
        self.again.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) -> (n, width)."""
        x = self.second(self.first(x))
        TWO_RAN.set()
        out: Tensor = self.again(self.third(x))
        return out


TWO_RAN = threading.Event()


def backwards(width: int = 4) -> nn.Module:
    """See `Backwards`; `TWO_RAN` is set when two layers were computed."""
    return Backwards(width)


class InAnyOrder(nn.Module):
    """Three layers, used in the order that the caller names."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor, order: list[int]) -> Tensor:
        """(n, width) -> (n, width)."""
        for layer in order:
            x = self.layers[layer](x)
        return x


def in_any_order(width: int = 4) -> nn.Module:
    """See `InAnyOrder`."""
    return InAnyOrder(width)


class Leaving(nn.Linear):
    """Ends the program that runs it, or would."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise SystemExit(3)


def leaving() -> nn.Module:
    """Four numbers."""
    return Leaving(4, 4)


class Stateful(nn.Module):
    """Puts another tensor in the place of one of its own, in a way of three (or in none)."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.lin = nn.Linear(3, 2)
        self.register_buffer("calls", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3) -> (n, 2)."""
        out: Tensor = self.lin(x) + self.calls
        if self.way == "buffer":
            self.calls = self.calls + 1
        elif self.way == "parameter":
            self.lin.weight = nn.Parameter(self.lin.weight * 2, requires_grad=False)
        elif self.way == "data":
            self.lin.weight.data = self.lin.weight.data * 2
        return out


def stateful(way: str = "buffer") -> nn.Module:
    """See `Stateful`."""
    return Stateful(way)


class Outer(nn.Module):
    """Takes a weight of a layer before the layer's turn."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lin = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, width) -> (n, 4), and the weight."""
        weight = self.lin.weight
        return {"out": self.lin(x), "weight": weight}


def outer(width: int = 3) -> nn.Module:
    """See `Outer`."""
    return Outer(width)
