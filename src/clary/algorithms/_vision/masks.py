"""Heads of segmentation: what a dilated residual network sees, said of every pixel.

    image ─▶ stages 1 to 4, an eighth of its size ─▶ fcn, psp or deeplab ─▶ scores, enlarged to the image's
    size
                                └▶ stage 3 ─▶ a second fcn, in training alone

Source: Long et al. (2015), arXiv:1605.06211; Zhao et al. (2017), arXiv:1612.01105; Chen et al. (2017),
arXiv:1706.05587.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from clary.algorithms._vision.resnet import ResNet

if TYPE_CHECKING:
    from torch import Tensor

LAYERS = {"resnet-50": 50, "resnet-101": 101}
GRIDS = (1, 2, 3, 6)
"""Of PSP: places a side over which features are averaged."""
RATES = (12, 24, 36)
"""Of DeepLab: dilations, at an eighth of the image's size."""
AUXILIARY = 0.5
"""Weight of the second head's loss. Source: GluonCV, `MixSoftmaxCrossEntropyLoss`."""
DROPOUT = 0.1


class Mean(nn.Sequential):  # type: ignore[misc]
    """Features averaged over a grid of places, then enlarged again."""

    def __init__(self, width_in: int, width: int, n_places: int) -> None:
        # no normalisation: of a grid of one, a mini-batch of one would have nothing to be normalised by
        super().__init__(nn.AdaptiveAvgPool2d(n_places), nn.Conv2d(width_in, width, 1), nn.ReLU(inplace=True))

    def forward(self, features: Tensor) -> Tensor:
        """Return shape (n_images, width, height, width of the features)."""
        return _enlarged(super().forward(features), features)


class Pyramid(nn.Module):  # type: ignore[misc]
    """Features, and beside them what several ways of looking wider see."""

    def __init__(self, ways: list[nn.Module], *, keeps: bool) -> None:
        super().__init__()
        self.ways = nn.ModuleList(ways)
        self._keeps = keeps

    def forward(self, features: Tensor) -> Tensor:
        """Return all of them, one behind the other."""
        seen = [way(features) for way in self.ways]
        return torch.cat([features, *seen] if self._keeps else seen, 1)


class Segmenter(nn.Module):  # type: ignore[misc]
    """A network that scores the classes of every pixel."""

    def __init__(self, algorithm: str, backbone: str, n_classes: int) -> None:
        super().__init__()
        self.backbone = ResNet(LAYERS[backbone], is_dilated=True)
        width = self.backbone.width
        self.head = HEADS[algorithm](width, n_classes)
        self.second = fcn(width // 2, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores, shape (n_images, n_classes, height, width)."""
        return _enlarged(self.head(self.backbone(images)), images)

    def both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of both heads."""
        stages = self.backbone.stages(images)
        return _enlarged(self.head(stages[-1]), images), _enlarged(self.second(stages[-2]), images)


def fcn(width_in: int, n_classes: int) -> nn.Module:
    """Return the head of a fully convolutional network."""
    return nn.Sequential(
        *_conv(width_in, width_in // 4, 3), nn.Dropout(DROPOUT), nn.Conv2d(width_in // 4, n_classes, 1)
    )


def psp(width_in: int, n_classes: int) -> nn.Module:
    """Return the head of pyramid scene parsing."""
    ways: list[nn.Module] = [Mean(width_in, width_in // 4, each) for each in GRIDS]
    last = (nn.Dropout(DROPOUT), nn.Conv2d(width_in // 4, n_classes, 1))
    return nn.Sequential(Pyramid(ways, keeps=True), *_conv(2 * width_in, width_in // 4, 3), *last)


def deeplab(width_in: int, n_classes: int) -> nn.Module:
    """Return the head of DeepLab, its third version."""
    width = width_in // 8
    wide = [nn.Sequential(*_conv(width_in, width, 3, rate)) for rate in RATES]
    ways = [nn.Sequential(*_conv(width_in, width, 1)), *wide, Mean(width_in, width, 1)]
    merged = _conv(5 * width, width, 1)
    last = (nn.Dropout(DROPOUT), *_conv(width, width, 3), nn.Conv2d(width, n_classes, 1))
    return nn.Sequential(Pyramid(ways, keeps=False), *merged, *last)


HEADS = {"fcn": fcn, "psp": psp, "deeplab": deeplab}


def _conv(width_in: int, width: int, size: int, rate: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(width_in, width, size, padding=rate * (size // 2), dilation=rate, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)


def _enlarged(features: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(features, size=like.shape[2:], mode="bilinear", align_corners=False)
