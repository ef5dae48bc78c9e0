"""What the wire shows of Factorization Machines; standard library only.

Source: developer guide, "Factorization Machines Hyperparameters" and "Tune a Factorization Machines Model";
SDK, `amazon/factorization_machines.py`.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import JSON, JSONLINES, MODES, RECORDIO, RowAlgorithm, metric
from clary.algorithms.base import Channel, Metric
from clary.toolkit.hyperparameters import Categorical, Continuous, Hyperparameter, Integer, Recommended

BINARY, REGRESSOR = "binary_classifier", "regressor"
GROUPS = ("bias", "linear", "factors")
SIGMAS = {"bias": 0.01, "linear": 0.01, "factors": 0.001}
RATES = {"bias": 0.1, "linear": 0.001, "factors": 0.0001}
DECAYS = {"bias": 0.01, "linear": 0.001, "factors": 0.00001}
_WIDE = Recommended(min=1e-8, max=512)


def _of(group: str) -> tuple[Hyperparameter, ...]:
    """Return the hyperparameters of the bias, the weights or the factors."""
    what = {"bias": "the bias", "linear": "weights", "factors": "factors"}[group]
    return (
        Categorical(
            name=f"{group}_init_method",
            choices=("normal", "uniform", "constant"),
            default="normal",
            doc=f"How {what} begin{'s' if group == 'bias' else ''}.",
        ),
        Continuous(
            name=f"{group}_init_scale",
            min=0,
            default=None,
            usual=f"{SIGMAS[group]:g}",
            tunable=_WIDE,
            doc="Uniform beginning: between minus and plus this.",
        ),
        Continuous(
            name=f"{group}_init_sigma",
            min=0,
            default=SIGMAS[group],
            tunable=_WIDE,
            doc="Normal beginning: the standard deviation.",
        ),
        Continuous(
            name=f"{group}_init_value",
            default=None,
            usual="0",
            tunable=_WIDE,
            doc="Constant beginning: the value.",
        ),
        Continuous(
            name=f"{group}_lr", min=0, default=RATES[group], tunable=_WIDE, doc=f"Step size of {what}."
        ),
        Continuous(
            name=f"{group}_wd", min=0, default=DECAYS[group], tunable=_WIDE, doc=f"Weight decay of {what}."
        ),
    )


def _metrics() -> tuple[Metric, ...]:
    shown = (
        ("rmse", "Minimize", "rmse", "loss"),
        ("binary_classification_accuracy", "Maximize", "binary_classification_accuracy", "score"),
        ("binary_classification_cross_entropy", "Minimize", "binary_classification_cross_entropy", "loss"),
        ("binary_f_beta", "Maximize", r"binary_f_1\.000", "score"),
    )
    found = [metric(f"test:{name}", goal, f"test {text}", kind=kind) for name, goal, text, kind in shown]
    found += [
        metric(f"train:{name}", goal, f"train {text}", kind=kind, epoch=True, is_tunable=False)
        for name, goal, text, kind in shown
    ]
    return tuple(found)


def _channel(name: str, doc: str, *, required: bool = False) -> Channel:
    return Channel(name=name, doc=doc, content_types=(RECORDIO,), modes=MODES, required=required)


class FactorizationMachines(RowAlgorithm):
    """Pairs of columns by their factors, SageMaker's built-in `factorization-machines`."""

    name: ClassVar[str] = "factorization_machines"
    decides: ClassVar[bool] = True
    title: ClassVar[str] = "Factorization Machines"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Integer(name="feature_dim", min=1, doc="Features of a row."),
        Integer(name="num_factors", min=1, doc="Factors of a column."),
        Categorical(
            name="predictor_type",
            choices=(BINARY, REGRESSOR),
            doc="What is learned: classes 0 and 1, or numbers.",
        ),
        *(each for group in GROUPS for each in _of(group)),
        Continuous(name="clip_gradient", above=0, default=None, doc="Slopes are cut to plus and minus this."),
        Integer(
            name="epochs", min=1, default=1, tunable=Recommended(min=1, max=1000), doc="Passes over the data."
        ),
        Continuous(name="eps", min=0, default=None, usual="1e-8", doc="Added to what slopes are divided by."),
        Integer(
            name="mini_batch_size",
            min=1,
            default=1000,
            tunable=Recommended(min=100, max=10000),
            doc="Rows of a mini-batch, over all instances.",
        ),
        Continuous(
            name="rescale_grad",
            default=None,
            usual="one over its rows",
            doc="By what a mini-batch's sum of slopes is multiplied.",
        ),
    )
    channels: ClassVar[tuple[Channel, ...]] = (
        _channel("train", "Rows and labels to learn from.", required=True),
        _channel("test", "Rows and labels on which the model is measured."),
    )
    metrics: ClassVar[tuple[Metric, ...]] = _metrics()
    request_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES, RECORDIO)
    answer_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES, RECORDIO)


DEFINITION = FactorizationMachines()
