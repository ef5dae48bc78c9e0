"""Prediction: an image in, its mask out, or the likelihoods behind it.

Source: developer guide, "Produce Inferences"; its example notebook, which reads `target` and `shape`.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from clary.algorithms._vision import images
from clary.algorithms._vision.answers import PicturePredictor, loaded
from clary.algorithms._vision.masks import Segmenter
from clary.algorithms.base import Answer
from clary.algorithms.semantic_segmentation.fit import NAME, likelihoods
from clary.toolkit.formats import recordio_protobuf

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

PNG, PROTOBUF = "image/png", "application/x-recordio-protobuf"


def load(model_dir: Path, environ: Mapping[str, str]) -> MaskPredictor:
    """Load the network.

    Raises
    ------
    CustomerError
        There is none, or its weights are not what its description says.
    """
    return loaded(model_dir, NAME, _built, MaskPredictor, environ)


def _built(facts: Mapping[str, Any]) -> Segmenter:
    return Segmenter(facts["algorithm"], facts["backbone"], int(facts["num_classes"]))


class MaskPredictor(PicturePredictor):
    """A loaded network."""

    answer_types: ClassVar[tuple[str, ...]] = (PNG, PROTOBUF)

    def __init__(
        self, facts: Mapping[str, Any], network: torch.nn.Module, environ: Mapping[str, str]
    ) -> None:
        super().__init__(facts, network, environ)
        self._base = int(facts["base_size"])

    def answer(self, picture: Any, accept: str) -> Answer:
        """Return each pixel's class as a PNG, or the likelihoods of all classes."""
        likely = likelihoods(self._network, [images.array(picture)], self._base, self._device).cpu().numpy()
        if accept == PROTOBUF:
            shape = np.array(likely.shape, np.int32)
            return Answer(recordio_protobuf.encode_tensors({"target": likely, "shape": shape}), PROTOBUF)
        mask = images.pillow().fromarray(likely[0].argmax(0).astype(np.uint8))
        mask.putpalette(PALETTE)
        stream = io.BytesIO()
        mask.save(stream, "PNG")
        return Answer(stream.getvalue(), PNG)


def _palette() -> bytes:
    """Return colours that differ, 256 of them. Source: Everingham et al., VOC's development kit."""
    colours = np.zeros((256, 3), np.uint8)
    classes = np.arange(256)
    for place in range(8):
        for channel in range(3):
            colours[:, channel] |= ((classes >> channel & 1) << (7 - place)).astype(np.uint8)
        classes >>= 3
    return colours.tobytes()


PALETTE = _palette()
