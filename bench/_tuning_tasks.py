"""What tuning is measured on: usual test functions, and models of real data that scikit-learn brings along.

A task is a space in the wire's words and a loss to minimise; a race is a task whose training has epochs.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import xgboost
from sklearn import datasets
from sklearn.linear_model import ElasticNet, SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR

from clary.tuning.space import Space

Values = Mapping[str, str]


@dataclass(frozen=True)
class Task:
    """Something to tune."""

    name: str
    ranges: Mapping[str, Any]
    loss: Callable[[Values], float]

    @property
    def space(self) -> Space:
        """Its ranges, read."""
        return Space.from_ranges(self.ranges)


@dataclass(frozen=True)
class Race:
    """Something to tune whose training shows a loss after each epoch."""

    name: str
    ranges: Mapping[str, Any]
    curve: Callable[[Values, int], list[float]]
    """Losses of so many epochs."""

    @property
    def space(self) -> Space:
        """Its ranges, read."""
        return Space.from_ranges(self.ranges)


def box(*ends: tuple[float, float]) -> dict[str, Any]:
    """Return linear continuous ranges, x0 and on."""
    return {"ContinuousParameterRanges": [real(f"x{n}", *each, "Linear") for n, each in enumerate(ends)]}


def real(name: str, low: float, high: float, scale: str = "Auto") -> dict[str, str]:
    return {"Name": name, "MinValue": str(low), "MaxValue": str(high), "ScalingType": scale}


def point(values: Values) -> Any:
    return np.array([float(values[f"x{n}"]) for n in range(len(values))])


def branin(values: Values) -> float:
    x, y = point(values)
    return float(
        (y - 5.1 / (4 * np.pi**2) * x * x + 5 / np.pi * x - 6) ** 2
        + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x)
        + 10
    )


HARTMANN_A = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
HARTMANN_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(values: Values) -> float:
    inner = (HARTMANN_A * (point(values) - HARTMANN_P) ** 2).sum(axis=1)
    return -float(np.array([1, 1.2, 3, 3.2]) @ np.exp(-inner))


def rosenbrock(values: Values) -> float:
    x = point(values)
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def ackley(values: Values) -> float:
    x = point(values)
    ripple = math.exp(float(np.cos(2 * np.pi * x).mean()))
    return 20 + math.e - 20 * math.exp(-0.2 * math.sqrt(float((x * x).mean()))) - ripple


def levy(values: Values) -> float:
    w = 1 + (point(values) - 1) / 4
    middle = ((w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)).sum()
    return float(np.sin(np.pi * w[0]) ** 2 + middle + (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2))


@cache
def table(name: str) -> tuple[Any, Any]:
    """Return standardised features and labels."""
    data = getattr(datasets, f"load_{name}")()
    return StandardScaler().fit_transform(data.data), data.target


def folds(model: Any, name: str, scoring: str) -> float:
    """Return the loss of three-fold cross validation."""
    features, labels = table(name)
    order = KFold(3, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return -float(cross_val_score(model, features, labels, cv=order, scoring=scoring).mean())


def support_vectors(values: Values) -> float:
    model = SVR(C=float(values["C"]), gamma=float(values["gamma"]), epsilon=float(values["epsilon"]))
    return folds(model, "diabetes", "neg_root_mean_squared_error")


def classifier(values: Values) -> float:
    model = SVC(C=float(values["C"]), gamma=float(values["gamma"]), kernel=values["kernel"], random_state=0)
    return folds(model, "breast_cancer", "roc_auc")


def elastic_net(values: Values) -> float:
    net = ElasticNet(alpha=float(values["alpha"]), l1_ratio=float(values["l1_ratio"]), max_iter=500)
    model = make_pipeline(PolynomialFeatures(int(values["degree"])), net)
    return folds(model, "diabetes", "neg_root_mean_squared_error")


def neighbours(values: Values) -> float:
    model = KNeighborsRegressor(
        int(values["k"]), weights=values["weights"], p=float(values["p"]), algorithm="brute"
    )
    return folds(model, "diabetes", "neg_root_mean_squared_error")


def boosting(values: Values) -> float:
    model = xgboost.XGBRegressor(
        n_estimators=30,
        n_jobs=1,
        eta=float(values["eta"]),
        max_depth=int(values["max_depth"]),
        min_child_weight=float(values["min_child_weight"]),
        subsample=float(values["subsample"]),
        reg_lambda=float(values["lambda"]),
        random_state=0,
    )
    return folds(model, "diabetes", "neg_root_mean_squared_error")


BOOSTED = {
    "ContinuousParameterRanges": [
        real("eta", 0.01, 0.5, "Logarithmic"),
        real("min_child_weight", 0.1, 100, "Logarithmic"),
        real("subsample", 0.5, 1.0),
        real("lambda", 0.01, 100, "Logarithmic"),
    ],
    "IntegerParameterRanges": [real("max_depth", 1, 10)],
}
TASKS = (
    Task("Branin", box((-5, 10), (0, 15)), branin),
    Task("Hartmann 6", box(*[(0, 1)] * 6), hartmann),
    Task("Rosenbrock 4", box(*[(-2, 2)] * 4), rosenbrock),
    Task("Ackley 5", box(*[(-32, 16)] * 5), ackley),
    Task("Levy 4", box(*[(-10, 10)] * 4), levy),
    Task(
        "SVR, diabetes",
        {
            "ContinuousParameterRanges": [
                real("C", 0.01, 1000, "Logarithmic"),
                real("gamma", 1e-4, 10, "Logarithmic"),
                real("epsilon", 0.01, 50, "Logarithmic"),
            ]
        },
        support_vectors,
    ),
    Task(
        "SVC, breast cancer",
        {
            "ContinuousParameterRanges": [
                real("C", 0.001, 1000, "Logarithmic"),
                real("gamma", 1e-5, 10, "Logarithmic"),
            ],
            "CategoricalParameterRanges": [{"Name": "kernel", "Values": ["rbf", "poly", "sigmoid"]}],
        },
        classifier,
    ),
    Task(
        "elastic net, diabetes",
        {
            "ContinuousParameterRanges": [
                real("alpha", 0.001, 100, "Logarithmic"),
                real("l1_ratio", 0.01, 1),
            ],
            "IntegerParameterRanges": [real("degree", 1, 2)],
        },
        elastic_net,
    ),
    Task(
        "k-NN, diabetes",
        {
            "ContinuousParameterRanges": [real("p", 1, 4)],
            "IntegerParameterRanges": [real("k", 1, 60)],
            "CategoricalParameterRanges": [{"Name": "weights", "Values": ["uniform", "distance"]}],
        },
        neighbours,
    ),
    Task("XGBoost, diabetes", BOOSTED, boosting),
)


def boosting_curve(values: Values, n_epochs: int) -> list[float]:
    """Boost on half of the breast-cancer rows; log loss of the others after each round."""
    features, labels = table("breast_cancer")
    train = xgboost.DMatrix(features[::2], labels[::2], nthread=1)
    rest = xgboost.DMatrix(features[1::2], labels[1::2], nthread=1)
    given = {name: float(values[name]) for name in ("eta", "min_child_weight", "subsample", "lambda")}
    params = given | {
        "max_depth": int(values["max_depth"]),
        "objective": "binary:logistic",
        "nthread": 1,
        "seed": 0,
    }
    found: dict[str, Any] = {}
    xgboost.train(params, train, n_epochs, evals=[(rest, "rest")], evals_result=found, verbose_eval=False)
    return list(found["rest"]["logloss"])


def descent_curve(values: Values, n_epochs: int) -> list[float]:
    """Logistic regression on the digits by stochastic gradient descent."""
    features, labels = table("digits")
    model = SGDClassifier(
        loss="log_loss",
        learning_rate="invscaling",
        eta0=float(values["eta0"]),
        power_t=float(values["power_t"]),
        alpha=float(values["alpha"]),
        random_state=0,
    )
    losses = []
    for _ in range(n_epochs):
        model.partial_fit(features[::2], labels[::2], classes=np.arange(10))
        chances = np.clip(np.nan_to_num(model.predict_proba(features[1::2]), nan=0.1), 1e-9, 1)
        losses.append(float(log_loss(labels[1::2], chances / chances.sum(axis=1, keepdims=True))))
    return losses


def network_curve(values: Values, n_epochs: int) -> list[float]:
    """Train a small network on the digits."""
    features, labels = table("digits")
    model = MLPClassifier(
        (int(values["width"]),),
        learning_rate_init=float(values["rate"]),
        alpha=float(values["alpha"]),
        batch_size=int(values["batch"]),
        random_state=0,
    )
    losses = []
    for _ in range(n_epochs):
        model.partial_fit(features[::2], labels[::2], classes=np.arange(10))
        losses.append(float(log_loss(labels[1::2], np.clip(model.predict_proba(features[1::2]), 1e-9, 1))))
    return losses


RACES = (
    Race("XGBoost, breast cancer", BOOSTED, boosting_curve),
    Race(
        "logistic regression by SGD, digits",
        {
            "ContinuousParameterRanges": [
                real("eta0", 1e-4, 1, "Logarithmic"),
                real("alpha", 1e-6, 1, "Logarithmic"),
                real("power_t", 0.0, 0.9, "Linear"),
            ]
        },
        descent_curve,
    ),
    Race(
        "network, digits",
        {
            "ContinuousParameterRanges": [
                real("rate", 1e-4, 0.3, "Logarithmic"),
                real("alpha", 1e-6, 1, "Logarithmic"),
            ],
            "IntegerParameterRanges": [
                real("width", 4, 64, "Logarithmic"),
                real("batch", 16, 256, "Logarithmic"),
            ],
        },
        network_curve,
    ),
)


def names_of(tasks: Sequence[Task | Race]) -> list[str]:
    """Return the tasks' names."""
    return [each.name for each in tasks]
