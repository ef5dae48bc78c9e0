"""Prediction: an image in, objects and their boxes out.

Source: developer guide, "Object Detection Request and Response Formats".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from clary.algorithms._vision import images
from clary.algorithms._vision.answers import JSONLINES, PicturePredictor, listed, loaded
from clary.algorithms.base import Answer
from clary.algorithms.object_detection._network import Detector
from clary.algorithms.object_detection.fit import NAME, detections, squared
from clary.toolkit.formats.base import MediaType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch


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
        name, _, form = accept.partition(";")
        if not form:
            return listed(found, name, is_bare=False)
        body = json.dumps(annotated(found, *picture.size)).encode()
        return Answer(body + (b"\n" if name == JSONLINES else b""), name)

    def _accepted(self, accept: str) -> str:
        asked = accept if MediaType.parse(accept).name not in {"", "*/*"} else self._default
        members = (MediaType.parse(each).parameters for each in asked.split(","))
        form = ";annotation=1" if any(each.get("annotation") == "1" for each in members) else ""
        return super()._accepted(accept) + form


def annotated(found: list[list[float]], width: int, height: int) -> dict[str, Any]:
    """Return objects in pixels, as annotations of training images have them."""
    rows = []
    for kind, score, *box in found:
        left, top, right, bottom = (round(x * size) for x, size in zip(box, (width, height) * 2, strict=True))
        place = {"left": left, "top": top, "width": right - left, "height": bottom - top}
        rows.append({"class_id": int(kind), "score": score, **place})
    return {"image_size": [{"width": width, "height": height, "depth": 3}], "annotations": rows}
