"""From the service's hyperparameters to the library's: XGBoost 3 no longer knows all that the service takes.

| service | library |
| --- | --- |
| `tree_method=gpu_hist` | `tree_method=hist, device=cuda` |
| `objective=reg:linear` | `reg:squarederror` |
| `updater=grow_skmaker`, `distcol` | `grow_histmaker`, `grow_colmaker`, their successors |
| `updater=sync`, and `predictor`, `dsplit`, `deterministic_histogram` … | left out: without effect today |
| `sketch_eps` | `max_bin = 1 / sketch_eps` |
| `silent=1` (of 0.72) | `verbosity=0` |
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from clary.algorithms.xgboost._rules import LABEL_METRICS, asked_metrics

if TYPE_CHECKING:
    from clary.toolkit.hyperparameters import Params

NUMBER_METRICS = ("mse", "r2")
OWN_METRICS = (*LABEL_METRICS, *NUMBER_METRICS)
"""Computed by Clary; the library has no such metrics."""

_NOT_THE_LIBRARYS = frozenset(
    {
        "num_round",
        "early_stopping_rounds",
        "eval_metric",
        "csv_weights",
        "save_model_on_termination",
        "deterministic_histogram",
        "single_precision_histogram",
        "predictor",
        "dsplit",
        "prob_buffer_row",
        "lambda_bias",
        "silent",
        "sketch_eps",
        "use_dask_gpu_training",
    }
)
_UPDATERS = {"grow_skmaker": "grow_histmaker", "distcol": "grow_colmaker", "sync": ""}
_OBJECTIVES = {"reg:linear": "reg:squarederror"}
_PLACE = re.compile(r"^\[\d\d:\d\d:\d\d\] \S+:\d+: ")
_TRACE = re.compile(r"\n+Stack trace:.*", re.DOTALL)


def settings(params: Params, n_threads: int) -> dict[str, Any]:
    """Return the parameters that `xgboost.train` is given."""
    chosen: dict[str, Any] = {
        name: value
        for name, value in params.items()
        if name not in _NOT_THE_LIBRARYS and not name.startswith("_")
    }
    chosen["objective"] = objective(params)
    if chosen.get("tree_method") == "gpu_hist":
        chosen |= {"tree_method": "hist", "device": "cuda"}
    if "updater" in chosen:
        updaters = [_UPDATERS.get(updater, updater) for updater in chosen.pop("updater")]
        if any(updaters):
            chosen["updater"] = ",".join(filter(None, updaters))
    for name in ("monotone_constraints", "interaction_constraints"):
        if name in chosen:
            chosen[name] = json.dumps(chosen[name]) if name.startswith("inter") else str(chosen[name])
    if "sketch_eps" in params:
        chosen.setdefault("max_bin", max(2, round(1 / params.float("sketch_eps"))))
    if params.get("silent") == 1:
        chosen.setdefault("verbosity", 0)
    chosen.setdefault("nthread", n_threads)
    native = [_with_number(metric, params) for metric in asked_metrics(params) if metric not in OWN_METRICS]
    if native:
        chosen["eval_metric"] = native
    return chosen


def _with_number(metric: str, params: Params) -> str:
    """Return a metric's name with the number that the library wants in it."""
    if metric != "tweedie-nloglik":
        return metric
    return f"{metric}@{params.get('tweedie_variance_power', 1.5):g}"


def objective(params: Params) -> str:
    """Return the learning objective under its name of today."""
    given = str(params.get("objective", "reg:squarederror"))
    return _OBJECTIVES.get(given, given)


def own_metrics(params: Params) -> tuple[str, ...]:
    """Return the asked metrics that Clary computes."""
    return tuple(metric for metric in asked_metrics(params) if metric in OWN_METRICS)


def plain(error: Exception) -> str:
    """Return the library's message without its source file, line and C++ stack."""
    return _PLACE.sub("", _TRACE.sub("", str(error)).strip())
