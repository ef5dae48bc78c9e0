"""What the definitions of the service's own algorithms of rows share; standard library only."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, ClassVar

from clary.algorithms import _decision
from clary.algorithms.base import Channel, Instances, Metric, Predictor, Training
from clary.toolkit.hyperparameters import Hyperparameter, Integer, Params, Rule, Text, validate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RECORDIO, CSV, JSON, JSONLINES = (
    "application/x-recordio-protobuf",
    "text/csv",
    "application/json",
    "application/jsonlines",
)
ROWS = (RECORDIO, CSV)
"""Content types of training."""
MODES = ("File", "FastFile", "Pipe")
FLAG = ("true", "false")

PRIVATE = tuple(
    Text(name=name, default=None, doc="Of the service's own machinery; read and passed over.")
    for name in (
        "_tuning_objective_metric",
        "_kvstore",
        "_num_kv_servers",
        "_num_gpus",
        "_num_slices",
        "_log_level",
        "_enable_profiler",
        "_disable_wait_to_read",
        "_ftp_port",
        "force_dense",
    )
)
"""Hyperparameters that SDKs and tuning send along. Source: what containers log."""


def channel(name: str, doc: str, *, required: bool = False) -> Channel:
    """Declare a channel of rows."""
    return Channel(name=name, doc=doc, content_types=ROWS, modes=MODES, required=required)


def metric(
    name: str, goal: str, shown: str, *, kind: str = "loss", epoch: bool = False, is_tunable: bool = True
) -> Metric:
    r"""Declare a metric of a quality line.

    Examples
    --------
    >>> metric("test:msd", "Minimize", "test msd").regex
    '#quality_metric: host=\\S+, test msd <loss>=(\\S+)'
    """
    of_epoch = r", epoch=\S+" if epoch else ""
    return Metric(
        name=name,
        goal=goal,
        regex=rf"#quality_metric: host=\S+{of_epoch}, {shown} <{kind}>=(\S+)",
        is_tunable=is_tunable,
    )


FEATURE_DIM = Integer(name="feature_dim", min=1, default=None, doc="Sent by typed estimators; passed over.")
"""Of algorithms whose input has no columns."""

PASSES = (
    Metric(
        name="train:progress",
        goal="Maximize",
        regex=r"#progress_metric: host=\S+, completed (\S+) %",
        is_tunable=False,
    ),
    Metric(
        name="train:throughput",
        goal="Maximize",
        regex=r"#throughput_metric: host=\S+, train throughput=(\S+) records/second",
        is_tunable=False,
    ),
)
"""How far training is, and how fast."""


class RowAlgorithm:
    """An algorithm of the service's own family: `fit.py` has `fit`, `predict.py` has `load`."""

    name: ClassVar[str]
    title: ClassVar[str]
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]]
    passed_over: ClassVar[tuple[Hyperparameter, ...]] = PRIVATE
    rules: ClassVar[tuple[Rule, ...]] = ()
    channels: ClassVar[tuple[Channel, ...]]
    metrics: ClassVar[tuple[Metric, ...]] = ()
    instances: ClassVar[Instances] = Instances(cpu=True, gpu=True, distributed=True)
    checkpoints: ClassVar[bool] = False
    artefacts: ClassVar[tuple[str, ...]] = ("NumPy archive",)
    extra: ClassVar[str] = ""
    decides: ClassVar[bool] = False
    """Whether `load` reads the threshold of `decision.json`; elsewhere such a file is refused."""
    request_types: ClassVar[tuple[str, ...]] = (CSV, JSON, JSONLINES, RECORDIO)
    answer_types: ClassVar[tuple[str, ...]] = (JSON, JSONLINES, CSV, RECORDIO)

    def validate(self, given: Mapping[str, str]) -> Params:
        """Read the request's hyperparameters; CustomerError names what is wrong."""
        return validate((*self.hyperparameters, *self.passed_over), given, self.rules)

    def fit(self, training: Training) -> None:
        """Train, and leave the model in the model folder."""
        importlib.import_module(f"clary.algorithms.{self.name}.fit").fit(training)

    def load(self, model_dir: Path, environ: Mapping[str, str]) -> Predictor:
        """Load what `fit` left."""
        if not self.decides:
            _decision.threshold(model_dir, unfit=self.name.replace("_", "-"))
        predictor: Predictor = importlib.import_module(f"clary.algorithms.{self.name}.predict").load(
            model_dir, environ
        )
        return predictor
