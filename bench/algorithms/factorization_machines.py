"""Factorization Machines: MovieLens' ratings, and whether a film is liked, against a libFM-class sampler.

The sampler is myfm's (Markov chain Monte Carlo, as libFM's best), in an environment of its own. Where ratings
cannot be had they are drawn, and the error is not judged.
"""

import subprocess
from typing import Any

import numpy as np
from bench._bars import Report
from bench._peers import NotInstalledError
from bench.algorithms import _elsewhere
from bench.algorithms._ratings import ratings as movielens
from bench.algorithms._trainings import arrays, clock, staged, train
from scipy import sparse
from sklearn.metrics import roc_auc_score

from clary.toolkit.kernels.factors import scored

COMMON = {"bias_lr": 0.02, "bias_wd": 0, "factors_init_sigma": 0.01, "mini_batch_size": 200}
RATINGS = COMMON | {
    "predictor_type": "regressor",
    "num_factors": 32,
    "epochs": 8,
    "linear_lr": 0.009,
    "linear_wd": 0.00012,
    "factors_lr": 0.0145,
    "factors_wd": 0.00038,
}
LIKES = RATINGS | {"predictor_type": "binary_classifier"}
SAMPLER = """
import myfm
from scipy import sparse
def matrix(name):
    parts = tuple(given[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
    return sparse.csr_matrix(parts, shape=(len(parts[2]) - 1, int(given["n_columns"])))
train, test, labels = matrix("train"), matrix("test"), given["labels"]
kind = myfm.MyFMClassifier if int(given["is_binary"]) else myfm.MyFMRegressor
start = time.process_time()
model = kind(rank=16, random_seed=1).fit(train, labels, n_iter=100, group_shapes=given["groups"].tolist())
seconds = time.process_time() - start
answer = model.predict_proba(test) if int(given["is_binary"]) else model.predict(test)
facts = {"seconds": seconds}
"""
STEP = 4.0
"""Films rated so much and more are liked."""


def run(report: Report) -> None:
    people, films, ratings, is_real = movielens()
    groups = (int(people.max()) + 1, int(films.max()) + 1)
    keys = np.column_stack((people, groups[0] + films)).ravel()
    starts = np.arange(0, len(keys) + 1, 2)
    rows = sparse.csr_matrix((np.ones(len(keys), np.float32), keys, starts), (len(ratings), sum(groups)))
    order = np.random.default_rng(0).permutation(len(ratings))
    test, rest = order[: len(order) // 10], order[len(order) // 10 :]
    table = []
    for name, asked, labels in (
        ("ratings: RMSE", RATINGS, ratings.astype(np.float32)),
        ("likes: AUC", LIKES, (ratings >= STEP).astype(np.float32)),
    ):
        is_binary = asked["predictor_type"] == "binary_classifier"
        with staged(train=(rows[rest], labels[rest])) as folder:
            given = asked | {"feature_dim": sum(groups)}
            (model_dir, _), ours = clock(lambda: train("factorization_machines", folder, given), 3)  # noqa: B023
            model = arrays(model_dir)
        weights = np.column_stack((model["linear"], model["factors"]))
        quality = _quality(scored(rows[test], weights, float(model["bias"])), labels[test], is_binary)
        table.append((f"clary, {name}", f"{ours:.2f}", f"{quality:.4f}"))
        try:
            theirs, said = _sampled(rows[rest], labels[rest], rows[test], groups, is_binary)
        except (NotInstalledError, subprocess.SubprocessError) as error:
            print(f"  myfm could not be run: {error}")
            continue
        peer = _quality(said, labels[test], is_binary)
        table.append((f"myfm, 100 samples, {name}", f"{theirs:.2f}", f"{peer:.4f}"))
        if is_binary:
            report.bar("FM, likes: the sampler's AUC less ours", peer - quality, 0.002, "")
        else:
            report.bar("FM, ratings: time, of the sampler's", ours / theirs, 0.1, "x")
        if is_real and not is_binary:
            report.bar("FM, MovieLens: RMSE", quality, 0.865, "")
    what = "MovieLens" if is_real else "drawn ratings"
    report.table(f"Factorization Machines, {what}, {len(rest):,} pairs", ("", "CPU s", "quality"), table)


def _quality(scores: Any, labels: Any, is_binary: bool) -> float:
    if is_binary:
        return float(roc_auc_score(labels, scores))
    return float(np.sqrt(np.mean((scores - labels) ** 2)))


def _sampled(
    train: Any, labels: Any, test: Any, groups: tuple[int, int], is_binary: bool
) -> tuple[float, Any]:
    parts = {
        f"{name}_{part}": getattr(matrix, part)
        for name, matrix in (("train", train.astype(np.float64)), ("test", test.astype(np.float64)))
        for part in ("data", "indices", "indptr")
    }
    facts, answer = _elsewhere.run(
        "myfm",
        ("myfm==0.4.0", "scipy", "numpy", "setuptools<81"),
        SAMPLER,
        labels=labels.astype(np.float64),
        groups=np.array(groups),
        n_columns=np.array(sum(groups)),
        is_binary=np.array(int(is_binary)),
        **parts,
    )
    return float(facts["seconds"]), answer
