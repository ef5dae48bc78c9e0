"""What the wire shows of Object2Vec; standard library only.

Source: developer guide, "Object2Vec Algorithm"; metrics' expressions as DescribeTrainingJob returns them.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import JSON, JSONLINES, PASSES, RowAlgorithm, metric
from clary.algorithms.base import Channel, Instances, Metric
from clary.algorithms.object2vec._hyperparameters import (
    HYPERPARAMETERS,
    encodings_fit,
    files_fit,
    rows_fit,
    tables_fit,
)
from clary.toolkit.hyperparameters import Hyperparameter, Rule

_LINES = (JSONLINES,)


class Object2Vec(RowAlgorithm):
    """Embeddings of pairs of objects, SageMaker's built-in `object2vec`."""

    name: ClassVar[str] = "object2vec"
    title: ClassVar[str] = "Object2Vec"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = HYPERPARAMETERS
    rules: ClassVar[tuple[Rule, ...]] = (encodings_fit, tables_fit, rows_fit, files_fit)
    artefacts: ClassVar[tuple[str, ...]] = ("ONNX", "NumPy archive")
    channels: ClassVar[tuple[Channel, ...]] = (
        Channel(name="train", content_types=_LINES, required=True, doc="Pairs to learn from."),
        Channel(name="validation", content_types=_LINES, doc="Pairs by whose loss training ends."),
        Channel(name="test", content_types=_LINES, doc="Pairs on which the model is measured."),
        Channel(
            name="auxiliary",
            content_types=("text/plain", "application/json"),
            doc="Pretrained vectors of tokens, and their vocabulary.",
        ),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(
            metric(
                f"{channel}:{name}",
                goal,
                f"{channel} {name}",
                kind=kind,
                epoch=channel != "test",
                is_tunable=channel != "train",
            )
            for channel in ("train", "validation", "test")
            for name, goal, kind in (
                ("accuracy", "Maximize", "score"),
                ("cross_entropy", "Minimize", "loss"),
                ("mean_squared_error", "Minimize", "loss"),
            )
        ),
        *PASSES,
    )
    instances: ClassVar[Instances] = Instances(cpu=True, gpu=True, distributed=False)
    request_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES)
    answer_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES)


DEFINITION = Object2Vec()
