"""How training changes pictures: parts of them, mirrored, in other colours, turned and slanted.

Source: developer guide, "Image Classification Hyperparameters", `augmentation_type`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from clary.algorithms._vision.images import MIDDLE, cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

CROP, COLOR, TRANSFORM = "crop", "crop_color", "crop_color_transform"
HUE, SATURATION, LIGHTNESS = 36.0 / 180, 50.0 / 255, 50.0 / 255
"""Most that a colour moves, of its range: hues are counted to 180, the others to 255, as OpenCV does."""
TURN, SLANT, STRETCH = math.radians(10), 0.1, 0.25
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours, as pretrained weights expect them. Source: torchvision's page of its weights."""


def normal(pictures: Tensor) -> Tensor:
    """Return what networks see of pictures in 0 to 1: colours less their mean, over their deviation."""
    n_channels = pictures.shape[1]
    mean, deviation = (
        torch.tensor(each if n_channels == len(each) else (sum(each) / 3,), device=pictures.device).view(
            1, -1, 1, 1
        )
        for each in (MEAN, DEVIATION)
    )
    return (pictures - mean) / deviation


def stacked(pictures: Sequence[NDArray[np.uint8]], device: Any) -> Tensor:
    """Return pictures of one size as a tensor in 0 to 1, shape (n_images, n_channels, height, width)."""
    pixels = torch.from_numpy(np.stack(pictures)).to(device)
    return pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255)


def parts(
    pictures: Sequence[NDArray[np.uint8]], height: int, width: int, draw: np.random.Generator | None
) -> list[NDArray[np.uint8]]:
    """Return parts of pictures: drawn ones, or with nobody to draw, the middle."""
    places = [MIDDLE] * len(pictures) if draw is None else draw.random((len(pictures), 2)).tolist()
    return [cut(picture, height, width, place) for picture, place in zip(pictures, places, strict=True)]


def mirrored(pictures: Tensor, draw: np.random.Generator) -> Tensor:
    """Mirror half of the pictures, left to right."""
    chosen = torch.from_numpy(draw.random(len(pictures)) < 0.5).to(pictures.device)
    return torch.where(chosen.view(-1, 1, 1, 1), pictures.flip(3), pictures)


def recoloured(pictures: Tensor, draw: np.random.Generator) -> Tensor:
    """Move hue, saturation and lightness of each picture; grey ones have lightness alone."""
    moves = (
        draw.uniform(-1, 1, (3, len(pictures), 1, 1))
        * np.array((HUE, SATURATION, LIGHTNESS))[:, None, None, None]
    )
    hue, saturation, lightness = torch.from_numpy(moves.astype(np.float32)).to(pictures.device)
    if pictures.shape[1] == 1:
        return (pictures + lightness[:, None]).clamp(0, 1)
    h, s, v = _to_hsl(pictures)
    return _to_rgb((h + hue) % 1, (s + saturation).clamp(0, 1), (v + lightness).clamp(0, 1))


def bent(pictures: Tensor, draw: np.random.Generator) -> Tensor:
    """Turn, slant and stretch each picture."""
    n_pictures = len(pictures)
    angle = draw.uniform(-TURN, TURN, n_pictures)
    slant = draw.uniform(-SLANT, SLANT, n_pictures)
    ratio = np.sqrt(1 + draw.uniform(-STRETCH, STRETCH, n_pictures))
    cosine, sine = np.cos(angle), np.sin(angle)
    matrices = np.zeros((n_pictures, 2, 3), np.float32)
    matrices[:, 0, 0], matrices[:, 0, 1] = cosine / ratio, (slant - sine) * ratio
    matrices[:, 1, 0], matrices[:, 1, 1] = sine / ratio, (cosine + slant * sine) * ratio
    grid = functional.affine_grid(
        torch.from_numpy(matrices).to(pictures.device), list(pictures.shape), align_corners=False
    )
    return functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def changed(pictures: Tensor, kind: str | None, draw: np.random.Generator) -> Tensor:
    """Do all that an `augmentation_type` names, but for taking parts."""
    if kind is None:
        return pictures
    if kind == TRANSFORM:
        pictures = bent(pictures, draw)
    if kind in {COLOR, TRANSFORM}:
        pictures = recoloured(pictures, draw)
    return mirrored(pictures, draw)


def _to_hsl(pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Source: Smith (1978), "Color gamut transform pairs"."""
    most, place = pictures.max(1)
    least = pictures.min(1).values
    span, total = most - least, most + least
    red, green, blue = pictures.unbind(1)
    safe = span.clamp_min(1e-6)
    of_red, of_green = (green - blue) / safe % 6, (blue - red) / safe + 2
    hue = torch.where(place == 0, of_red, torch.where(place == 1, of_green, (red - green) / safe + 4)) / 6
    saturation = span / (1 - (total - 1).abs()).clamp_min(1e-6)
    return torch.where(span > 0, hue, torch.zeros_like(hue)), saturation.clamp(0, 1), total / 2


def _to_rgb(hue: Tensor, saturation: Tensor, lightness: Tensor) -> Tensor:
    strength = saturation * torch.minimum(lightness, 1 - lightness)
    channels = []
    for shift in (0, 8, 4):
        turn = (shift + hue * 12) % 12
        channels.append(lightness - strength * torch.minimum(turn - 3, 9 - turn).clamp(-1, 1))
    return torch.stack(channels, 1).clamp(0, 1)
