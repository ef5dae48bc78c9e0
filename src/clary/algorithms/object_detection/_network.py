"""SSD: a base network, smaller and smaller layers behind it, and boxes around every place of each.

    image ─▶ vgg-16 or resnet-50 ─▶ 38 x 38, 19 x 19, then 10, 5, 3, 2 of 300 pixels ─▶ a score a class and
    four
                                                                   offsets for each of the boxes of a place

Source: Liu et al. (2016), "SSD: single shot multibox detector", arXiv:1512.02325.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from clary.algorithms._vision.resnet import ResNet

if TYPE_CHECKING:
    from torch import Tensor

BLOCKS = (2, 2, 3, 3, 3)
"""Convolutions of VGG-16 between its poolings. Source: Simonyan and Zisserman (2015), arXiv:1409.1556."""
WIDTHS = (64, 128, 256, 512, 512)
RATIOS = (
    (1, 2, 0.5),
    (1, 2, 0.5, 3, 1 / 3),
    (1, 2, 0.5, 3, 1 / 3),
    (1, 2, 0.5, 3, 1 / 3),
    (1, 2, 0.5),
    (1, 2, 0.5),
)
"""Width over height of the boxes of each layer."""
SCALES = (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05)
"""Sides of the boxes of each layer, of the image's; the last is one more for the box between two."""
VARIANCES = (0.1, 0.2)
"""What centres' and sides' offsets are divided by. Source: the authors' code."""


