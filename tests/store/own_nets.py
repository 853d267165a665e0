"""Networks that the tests copy into a folder of their own and import from there."""

import sys

import torch
from torch import nn


class Net(nn.Module):
    """Defined head first; runs body first; one module is never run."""

    def __init__(self, width=4, tie=False):
        super().__init__()
        self.head = nn.Linear(width, 2)
        self.body = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)
        self.spare = nn.Linear(width, width)
        if tie:
            self.spare.weight = self.body.weight
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.head(self.norm(self.body(x))) * self.scale


class Borrowing(nn.Module):
    """Uses the weight of a part without calling it, between two others."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 4)
        self.lent = nn.Linear(4, 4)
        self.first = nn.Linear(4, 4)

    def forward(self, x):
        x = self.first(x.to(self.last.weight.dtype))
        return self.last(nn.functional.linear(x, self.lent.weight)[:, : self.last.weight.shape[1]])


class Holder:
    inner = Net

    @classmethod
    def make(cls):
        return Net()


class Looking(Net):
    """A constructor that reads its own tensors, as stochastic depth does."""

    def __init__(self):
        super().__init__(tie=True)
        self.rates = [rate.item() for rate in torch.linspace(0, 1, 3)]


class Strict(Net):
    def forward(self, x):
        raise ValueError("not today")


class Leaving(Net):
    def forward(self, x):
        sys.exit(3)


class Extra(nn.Linear):
    def get_extra_state(self):
        return {"a": 1}

    def set_extra_state(self, state):
        pass


class Renamed(nn.Linear):
    def state_dict(self, *args, **kwargs):
        return {f"old.{key}": value for key, value in super().state_dict(*args, **kwargs).items()}


def lazy():
    """A parameter whose shape is not known yet."""
    return nn.LazyLinear(3)


def helped():
    """Imports a module when it is called."""
    from helper_of_nets import width

    return Net(width)


def fails():
    """Raises."""
    raise RuntimeError("no luck")


def leaves():
    """Ends the process."""
    sys.exit(3)


def looks():
    """Reads a tensor, and returns no module."""
    return float(torch.ones(1).sum())


def number():
    """Returns no module."""
    return 3


value = 7
