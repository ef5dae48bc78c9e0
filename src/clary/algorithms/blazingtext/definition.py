"""What the wire shows of BlazingText; standard library only.

Source: developer guide, "BlazingText algorithm"; metrics' expressions as DescribeTrainingJob returns them.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import JSON, JSONLINES, MODES, RowAlgorithm
from clary.algorithms.base import Channel, Instances, Metric
from clary.algorithms.blazingtext._hyperparameters import HYPERPARAMETERS, pieces_fit
from clary.toolkit.hyperparameters import Hyperparameter, Rule

_TEXTS = ("text/plain", JSONLINES, "application/x-recordio")


class BlazingText(RowAlgorithm):
    """Vectors of words, and labels of texts, SageMaker's built-in `blazingtext`."""

    name: ClassVar[str] = "blazingtext"
    title: ClassVar[str] = "BlazingText"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = HYPERPARAMETERS
    rules: ClassVar[tuple[Rule, ...]] = (pieces_fit,)
    channels: ClassVar[tuple[Channel, ...]] = (
        Channel(
            name="train",
            content_types=_TEXTS,
            modes=MODES,
            distributions=("FullyReplicated",),
            required=True,
            doc="Sentences, one a line, words with blanks between; of supervised, labels among the words.",
        ),
        Channel(
            name="validation",
            content_types=_TEXTS,
            modes=MODES,
            distributions=("FullyReplicated",),
            doc="Of supervised: texts that the model is measured on.",
        ),
        Channel(
            name="evaluation",
            content_types=("text/plain", "text/csv", "text/tab-separated-values"),
            distributions=("FullyReplicated",),
            doc="Of words: files of pairs that people have judged, as WS-353 has them; Clary ships none.",
        ),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(name="train:mean_rho", goal="Maximize", regex=r"#mean_rho: (\S+)"),
        Metric(name="train:accuracy", goal="Maximize", regex=r"#train_accuracy: (\S+)", is_tunable=False),
        Metric(name="validation:accuracy", goal="Maximize", regex=r"#validation_accuracy: (\S+)"),
    )
    instances: ClassVar[Instances] = Instances(cpu=True, gpu=True, distributed=True)
    artefacts: ClassVar[tuple[str, ...]] = ("fastText's binary", "word2vec's text")
    request_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES)
    answer_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES)


DEFINITION = BlazingText()
