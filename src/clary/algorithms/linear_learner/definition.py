"""What the wire shows of Linear Learner; standard library only.

Source: developer guide, "Linear Learner Algorithm" and "Tune a linear learner model"; metrics' expressions
as DescribeTrainingJob returns them.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import PASSES, RowAlgorithm, channel, metric
from clary.algorithms.base import Channel, Metric
from clary.algorithms.linear_learner._hyperparameters import CLASSES, HYPERPARAMETERS, LOSSES
from clary.kernel.errors import CustomerError
from clary.toolkit.hyperparameters import Hyperparameter, Params, Rule

_SCORES = {
    "binary_classification_accuracy": "binary_classification_accuracy",
    "binary_f_beta": r"binary_f_\S+",
    "precision": "precision",
    "recall": "recall",
    "roc_auc_score": "roc_auc_score",
    "multiclass_accuracy": "multiclass_accuracy",
    "multiclass_top_k_accuracy": r"multiclass_top_k_accuracy_\S+",
    "dcg": "dcg",
    "macro_f_beta": r"macro_f_\S+",
    "macro_precision": "macro_precision",
    "macro_recall": "macro_recall",
}
_LOSSES = ("mse", "rmse", "absolute_loss")


def _metrics() -> tuple[Metric, ...]:
    found = []
    for name in ("train", "validation", "test"):
        is_tunable = name != "train"
        found += [
            metric(f"{name}:{score}", "Maximize", f"{name} {shown}", kind="score", is_tunable=is_tunable)
            for score, shown in _SCORES.items()
        ]
        found += [
            metric(f"{name}:{loss}", "Minimize", f"{name} {loss}", is_tunable=is_tunable) for loss in _LOSSES
        ]
        found.append(
            metric(
                f"{name}:objective_loss",
                "Minimize",
                rf"{name} \S+_objective",
                epoch=name != "test",
                is_tunable=is_tunable,
            )
        )
        if name != "test":
            found.append(
                metric(f"{name}:objective_loss:final", "Minimize", rf"{name} \S+_objective", is_tunable=False)
            )
    return (*found, *PASSES)


def _num_classes(params: Params) -> None:
    if params.text("predictor_type") == CLASSES and "num_classes" not in params:
        raise CustomerError(
            "Missing required hyperparameter: num_classes; predictor_type is multiclass_classifier, and "
            "num_classes must be an integer in range [3, 1000000]"
        )


def _loss(params: Params) -> None:
    kind, loss = params.text("predictor_type"), params.text("loss")
    if loss != "auto" and loss not in LOSSES[kind]:
        raise CustomerError(
            f"Hyperparameter loss: value {loss} does not suit predictor_type {kind}: one of auto, "
            f"{', '.join(LOSSES[kind])}"
        )


class LinearLearner(RowAlgorithm):
    """Linear models, SageMaker's built-in `linear-learner`."""

    name: ClassVar[str] = "linear_learner"
    decides: ClassVar[bool] = True
    checkpoints: ClassVar[bool] = True
    title: ClassVar[str] = "Linear Learner"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = HYPERPARAMETERS
    rules: ClassVar[tuple[Rule, ...]] = (_num_classes, _loss)
    channels: ClassVar[tuple[Channel, ...]] = (
        channel("train", "Rows to learn from, label first in CSV.", required=True),
        channel("validation", "Rows by which models are compared and training ends."),
        channel("test", "Rows on which the chosen model is measured."),
    )
    metrics: ClassVar[tuple[Metric, ...]] = _metrics()


DEFINITION = LinearLearner()
