"""What the wire shows of Image Classification; standard library only.

Source: developer guide, "Image Classification Algorithm"; metrics' expressions as DescribeTrainingJob
returns them.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import JSON, JSONLINES, RowAlgorithm
from clary.algorithms._vision.declared import JPEG, MODEL, PICTURE, PICTURES, PNG, pictures, steps_fit
from clary.algorithms.base import Channel, Instances, Metric
from clary.algorithms.image_classification._hyperparameters import HYPERPARAMETERS, numbers_fit, shape_fits
from clary.toolkit.hyperparameters import Hyperparameter, Rule

_LISTS = (*PICTURES, "text/plain")


def _lists(of: str) -> Channel:
    return Channel(
        name=f"{of}_lst",
        content_types=_LISTS,
        modes=("File", "FastFile"),
        doc=f"One .lst file: number, label and path of each image of {of}.",
    )


class ImageClassification(RowAlgorithm):
    """Labels of images by a residual network, SageMaker's built-in `image-classification`."""

    name: ClassVar[str] = "image_classification"
    title: ClassVar[str] = "Image Classification"
    extra: ClassVar[str] = "torch"
    checkpoints: ClassVar[bool] = True
    artefacts: ClassVar[tuple[str, ...]] = ("ONNX", "NumPy archive")
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = HYPERPARAMETERS
    rules: ClassVar[tuple[Rule, ...]] = (shape_fits, numbers_fit, steps_fit)
    channels: ClassVar[tuple[Channel, ...]] = (
        pictures("train", "Images to learn from.", required=True),
        pictures("validation", "Images on which each epoch is measured.", required=True),
        _lists("train"),
        _lists("validation"),
        MODEL,
    )
    metrics: ClassVar[tuple[Metric, ...]] = tuple(
        Metric(
            name=f"{channel}:accuracy{suffix}",
            goal="Maximize",
            regex=rf"Epoch\S* {channel.capitalize()}-accuracy=(\S*)",
            is_tunable=channel == "validation",
        )
        for channel in ("train", "validation")
        for suffix in ("", ":epoch")
    )
    instances: ClassVar[Instances] = Instances(cpu=True, gpu=True, distributed=True)
    request_types: ClassVar[tuple[str, ...]] = (PICTURE, JPEG, PNG)
    answer_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES)


DEFINITION = ImageClassification()
