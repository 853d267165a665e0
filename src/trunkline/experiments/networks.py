"""The networks of the experiments, as PyTorch modules.

ResNet-18, -34 and -50 follow He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition"
(2015), Table 1, in the variant most published weights have (a stride of 2 sits in the 3x3
convolution of a bottleneck). The names of their tensors are the customary ones (`conv1`, `bn1`,
`layer1.0.conv1`, ..., `fc`), so weights trained elsewhere fit. `DigitsNet` is a small sibling for
8x8 grey images.

A *layer* is what the PartialLoading paper counts: every convolution, batch normalisation and fully
connected module. Layers come in the order in which they are registered, which is the order in
which they run, except that a residual block's shortcut is registered after its main path.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

LAYER_TYPES = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)


def layers(module: nn.Module) -> dict[str, nn.Module]:
    """The layers of a network by name, in registration order (see the module's docstring)."""
    return {name: one for name, one in module.named_modules() if isinstance(one, LAYER_TYPES)}


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """The projection of a shortcut whose shape changes (option B of the paper), else None."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: the block of ResNet-18 and -34."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, width, h/stride, w/stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(y + shortcut)
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut: the block of ResNet-50."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = _conv(inputs, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, 4 width, h/stride, w/stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(y + shortcut)
        return out


class ResNet(nn.Module):
    """A residual network for colour images of any size from 32x32 up.

    Args:
        block: the kind of residual block.
        depths: how many blocks each of the four stages has.
        num_classes: outputs of the last layer.
    """

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], depths: Sequence[int], num_classes: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        channels = 64
        for stage, depth in enumerate(depths):
            width = 64 * 2**stage
            blocks = []
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(channels, width, stride))
                channels = width * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, num_classes) logits."""
        for stage in self.children():  # registered in the order in which they run
            x = stage(x)
        return x


class DigitsNet(nn.Module):
    """A small convolutional network for 8x8 grey images: 6 convolutions, 13 layers.

    Args:
        num_classes: outputs of the last layer.
        width: channels of the first convolution; the widest has 4 times as many.
    """

    def __init__(self, num_classes: int = 10, width: int = 16) -> None:
        super().__init__()
        channels = 1
        for index, (factor, stride) in enumerate(
            [(1, 1), (1, 1), (2, 2), (2, 1), (4, 2), (4, 1)], start=1
        ):
            self.add_module(f"conv{index}", _conv(channels, factor * width, 3, stride))
            channels = factor * width
            self.add_module(f"bn{index}", nn.BatchNorm2d(channels))
            self.add_module(f"relu{index}", nn.ReLU(inplace=True))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 8, 8) -> (n, num_classes) logits."""
        for stage in self.children():
            x = stage(x)
        return x


def resnet18(num_classes: int = 10) -> ResNet:
    """ResNet-18: 41 layers, 44.77 MB in fp32 with 10 classes."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes)


def resnet34(num_classes: int = 10) -> ResNet:
    """ResNet-34: 73 layers, 85.23 MB in fp32 with 10 classes."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes)


def resnet50(num_classes: int = 10) -> ResNet:
    """ResNet-50: 107 layers, 94.33 MB in fp32 with 10 classes."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes)


def digits_net(num_classes: int = 10, width: int = 16) -> DigitsNet:
    """The digits network: 13 layers, 0.29 MB in fp32 (`DigitsNet`)."""
    return DigitsNet(num_classes, width)
