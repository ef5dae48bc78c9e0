"""XGBoost against the plain library, on data that scikit-learn ships.

Breast cancer Wisconsin (diagnostic), 569 x 30, two classes; wine recognition, 178 x 13, three classes;
diabetes, 442 x 10, a number. Tolerance: 5 decimals, as the log prints; library and rows are the same.
"""

import re
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn import datasets
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split

from clary.algorithms import base
from clary.algorithms.base import Question, Source, Training

ROUNDS = 20
CASES = {
    "breast_cancer": (
        datasets.load_breast_cancer,
        {"objective": "binary:logistic"},
        ("auc", "logloss", "error"),
    ),
    "wine": (datasets.load_wine, {"objective": "multi:softprob", "num_class": "3"}, ("mlogloss", "merror")),
    "diabetes": (datasets.load_diabetes, {"objective": "reg:squarederror"}, ("rmse", "mae")),
}
PARAMS = {"max_depth": "4", "eta": "0.2", "subsample": "0.8", "seed": "11", "nthread": "1"}


@pytest.fixture(params=CASES, scope="module")
def case(request: Any, tmp_path_factory: Any) -> Any:
    load, objective, metrics = CASES[request.param]
    features, labels = load(return_X_y=True)
    parts = train_test_split(features.astype(np.float32), labels.astype(np.float32), random_state=0)
    params = {**PARAMS, **objective, "eval_metric": ",".join(metrics)}
    return params, metrics, parts, tmp_path_factory.mktemp(request.param)


def written(folder: Any, features: Any, labels: Any) -> Any:
    folder.mkdir()
    np.savetxt(folder / "rows.csv", np.column_stack([labels, features]), delimiter=",", fmt="%.9g")
    return Source(name=folder.name, path=folder, content_type="text/csv")


def test_it_prints_and_predicts_what_the_plain_library_does(case, capsys):
    params, metrics, (x_train, x_test, y_train, y_test), folder = case
    algorithm = base.find("xgboost")
    algorithm.fit(
        Training(
            params=algorithm.validate({**params, "num_round": str(ROUNDS)}),
            sources={
                "train": written(folder / "train", x_train, y_train),
                "validation": written(folder / "validation", x_test, y_test),
            },
            model_dir=folder / "model",
            output_data_dir=folder / "output",
            n_threads=1,
        )
    )
    printed = capsys.readouterr().out.splitlines()[-1]

    log: dict[str, dict[str, list[float]]] = {}
    train, test = xgboost.DMatrix(x_train, y_train, nthread=1), xgboost.DMatrix(x_test, y_test, nthread=1)
    plain = xgboost.train(
        {**params, "eval_metric": list(metrics)},
        train,
        ROUNDS,
        evals=[(train, "train"), (test, "validation")],
        evals_result=log,
        verbose_eval=False,
    )
    for channel in ("train", "validation"):
        for metric in metrics:
            found = re.search(rf"\t{channel}-{metric}:(\S+)", printed)
            assert found is not None
            assert float(found[1]) == pytest.approx(log[channel][metric][-1], abs=1e-5)

    predictor = algorithm.load(folder / "model", {"CLARY_IMAGE_VERSION": "1.7-1"})
    body = "\n".join(",".join(f"{value:.9g}" for value in row) for row in x_test).encode()
    [answer] = predictor.predict_many([Question(body=body, content_type="text/csv")])
    scores = np.array(
        [[float(field) for field in line.split(b",")] for line in answer.body.split()]
    ).squeeze()
    np.testing.assert_allclose(scores, plain.predict(test), atol=1e-6)
    if params["objective"] == "binary:logistic":
        assert roc_auc_score(y_test, scores) > 0.98
    elif params["objective"] == "multi:softprob":
        assert accuracy_score(y_test, scores.argmax(axis=1)) > 0.9
    else:
        assert r2_score(y_test, scores) > 0  # better than the mean; the plain library has the same 0.18
