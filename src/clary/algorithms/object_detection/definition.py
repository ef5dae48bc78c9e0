"""What the wire shows of Object Detection; standard library only.

Source: developer guide, "Object Detection Algorithm"; metrics' expressions as DescribeTrainingJob returns
them.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import JSON, JSONLINES, PASSES, RowAlgorithm
from clary.algorithms._vision.declared import JPEG, MODEL, PICTURE, PICTURES, PNG, pictures, steps_fit
from clary.algorithms.base import Channel, Instances, Metric
from clary.algorithms.object_detection._hyperparameters import HYPERPARAMETERS, pattern_is_one
from clary.toolkit.hyperparameters import Hyperparameter, Rule


def _annotations(of: str) -> Channel:
    return Channel(
        name=f"{of}_annotation",
        content_types=(*PICTURES, "application/json"),
        modes=("File", "FastFile"),
        doc=f"A JSON document for each image of {of}, of the same name: its objects.",
    )


class ObjectDetection(RowAlgorithm):
    """Objects in images and their boxes, SageMaker's built-in `object-detection`."""

    name: ClassVar[str] = "object_detection"
    title: ClassVar[str] = "Object Detection"
    extra: ClassVar[str] = "torch"
    checkpoints: ClassVar[bool] = True
    artefacts: ClassVar[tuple[str, ...]] = ("ONNX", "NumPy archive")
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = HYPERPARAMETERS
    rules: ClassVar[tuple[Rule, ...]] = (steps_fit, pattern_is_one)
    channels: ClassVar[tuple[Channel, ...]] = (
        pictures("train", "Images to learn from.", required=True),
        pictures("validation", "Images on which each epoch is measured.", required=True),
        _annotations("train"),
        _annotations("validation"),
        MODEL,
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            name="validation:mAP",
            goal="Maximize",
            regex=r"#quality_metric: host=\S+, epoch=\S+, validation mAP <score>=\((\S+)\)",
        ),
        *(
            Metric(
                name=f"train:{name}",
                goal="Minimize",
                regex=rf"#quality_metric: host=\S+, epoch=\S+, batch=\S+ train {name} <loss>=\((\S+)\)",
                is_tunable=False,
            )
            for name in ("cross_entropy", "smooth_l1")
        ),
        *PASSES,
    )
    instances: ClassVar[Instances] = Instances(cpu=True, gpu=True, distributed=True)
    request_types: ClassVar[tuple[str, ...]] = (PICTURE, JPEG, PNG)
    answer_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES)


DEFINITION = ObjectDetection()
