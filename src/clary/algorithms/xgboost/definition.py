"""What the wire shows of XGBoost: hyperparameters, channels, content types, metrics; standard library only.

Source: open `sagemaker-xgboost-container` (hyperparameter_validation, channel_validation, metrics) and the
developer guide's pages "XGBoost Hyperparameters" and "Tune an XGBoost Model".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from clary.algorithms.base import Channel, Instances, Metric, Predictor, Training
from clary.algorithms.xgboost._hyperparameters import HYPERPARAMETERS, MAXIMIZED, MINIMIZED
from clary.algorithms.xgboost._rules import RULES
from clary.toolkit.hyperparameters import Hyperparameter, Params, validate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TABULAR = (
    "text/libsvm",
    "libsvm",
    "text/x-libsvm",
    "text/csv",
    "csv",
    "application/x-parquet",
    "parquet",
    "application/x-recordio-protobuf",
    "recordio-protobuf",
)


def _metric(channel: str, name: str, goal: str) -> Metric:
    return Metric(
        name=f"{channel}:{name}",
        goal=goal,
        regex=rf".*\[[0-9]+\].*#011{channel}-{name}:(\S+)",
        is_tunable=channel == "validation",
    )


METRICS = tuple(
    _metric(channel, name, goal)
    for channel in ("validation", "train")
    for goal, known in (("Maximize", MAXIMIZED), ("Minimize", MINIMIZED))
    for name in known
)


class Xgboost:
    """Gradient boosted trees, SageMaker's built-in `xgboost`."""

    name: ClassVar[str] = "xgboost"
    title: ClassVar[str] = "XGBoost"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = HYPERPARAMETERS
    passed_over: ClassVar[tuple[Hyperparameter, ...]] = ()
    channels: ClassVar[tuple[Channel, ...]] = (
        Channel(
            name="train",
            required=True,
            content_types=TABULAR,
            modes=("File", "FastFile", "Pipe"),
            doc="Rows to learn from, label first.",
        ),
        Channel(
            name="validation",
            content_types=TABULAR,
            modes=("File", "FastFile", "Pipe"),
            doc="Rows to measure on, label first.",
        ),
        Channel(name="code", content_types=("text/python",), doc="Read in script mode only."),
        Channel(
            name="model",
            content_types=("application/x-sagemaker-model",),
            distributions=("FullyReplicated",),
            doc="A model to go on from: xgboost-model, or a model.tar.gz that holds it.",
        ),
    )
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    instances: ClassVar[Instances] = Instances(cpu=True, gpu=True, distributed=True)
    checkpoints: ClassVar[bool] = True
    artefacts: ClassVar[tuple[str, ...]] = ("XGBoost's own file",)
    extra: ClassVar[str] = ""
    request_types: ClassVar[tuple[str, ...]] = (
        "text/libsvm",
        "text/x-libsvm",
        "text/csv",
        "application/x-recordio-protobuf",
    )
    answer_types: ClassVar[tuple[str, ...]] = (
        "text/csv",
        "application/json",
        "application/jsonlines",
        "application/x-recordio-protobuf",
    )

    def validate(self, given: Mapping[str, str]) -> Params:
        """Read the request's hyperparameters; CustomerError names what is wrong."""
        return validate(self.hyperparameters, given, RULES)

    def fit(self, training: Training) -> None:
        """Boost trees on the train channel and leave `xgboost-model`."""
        from clary.algorithms.xgboost.fit import fit  # noqa: PLC0415 - imports the library, which the server must not

        fit(training)

    def load(self, model_dir: Path, environ: Mapping[str, str]) -> Predictor:
        """Load `xgboost-model`, of this or of an older container of the service."""
        from clary.algorithms.xgboost.predict import load  # noqa: PLC0415 - imports the library

        return load(model_dir, environ)


DEFINITION = Xgboost()
