"""What the wire shows of Sequence-to-Sequence; standard library only.

Source: developer guide, "Sequence-to-Sequence Algorithm" and "Tune a Sequence-to-Sequence Model".
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import JSON, JSONLINES, PASSES, RECORDIO, RowAlgorithm, metric
from clary.algorithms.base import Channel, Instances, Metric
from clary.algorithms.seq2seq._hyperparameters import (
    HYPERPARAMETERS,
    cells_fit,
    epochs_fit,
    metrics_fit,
    momentum_fits,
)
from clary.toolkit.hyperparameters import Hyperparameter, Rule


class Seq2Seq(RowAlgorithm):
    """Sequences of tokens to others, SageMaker's built-in `seq2seq`."""

    name: ClassVar[str] = "seq2seq"
    title: ClassVar[str] = "Sequence-to-Sequence"
    extra: ClassVar[str] = "torch"
    checkpoints: ClassVar[bool] = True
    artefacts: ClassVar[tuple[str, ...]] = ("ONNX", "NumPy archive")
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = HYPERPARAMETERS
    rules: ClassVar[tuple[Rule, ...]] = (momentum_fits, cells_fit, epochs_fit, metrics_fit)
    channels: ClassVar[tuple[Channel, ...]] = (
        Channel(name="train", content_types=(RECORDIO,), required=True, doc="Pairs to learn from."),
        Channel(name="validation", content_types=(RECORDIO,), required=True, doc="Pairs to measure by."),
        Channel(
            name="vocab",
            content_types=(JSON, "text/plain"),
            required=True,
            doc="vocab.src.json and vocab.trg.json: from words to tokens.",
        ),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        metric("validation:accuracy", "Maximize", "validation accuracy", kind="score"),
        metric("validation:bleu", "Maximize", "validation bleu", kind="score"),
        metric("validation:perplexity", "Minimize", "validation perplexity"),
        *PASSES,
    )
    instances: ClassVar[Instances] = Instances(cpu=True, gpu=True, distributed=False)
    request_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES, RECORDIO)
    answer_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES, RECORDIO)


DEFINITION = Seq2Seq()
