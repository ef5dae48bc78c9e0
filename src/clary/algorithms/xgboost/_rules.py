"""What XGBoost's hyperparameters ask of each other, with the service's texts; standard library only."""

from clary.kernel.errors import CustomerError
from clary.toolkit.hyperparameters import Params

CLASSES_ONLY = ("f1_binary", "precision", "recall")
"""Metrics of two classes alone."""

LABEL_METRICS = (
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_binary",
    "f1_macro",
    "precision",
    "precision_macro",
    "precision_micro",
    "recall",
    "recall_macro",
    "recall_micro",
)
"""Metrics of predicted classes, computed by Clary as the service's container does."""

_BUILDERS = ("grow_colmaker", "distcol", "grow_histmaker", "grow_quantile_histmaker", "grow_skmaker")
_LINEAR = ("shotgun", "coord_descent")
_UPDATING = ("refresh", "prune")


def asked_metrics(params: Params) -> tuple[str, ...]:
    """Return the metrics that a job must print, tuning's objective last."""
    asked = list(params.get("eval_metric", ()))
    objective = params.get("_tuning_objective_metric")
    if objective:
        name = objective.partition(":")[2]
        asked = [*(metric for metric in asked if metric != name), name]
    return tuple(dict.fromkeys(asked))


def _num_class(params: Params) -> None:
    objective = str(params.get("objective", ""))
    if objective.startswith("multi:") and "num_class" not in params:
        raise CustomerError(
            "Require input for parameter 'num_class' for multi-classification: "
            f"objective is {objective}, num_class must be an integer of at least 2"
        )
    if "num_class" in params and not objective.startswith("multi:"):
        raise CustomerError(
            f"Do not need to setup parameter 'num_class' (value {params['num_class']}) for learning task "
            f"other than multi-classification: objective is {objective or 'reg:squarederror'}"
        )


def _eval_metric(params: Params) -> None:
    objective = str(params.get("objective", "reg:squarederror"))
    asked = asked_metrics(params)
    if "auc" in asked and not objective.startswith(("binary:", "rank:", "multi:")):
        raise CustomerError(
            f"Metric 'auc' can only be applied for classification and ranking problems, "
            f"not for objective {objective}."
        )
    if "aft-nloglik" in asked and objective != "survival:aft":
        raise CustomerError(
            f"Metric 'aft-nloglik' can only be applied for 'survival:aft' objective, not for {objective}."
        )
    for metric in asked:
        if metric in LABEL_METRICS and not objective.startswith(("binary:", "multi:", "reg:logistic")):
            raise CustomerError(
                f"Metric '{metric}' can only be applied for classification problems, "
                f"not for objective {objective}."
            )
        if metric in CLASSES_ONLY and params.get("num_class", 2) > 2:
            raise CustomerError(
                f"Metric '{metric}' is for two classes, and num_class is {params['num_class']}: "
                f"use {'f1' if metric == 'f1_binary' else metric}_macro or another of eval_metric's."
            )
        if metric in {"mse", "r2"} and objective == "multi:softprob":
            raise CustomerError(
                f"Metric '{metric}' compares numbers; it cannot be applied for objective {objective}."
            )


def _updater(params: Params) -> None:
    updaters = params.get("updater")
    if not updaters:
        return
    if params.get("booster") == "gblinear":
        if len(updaters) != 1 or updaters[0] not in _LINEAR:
            raise CustomerError(
                f"Hyperparameter updater: value {','.join(updaters)} does not suit booster gblinear. "
                f"Linear updater should be one of these options: {', '.join(_LINEAR)}."
            )
        return
    if params.get("process_type") == "update":
        if not all(updater in _UPDATING for updater in updaters):
            raise CustomerError(
                f"Hyperparameter updater: value {','.join(updaters)}: "
                "process_type 'update' can only be used with updater 'refresh' and 'prune'"
            )
        return
    if any(updater in _LINEAR for updater in updaters):
        raise CustomerError(
            f"Hyperparameter updater: value {','.join(updaters)}: "
            f"{' and '.join(_LINEAR)} are for booster gblinear only"
        )
    if sum(updater in _BUILDERS for updater in updaters) > 1:
        raise CustomerError(
            f"Hyperparameter updater: value {','.join(updaters)}: only one tree grow plugin can be selected, "
            f"one of {', '.join(_BUILDERS)}"
        )


def _constraints(params: Params) -> None:
    method = params.get("tree_method")
    for name, methods in (
        ("monotone_constraints", ("exact", "hist")),
        ("interaction_constraints", ("exact", "hist", "approx")),
    ):
        if name in params and method not in methods:
            raise CustomerError(
                f"{name} can be used only when the tree_method parameter is set to one of "
                f"{', '.join(methods)}; it is {method or 'not set'}."
            )


def _folds(params: Params) -> None:
    if "_num_cv_round" in params and "_kfold" not in params:
        raise CustomerError("Hyperparameter _num_cv_round: needs _kfold too")


RULES = (_num_class, _eval_metric, _updater, _constraints, _folds)
"""In the order in which they run."""
