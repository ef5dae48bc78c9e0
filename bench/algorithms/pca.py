"""PCA: 200,000 x 100 to 10 components, and 5,000 x 5,000, against scikit-learn."""

import numpy as np
from bench._bars import Report
from bench.algorithms._trainings import arrays, clock, staged, train
from sklearn.decomposition import PCA, IncrementalPCA


def run(report: Report) -> None:
    draw = np.random.default_rng(0)
    tall = (draw.normal(size=(200_000, 100)) * np.exp(-np.arange(100) / 12)).astype(np.float32)
    tall = (tall @ np.linalg.qr(draw.normal(size=(100, 100)))[0] + draw.normal(size=100)).astype(np.float32)
    wide = (draw.normal(size=(5000, 5000)) * np.arange(1, 5001) ** -0.5).astype(np.float32)
    table = []
    ours: dict[str, tuple[float, float]] = {}
    for name, rows, mode in (
        ("tall, regular", tall, "regular"),
        ("tall, randomized", tall, "randomized"),
        ("wide, randomized", wide, "randomized"),
    ):
        asked = {"feature_dim": rows.shape[1], "num_components": 10, "mini_batch_size": 1000}
        with staged(train=(rows, None)) as folder:
            (model, _), seconds = clock(
                lambda: train("pca", folder, asked | {"algorithm_mode": mode}),  # noqa: B023
                3,
            )
            ours[name] = (seconds, _explained(rows, arrays(model)["v"]))
        table.append((f"clary, {name}", f"{seconds:.3f}", f"{ours[name][1]:.5f}"))
    theirs: dict[str, tuple[float, float]] = {}
    for name, rows, peer in (
        ("IncrementalPCA, tall", tall, IncrementalPCA(10, batch_size=1000)),
        ("covariance_eigh, tall", tall, PCA(10, svd_solver="covariance_eigh")),
        ("randomized, tall", tall, PCA(10, svd_solver="randomized", random_state=0)),
        ("randomized, wide", wide, PCA(10, svd_solver="randomized", random_state=0)),
    ):
        found, seconds = clock(lambda: peer.fit(rows), 2)  # noqa: B023
        theirs[name] = (seconds, _explained(rows, found.components_.T))
        table.append((f"scikit-learn {name}", f"{seconds:.3f}", f"{theirs[name][1]:.5f}"))
    report.table("PCA, 10 components", ("", "CPU s", "explained"), table)
    step, exact = theirs["IncrementalPCA, tall"], theirs["covariance_eigh, tall"]
    report.bar("PCA, regular: variance lost, of the exact", exact[1] - ours["tall, regular"][1], 1e-6, "")
    report.bar("PCA, regular: time, of IncrementalPCA's", ours["tall, regular"][0] / step[0], 1 / 8, "x")
    for shape in ("tall", "wide"):
        own, peer_found = ours[f"{shape}, randomized"], theirs[f"randomized, {shape}"]
        report.bar(f"PCA, randomized, {shape}: variance, of theirs", peer_found[1] / own[1], 1.01, "x less")
        report.bar(f"PCA, randomized, {shape}: time, of theirs", own[0] / peer_found[0], 1, "x")


def _explained(rows: np.ndarray, components: np.ndarray) -> float:
    """Return the share of the variance in the span of components."""
    centred = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    basis = np.linalg.qr(components.astype(np.float64))[0].astype(np.float32)
    inside = ((centred @ basis) ** 2).sum(dtype=np.float64)
    return float(inside / (centred**2).sum(dtype=np.float64))
