"""What the wire shows of DeepAR; standard library only.

Source: developer guide, "DeepAR Hyperparameters" and "Tune a DeepAR Model"; metrics' expressions as
DescribeTrainingJob returns them.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import JSON, JSONLINES, PASSES, RowAlgorithm, metric
from clary.algorithms.base import Channel, Instances, Metric
from clary.algorithms.deepar._hyperparameters import HYPERPARAMETERS
from clary.toolkit.hyperparameters import Hyperparameter

_SERIES = (
    JSONLINES,
    JSON,
    "json",
    "jsonlines",
    "json.gz",
    "application/x-parquet",
    "parquet",
    "auto",
)
"""What a file is, its first bytes say."""


class DeepAR(RowAlgorithm):
    """Forecasts of many related time series, SageMaker's built-in `forecasting-deepar`."""

    name: ClassVar[str] = "deepar"
    title: ClassVar[str] = "DeepAR"
    extra: ClassVar[str] = "torch"
    checkpoints: ClassVar[bool] = True
    artefacts: ClassVar[tuple[str, ...]] = ("ONNX", "NumPy archive")
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = HYPERPARAMETERS
    channels: ClassVar[tuple[Channel, ...]] = (
        Channel(name="train", content_types=_SERIES, required=True, doc="Series to learn from."),
        Channel(
            name="test",
            content_types=_SERIES,
            doc="Series whose last prediction_length values are forecast, and compared.",
        ),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        metric("test:RMSE", "Minimize", "test RMSE"),
        metric("test:mean_wQuantileLoss", "Minimize", "test mean_wQuantileLoss"),
        metric("train:final_loss", "Minimize", "train final_loss"),
        metric("train:loss", "Minimize", "train loss", epoch=True, is_tunable=False),
        Metric(
            name="train:loss:batch",
            goal="Minimize",
            regex=r"#quality_metric: host=\S+, epoch=\S+, batch=\S+ train loss <loss>=(\S+)",
            is_tunable=False,
        ),
        *PASSES,
    )
    instances: ClassVar[Instances] = Instances(cpu=True, gpu=True, distributed=True)
    request_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES)
    answer_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES)


DEFINITION = DeepAR()
