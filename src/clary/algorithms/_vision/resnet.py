"""Residual networks: those of large images, 18 to 200 layers, and those of small ones, 20 to 110.

    stem ─▶ stage ─▶ stage … ─▶ mean of all places ─▶ fc      a stage: blocks, of which the first may stride

Weights are named as torchvision names them (`layer1.0.conv1.weight`), so that either side opens the other's
files. Source: He et al. (2016), "Deep residual learning for image recognition", arXiv:1512.03385.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

BASIC, BOTTLENECK = 1, 4
"""How many times wider the end of a block is than its inside."""
LARGE = {
    18: (BASIC, (2, 2, 2, 2)),
    34: (BASIC, (3, 4, 6, 3)),
    50: (BOTTLENECK, (3, 4, 6, 3)),
    101: (BOTTLENECK, (3, 4, 23, 3)),
    152: (BOTTLENECK, (3, 8, 36, 3)),
    200: (BOTTLENECK, (3, 24, 36, 3)),
}
SMALL = (20, 32, 44, 56, 110)
SMALL_SIDE = 32
"""Images up to so many pixels get a stem that keeps their size. Source: MXNet, `symbols/resnet.py`."""


class Block(nn.Module):  # type: ignore[misc]
    """Convolutions, to whose result their input is added."""

    def __init__(self, width_in: int, width: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        width_out = width * expansion
        if expansion == BASIC:
            self.conv1 = _conv(width_in, width, 3, stride, dilation)
            self.conv2 = _conv(width, width_out, 3)
        else:
            self.conv1 = _conv(width_in, width, 1)
            self.conv2 = _conv(width, width, 3, stride, dilation)
            self.conv3 = _conv(width, width_out, 1)
            self.bn3 = nn.BatchNorm2d(width_out)
        self.bn1 = nn.BatchNorm2d(width)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(_conv(width_in, width_out, 1, stride), nn.BatchNorm2d(width_out))
            if stride != 1 or width_in != width_out
            else None
        )
        self._is_deep = expansion != BASIC

    def forward(self, features: Tensor) -> Tensor:
        """Return features, shape (n_images, width * expansion, height / stride, width / stride)."""
        kept = features if self.downsample is None else self.downsample(features)
        found = self.relu(self.bn1(self.conv1(features)))
        found = self.bn2(self.conv2(found))
        if self._is_deep:
            found = self.bn3(self.conv3(self.relu(found)))
        found += kept
        result: Tensor = self.relu(found)
        return result


class ResNet(nn.Module):  # type: ignore[misc]
    """A residual network without its last layer.

    Parameters
    ----------
    n_channels : int
        Of the images.
    is_small : bool
        Whether the stem keeps the images' size.
    strides : sequence of int
        Of each stage; a stage whose stride is given as 1 in place of 2 is dilated, so that it sees as far.
    """

    def __init__(
        self,
        n_layers: int,
        n_channels: int = 3,
        *,
        is_small: bool = False,
        is_dilated: bool = False,
    ) -> None:
        super().__init__()
        expansion, counts = LARGE.get(n_layers) or (BASIC, ((n_layers - 2) // 6,) * 3)
        widths = (64, 128, 256, 512) if n_layers in LARGE else (16, 32, 64)
        is_plain = is_small or n_layers not in LARGE
        self.conv1 = _conv(n_channels, widths[0], 3 if is_plain else 7, 1 if is_plain else 2)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if is_plain else nn.MaxPool2d(3, 2, 1)
        width_in, dilation = widths[0], 1
        for stage, (width, count) in enumerate(zip(widths, counts, strict=True), 1):
            stride = 1 if stage == 1 else 2
            before = dilation
            if is_dilated and stage > 2:
                stride, dilation = 1, dilation * 2
            blocks = [Block(width_in, width, expansion, stride, before)]
            width_in = width * expansion
            blocks += [Block(width_in, width, expansion, 1, dilation) for _ in range(count - 1)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.n_stages, self.width = len(counts), width_in
        _begin(self)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return what each stage says of images, shape (n_images, n_channels, height, width)."""
        found = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        said = []
        for stage in range(1, self.n_stages + 1):
            found = getattr(self, f"layer{stage}")(found)
            said.append(found)
        return said

    def forward(self, images: Tensor) -> Tensor:
        """Return what the last stage says."""
        return self.stages(images)[-1]


class Classifier(ResNet):
    """A residual network that scores classes."""

    def __init__(self, n_layers: int, n_classes: int, shape: Sequence[int]) -> None:
        """`shape` is of the images: channels, height, width."""
        super().__init__(n_layers, shape[0], is_small=min(shape[1:]) <= SMALL_SIDE)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(self.width, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores, shape (n_images, n_classes)."""
        scores: Tensor = self.fc(self.avgpool(super().forward(images)).flatten(1))
        return scores


def _conv(width_in: int, width_out: int, size: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (size - 1) // 2
    return nn.Conv2d(width_in, width_out, size, stride, padding, dilation, bias=False)


def _begin(network: nn.Module) -> None:
    """Draw the weights, by the width of what a layer says. Source: He et al. (2015), arXiv:1502.01852."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(layer, Block):
            last = layer.bn3 if layer._is_deep else layer.bn2
            nn.init.zeros_(last.weight)  # a block begins as nothing: deep networks learn from the first step
