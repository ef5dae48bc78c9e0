"""Prediction: an image in, objects and their boxes out.

Source: developer guide, "Object Detection Request and Response Formats".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clary.algorithms._vision import images
from clary.algorithms._vision.answers import PicturePredictor, listed, loaded
from clary.algorithms.object_detection._network import Detector
from clary.algorithms.object_detection.fit import NAME, detections, squared

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from clary.algorithms.base import Answer


def load(model_dir: Path, environ: Mapping[str, str]) -> BoxPredictor:
    """Load the network.

    Raises
    ------
    CustomerError
        There is none, or its weights are not what its description says.
    """
    return loaded(model_dir, NAME, _built, BoxPredictor, environ)


def _built(facts: Mapping[str, Any]) -> Detector:
    return Detector(facts["base_network"], int(facts["num_classes"]), int(facts["image_shape"]))


class BoxPredictor(PicturePredictor):
    """A loaded SSD."""

    def __init__(
        self, facts: Mapping[str, Any], network: torch.nn.Module, environ: Mapping[str, str]
    ) -> None:
        super().__init__(facts, network, environ)
        self._side, self._threshold = int(facts["image_shape"]), float(facts["nms_threshold"])

    def answer(self, picture: Any, accept: str) -> Answer:
        """Return class, score, left, top, right and bottom of each object, the likeliest first."""
        seen = [squared(images.array(picture), self._side)]
        [found] = detections(self._network, seen, self._threshold, self._device)
        return listed(found, accept, is_bare=False)
