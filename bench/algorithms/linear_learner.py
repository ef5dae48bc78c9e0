"""Linear Learner: 200,000 x 100, two classes, features of very different scales, against scikit-learn."""

import warnings

import numpy as np
from bench._bars import Report
from bench.algorithms._trainings import arrays, clock, staged, train
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler

N_ROWS, N_COLUMNS = 200_000, 100


def run(report: Report) -> None:
    warnings.filterwarnings("ignore", category=FutureWarning)
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(N_ROWS, N_COLUMNS)) @ (
        np.eye(N_COLUMNS) + 0.1 * draw.normal(size=(N_COLUMNS,) * 2)
    )
    logits = rows @ draw.normal(size=N_COLUMNS) * 0.2 + 0.5 * draw.normal(size=N_ROWS) - 0.5
    labels = (draw.random(N_ROWS) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    features = (rows * np.exp(draw.normal(size=N_COLUMNS) * 2) + draw.normal(size=N_COLUMNS) * 5).astype(
        np.float32
    )

    scaler = StandardScaler()
    normal = scaler.fit_transform(features)
    peer, theirs = clock(lambda: LogisticRegression(max_iter=100).fit(normal, labels), 3)
    their_scores = peer.predict_proba(normal)[:, 1]
    table = [_row("scikit-learn, lbfgs, 1 model, scaled before", theirs, labels, their_scores)]
    asked = {"feature_dim": N_COLUMNS, "predictor_type": "binary_classifier", "epochs": 3}
    found = {}
    with staged(train=(features, labels)) as folder:
        for n_models in (1, 32):
            (model, _), seconds = clock(
                lambda: train("linear_learner", folder, asked | {"num_models": n_models}),  # noqa: B023
                3,
            )
            scores = _scores(arrays(model), features)
            found[n_models] = (seconds, log_loss(labels, scores))
            table.append(_row(f"clary, {n_models} models, scaling and all", seconds, labels, scores))
    report.table("Linear Learner, 200,000 x 100", ("", "CPU s", "AUC", "log-loss"), table)
    report.bar("Linear Learner, 32 models: time, of one lbfgs fit", found[32][0] / theirs, 2, "x")
    worse = found[32][1] - log_loss(labels, their_scores)
    report.bar("Linear Learner, 32 models: log-loss above lbfgs", worse, 0.001, "")
    _sparse(report)


def _sparse(report: Report) -> None:
    """Compare the time of rows of one hundredth the values with their dense form."""
    n_columns, density = 2000, 0.01
    thin = sparse.random(20_000, n_columns, density, format="csr", dtype=np.float32, random_state=0)
    labels = (np.asarray(thin[:, :50].sum(axis=1)).ravel() > 0.2).astype(np.float32)
    asked = {"feature_dim": n_columns, "predictor_type": "binary_classifier", "epochs": 2, "num_models": 8}
    seconds = {}
    for name, features in (("sparse", thin), ("dense", thin.toarray())):
        with staged(train=(features, labels)) as folder:
            _, seconds[name] = clock(lambda: train("linear_learner", folder, asked), 2)
    report.table(
        "Linear Learner, 20,000 x 2,000, 1 % not zero",
        ("", "CPU s"),
        [(name, f"{each:.3f}") for name, each in seconds.items()],
    )
    report.bar(
        "Linear Learner: sparse rows, time of dense ones'", seconds["sparse"] / seconds["dense"], 1, "x"
    )


def _scores(model: object, features: np.ndarray) -> np.ndarray:
    logits = features @ model["weight"][0] + model["bias"]  # type: ignore[index]
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))))


def _row(name: str, seconds: float, labels: np.ndarray, scores: np.ndarray) -> tuple[str, ...]:
    return (
        name,
        f"{seconds:.3f}",
        f"{roc_auc_score(labels, scores):.5f}",
        f"{log_loss(labels, scores):.5f}",
    )
