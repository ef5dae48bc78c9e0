"""Prediction: an image in, the likelihood of each class out.

Source: developer guide, "Inference with the Image Format Algorithm".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from clary.algorithms import _torch
from clary.algorithms._vision import augment, images, weights
from clary.algorithms._vision.answers import PicturePredictor, listed
from clary.algorithms._vision.resnet import Classifier
from clary.algorithms.image_classification.fit import NAME
from clary.kernel.errors import CustomerError

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
    facts = weights.facts_of(model_dir, NAME)
    try:
        network = Classifier(int(facts["num_layers"]), int(facts["num_classes"]), facts["image_shape"])
        return ClassPredictor(facts, _torch.restore(network, weights.arrays_of(model_dir, facts)), environ)
    except (KeyError, TypeError, ValueError) as error:
        raise CustomerError(f"Unable to load model: {NAME}.json cannot be read: {error}") from error


class ClassPredictor(PicturePredictor):
    """A loaded residual network."""

    def __init__(
        self, facts: Mapping[str, Any], network: torch.nn.Module, environ: Mapping[str, str]
    ) -> None:
        n_channels, self._height, self._width = facts["image_shape"]
        super().__init__(environ, n_channels)
        self._network = network
        self._device = next(network.parameters()).device
        self._side = int(facts["short_side"])
        self._is_multi = bool(facts["multi_label"])

    def answer(self, picture: Any, accept: str) -> Answer:
        """Return the likelihood of each class."""
        sized = images.covering(images.shortened(picture, self._side), self._height, self._width)
        cuts = augment.parts([images.array(sized)], self._height, self._width, None)
        scores = self._network(augment.normal(augment.stacked(cuts, self._device)))
        likely = scores.sigmoid() if self._is_multi else scores.softmax(1)
        return listed(likely[0].cpu().tolist(), accept, is_bare=True)
