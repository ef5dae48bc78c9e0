"""What the wire shows of Semantic Segmentation; standard library only.

Source: developer guide, "Semantic Segmentation Algorithm"; metrics' expressions as DescribeTrainingJob
returns them.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import RECORDIO as PROTOBUF
from clary.algorithms._declared import RowAlgorithm
from clary.algorithms._vision.declared import JPEG, MODEL, PICTURE, PICTURES, PNG, pictures, steps_fit
from clary.algorithms.base import Channel, Instances, Metric
from clary.algorithms.semantic_segmentation._hyperparameters import HYPERPARAMETERS, schedule_fits
from clary.toolkit.hyperparameters import Hyperparameter, Rule

_FILES = ("File", "FastFile")


def _masks(of: str) -> Channel:
    return Channel(
        name=f"{of}_annotation",
        content_types=(PNG, *PICTURES),
        modes=_FILES,
        doc=f"A PNG for each image of {of}, of the same name: each pixel's class.",
    )


class SemanticSegmentation(RowAlgorithm):
    """Classes of every pixel, SageMaker's built-in `semantic-segmentation`."""

    name: ClassVar[str] = "semantic_segmentation"
    title: ClassVar[str] = "Semantic Segmentation"
    extra: ClassVar[str] = "torch"
    checkpoints: ClassVar[bool] = True
    artefacts: ClassVar[tuple[str, ...]] = ("ONNX", "NumPy archive")
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = HYPERPARAMETERS
    rules: ClassVar[tuple[Rule, ...]] = (steps_fit, schedule_fits)
    channels: ClassVar[tuple[Channel, ...]] = (
        pictures("train", "Images to learn from.", required=True),
        pictures("validation", "Images on which each epoch is measured.", required=True),
        _masks("train"),
        _masks("validation"),
        Channel(
            name="label_map",
            content_types=("application/json", "text/plain"),
            modes=_FILES,
            doc="train_label_map.json and validation_label_map.json: what pixels' values mean.",
        ),
        MODEL,
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(name="train:loss", goal="Minimize", regex=r"train loss: (\S+)", is_tunable=False),
        Metric(name="train:throughput", goal="Maximize", regex=r"train throughput: (\S+)", is_tunable=False),
        Metric(name="validation:mIOU", goal="Maximize", regex=r"validation mIOU: (\S+)"),
        Metric(name="validation:pixel_accuracy", goal="Maximize", regex=r"pixel_accuracy: (\S+)"),
        Metric(
            name="validation:throughput",
            goal="Maximize",
            regex=r"validation throughput: (\S+)",
            is_tunable=False,
        ),
    )
    instances: ClassVar[Instances] = Instances(cpu=True, gpu=True, distributed=False)
    request_types: ClassVar[tuple[str, ...]] = (JPEG, PNG, PICTURE)
    answer_types: ClassVar[tuple[str, ...]] = (PNG, PROTOBUF)


DEFINITION = SemanticSegmentation()
