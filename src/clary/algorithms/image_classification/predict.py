"""Prediction: an image in, the likelihood of each class out.

Source: developer guide, "Inference with the Image Format Algorithm".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from clary.algorithms._vision import augment, images
from clary.algorithms._vision.answers import PicturePredictor, listed, loaded
from clary.algorithms._vision.resnet import Classifier
from clary.algorithms.image_classification.fit import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clary.algorithms.base import Answer


def load(model_dir: Path, environ: Mapping[str, str]) -> ClassPredictor:
    """Load the network.

    Raises
    ------
    CustomerError
        There is none, or its weights are not what its description says.
    """
    return loaded(model_dir, NAME, _built, ClassPredictor, environ)


def _built(facts: Mapping[str, Any]) -> Classifier:
    return Classifier(int(facts["num_layers"]), int(facts["num_classes"]), facts["image_shape"])


class ClassPredictor(PicturePredictor):
    """A loaded residual network."""

    def __init__(
        self, facts: Mapping[str, Any], network: torch.nn.Module, environ: Mapping[str, str]
    ) -> None:
        super().__init__(facts, network, environ)
        _, self._height, self._width = facts["image_shape"]
        self._side = int(facts["short_side"])
        self._is_multi = bool(facts["multi_label"])

    @property
    def n_channels(self) -> int:
        """Channels of pictures that the network sees."""
        return int(self._facts["image_shape"][0])

    def answer(self, picture: Any, accept: str) -> Answer:
        """Return the likelihood of each class."""
        sized = images.covering(images.shortened(picture, self._side), self._height, self._width)
        cuts = augment.parts([images.array(sized)], self._height, self._width, None)
        scores = self._network(augment.normal(augment.stacked(cuts, self._device)))
        likely = scores.sigmoid() if self._is_multi else scores.softmax(1)
        return listed(likely[0].cpu().tolist(), accept, is_bare=True)
