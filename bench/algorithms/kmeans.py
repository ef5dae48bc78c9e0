"""K-means: 200,000 x 50 of 300 groups, 100 clusters, against scikit-learn."""

import numpy as np
from bench._bars import Report
from bench.algorithms._trainings import arrays, clock, staged, train
from sklearn.cluster import KMeans, MiniBatchKMeans

from clary.algorithms.kmeans import _lloyd

N_ROWS, N_COLUMNS, K = 200_000, 50, 100
N_SEEDS = 3


def run(report: Report) -> None:
    draw = np.random.default_rng(0)
    groups = draw.normal(size=(300, N_COLUMNS)) * 2
    rows = (groups[draw.integers(0, 300, N_ROWS)] + draw.normal(size=(N_ROWS, N_COLUMNS))).astype(np.float32)

    def msd(centres: np.ndarray) -> float:
        sums = _lloyd.Sums(centres.astype(np.float32))
        sums.add(rows)
        return float(sums.loss.sum() / N_ROWS)

    asked = {"feature_dim": N_COLUMNS, "k": K}
    with staged(train=(rows, None)) as folder:
        ours = {}
        for epochs in (1, 6):
            (model, _), seconds = clock(lambda: train("kmeans", folder, asked | {"epochs": epochs}), 3)  # noqa: B023
            ours[epochs] = (seconds, msd(arrays(model)["centers"]))
    theirs = {}
    for name, make in (
        ("KMeans, 20 iterations", lambda seed: KMeans(K, max_iter=20, n_init=1, random_state=seed)),
        (
            "MiniBatchKMeans, 1 epoch",
            lambda seed: MiniBatchKMeans(K, max_iter=1, n_init=1, batch_size=5000, random_state=seed),
        ),
    ):
        found = [clock(lambda: make(seed).fit(rows)) for seed in range(N_SEEDS)]  # noqa: B023
        theirs[name] = (
            min(seconds for _, seconds in found),
            float(np.mean([msd(model.cluster_centers_) for model, _ in found])),
        )
    full, mini = theirs.values()
    report.table(
        "K-means, 200,000 x 50, k = 100",
        ("", "CPU s", "msd"),
        [(f"clary, epochs = {epochs}", f"{s:.3f}", f"{v:.2f}") for epochs, (s, v) in ours.items()]
        + [(f"scikit-learn {name}", f"{s:.3f}", f"{v:.2f}") for name, (s, v) in theirs.items()],
    )
    report.bar("k-means, 6 epochs: msd, of KMeans'", ours[6][1] / full[1], 1.005, "x")
    report.bar("k-means, 6 epochs: time, of KMeans'", ours[6][0] / full[0], 0.25, "x")
    report.bar("k-means, 1 epoch: msd, of MiniBatchKMeans'", ours[1][1] / mini[1], 1, "x")
    report.bar("k-means, 1 epoch: time, of MiniBatchKMeans'", ours[1][0] / mini[0], 1, "x")