class Vgg(nn.Module):  # type: ignore[misc]
    """VGG-16 with its last two layers as convolutions; `features` is named as torchvision names it."""

    widths = (512, 1024)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width_in = 3
        for count, width in zip(BLOCKS, WIDTHS, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(width_in, width, 3, padding=1), nn.ReLU(inplace=True)]
                width_in = width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        layers[-1] = nn.MaxPool2d(3, 1, 1)
        self.features = nn.Sequential(*layers)
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=6, dilation=6)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self._conv4 = len(layers) - 8  # behind the ReLU of the fourth block's last convolution
        self.scale = nn.Parameter(torch.full((1, 512, 1, 1), 20.0))
        for each in self.modules():
            if isinstance(each, nn.Conv2d):
                nn.init.kaiming_normal_(each.weight, nonlinearity="relu")
                nn.init.zeros_(each.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return features of an eighth and of a sixteenth of the images' size."""
        found = images
        for layer in self.features[: self._conv4]:
            found = layer(found)
        first = functional.normalize(found) * self.scale
        for layer in self.features[self._conv4 :]:
            found = layer(found)
        return [first, functional.relu(self.fc7(functional.relu(self.fc6(found))))]


class Residual(ResNet):
    """ResNet-50, of which the second and third stages are looked at."""

    widths = (512, 1024)

    def __init__(self) -> None:
        super().__init__(50)
        del self.layer4
        self.n_stages = 3

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return features of an eighth and of a sixteenth of the images' size."""
        return self.stages(images)[1:]


BASES: dict[str, Any] = {"vgg-16": Vgg, "resnet-50": Residual}


class Detector(nn.Module):  # type: ignore[misc]
    """SSD of one base network."""

    def __init__(self, base: str, n_classes: int, side: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.base = BASES[base]()
        self.extras = nn.ModuleList(
            [
                _smaller(self.base.widths[1], 256, 512),
                _smaller(512, 128, 256),
                _smaller(256, 128, 256),
                _smaller(256, 128, 256),
            ]
        )
        widths = (*self.base.widths, 512, 256, 256, 256)
        counts = [len(ratios) + 1 for ratios in RATIOS]
        self.scores = nn.ModuleList(
            nn.Conv2d(width, n * (n_classes + 1), 3, padding=1)
            for width, n in zip(widths, counts, strict=True)
        )
        self.offsets = nn.ModuleList(
            nn.Conv2d(width, n * 4, 3, padding=1) for width, n in zip(widths, counts, strict=True)
        )
        for each in (*self.scores, *self.offsets):
            nn.init.normal_(each.weight, std=0.01)  # nobody is sure of anything at first
            nn.init.zeros_(each.bias)
        with torch.no_grad():
            shapes = [each.shape[2:] for each in self.eval().layers(torch.zeros(1, 3, side, side))]
        self.train()
        self.register_buffer("boxes", around(shapes), persistent=False)

    def layers(self, images: Tensor) -> list[Tensor]:
        """Return the features of all sizes."""
        found: list[Tensor] = self.base(images)
        for each in self.extras:
            found.append(each(found[-1]))
        return found

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores, shape (n_images, n_boxes, 1 + n_classes), of nothing first, and offsets, (…, 4)."""
        found = self.layers(images)
        return (
            _flat([head(each) for head, each in zip(self.scores, found, strict=True)], self.n_classes + 1),
            _flat([head(each) for head, each in zip(self.offsets, found, strict=True)], 4),
        )


def around(shapes: list[torch.Size]) -> Tensor:
    """Return the boxes around every place: centre and sides, of the image's, shape (n_boxes, 4)."""
    found = []
    for (n_rows, n_columns), ratios, scale, following in zip(
        shapes, RATIOS, SCALES[:-1], SCALES[1:], strict=True
    ):
        rows, columns = torch.meshgrid(
            (torch.arange(n_rows) + 0.5) / n_rows, (torch.arange(n_columns) + 0.5) / n_columns, indexing="ij"
        )
        sides = [(scale * math.sqrt(ratio), scale / math.sqrt(ratio)) for ratio in ratios]
        sides.append((math.sqrt(scale * following),) * 2)
        centres = torch.stack((columns, rows), -1)[:, :, None].expand(-1, -1, len(sides), -1)
        found.append(
            torch.cat((centres, torch.tensor(sides).expand(n_rows, n_columns, -1, -1)), -1).reshape(-1, 4)
        )
    return torch.cat(found)


def corners(boxes: Tensor) -> Tensor:
    """Return left, top, right, bottom of boxes given as centre and sides."""
    return torch.cat((boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2), -1)


def overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Return the intersection over union of boxes by their corners, shape (n_first, n_second)."""
    corner = torch.maximum(first[:, None, :2], second[None, :, :2])
    both = (torch.minimum(first[:, None, 2:], second[None, :, 2:]) - corner).clamp_min(0).prod(2)
    areas = [(each[:, 2:] - each[:, :2]).clamp_min(0).prod(1) for each in (first, second)]
    return both / (areas[0][:, None] + areas[1][None, :] - both).clamp_min(1e-9)


def encoded(boxes: Tensor, around_: Tensor) -> Tensor:
    """Return offsets of boxes, by their corners, from boxes given as centre and sides."""
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp_min(1e-6)
    centres = (boxes[:, 2:] + boxes[:, :2]) / 2
    return torch.cat(
        (
            (centres - around_[:, :2]) / around_[:, 2:] / VARIANCES[0],
            (sides / around_[:, 2:]).log() / VARIANCES[1],
        ),
        1,
    )


def decoded(offsets: Tensor, around_: Tensor) -> Tensor:
    """Return the corners of boxes from their offsets."""
    centres = around_[:, :2] + offsets[..., :2] * VARIANCES[0] * around_[:, 2:]
    sides = around_[:, 2:] * (offsets[..., 2:] * VARIANCES[1]).clamp_max(10).exp()
    return corners(torch.cat((centres, sides), -1))


def _smaller(width_in: int, width: int, width_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width_in, width, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width_out, 3, 2, 1),
        nn.ReLU(inplace=True),
    )


def _flat(found: list[Tensor], n: int) -> Tensor:
    return torch.cat([each.permute(0, 2, 3, 1).reshape(each.shape[0], -1, n) for each in found], 1)
