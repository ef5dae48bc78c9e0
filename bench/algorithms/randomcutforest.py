"""Random Cut Forest: taxi rides of New York, days of 48 half-hours, against AWS's Rust and scikit-learn.

The series is NAB's `nyc_taxi.csv` with `combined_windows.json`, in `CLARY_BENCH_DATA/nab`, by default below
`shared/data` beside this repository. Where it is not, a series is drawn, and only speed is judged.
"""

import csv
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from bench._bars import Report
from bench._peers import NotInstalledError
from bench.algorithms import _elsewhere
from bench.algorithms._trainings import clock, staged, train
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score

from clary.algorithms import base
from clary.algorithms.randomcutforest.predict import ForestPredictor

SHINGLE = 48
SEEDS = (0, 1, 2)
DATA = Path(os.environ.get("CLARY_BENCH_DATA") or Path(__file__).parents[3] / "shared/data")
RUST = """
from krcf import RandomCutForest
rows = given["rows"]
forest = RandomCutForest({
    "dimensions": rows.shape[1], "shingle_size": 1, "num_trees": 100, "sample_size": 256, "random_seed": 1,
    "parallel_execution_enabled": False, "output_after": 1, "bounding_box_cache_fraction": 1.0,
})
for row in rows:
    forest.update(row)
asked, found, best = rows.tolist(), [], 1e9
for _ in range(2):
    start = time.process_time()
    found = [forest.score(row) for row in asked]
    best = min(best, time.process_time() - start)
answer, facts = np.array(found), {"seconds": best}
"""


def run(report: Report) -> None:
    rows, truth = _days()
    asked = {"feature_dim": SHINGLE, "num_trees": 100, "num_samples_per_tree": 256}
    with staged(train=(rows, None)) as folder:
        (model_dir, _), ours_fit = clock(lambda: train("randomcutforest", folder, asked), 2)
        predictor = base.find("randomcutforest").load(model_dir, {})
    assert isinstance(predictor, ForestPredictor)
    scores, ours = clock(lambda: predictor.score(rows), 3)
    table = [("clary", ours_fit, len(rows) / ours, *_quality(truth, scores))]
    try:
        facts, said = _elsewhere.run("krcf", ("krcf==0.4.0", "numpy"), RUST, rows=rows)
        rate = len(rows) / facts["seconds"]
        table.append(("AWS's Rust (krcf)", float("nan"), rate, *_quality(truth, said)))
        report.bar("RCF: 5 x the Rust's points a second, of ours", 5 * rate * ours / len(rows), 1, "x")
    except (NotInstalledError, subprocess.SubprocessError) as error:
        print(f"  krcf could not be run: {error}")
    peers = []
    for seed in SEEDS:
        peer, seconds = clock(lambda: IsolationForest(n_estimators=100, random_state=seed).fit(rows))  # noqa: B023
        found, asking = clock(lambda: -peer.score_samples(rows))  # noqa: B023
        peers.append((seconds, len(rows) / asking, *_quality(truth, found)))
    theirs = np.mean(peers, axis=0)
    table.append(("scikit-learn IsolationForest, mean of 3 seeds", *theirs))
    report.table(
        f"Random Cut Forest, {len(rows):,} days of {SHINGLE}, 100 trees of 256",
        ("", "fit s", "points/s", "AUC", "AP"),
        [
            (name, f"{fit:.3f}", f"{rate:,.0f}", f"{auc:.3f}", f"{ap:.3f}")
            for name, fit, rate, auc, ap in table
        ],
    )
    if truth is not None:
        auc, precision = _quality(truth, scores)
        report.bar("RCF: 0.675, of our AUC on taxi rides", 0.675 / auc, 1, "x")
        report.bar("RCF: IsolationForest's average precision, of ours", float(theirs[3]) / precision, 1, "x")


def _quality(truth: Any, scores: Any) -> tuple[float, float]:
    if truth is None:
        return float("nan"), float("nan")
    return float(roc_auc_score(truth, scores)), float(average_precision_score(truth, scores))


def _days() -> tuple[Any, Any]:
    """Return every day that begins with a half-hour, and whether it ends in an anomaly; None if unknown."""
    try:
        with (DATA / "nab/nyc_taxi.csv").open() as file:
            found = list(csv.DictReader(file))
        windows = json.loads((DATA / "nab/combined_windows.json").read_text())["realKnownCause/nyc_taxi.csv"]
    except OSError as error:
        print(f"  no taxi rides: {error}")
        draw = np.random.default_rng(0)
        series = (
            15_000 + 8_000 * np.sin(np.arange(10_320) * 2 * np.pi / 48) + 1_000 * draw.normal(size=10_320)
        )
        return _shingled(series), None
    times = np.array([row["timestamp"] for row in found])
    is_odd = np.zeros(len(times), bool)
    for start, end in windows:
        is_odd |= (times >= start[:19]) & (times <= end[:19])
    return _shingled(np.array([float(row["value"]) for row in found])), is_odd[SHINGLE - 1 :]


def _shingled(series: Any) -> Any:
    return np.lib.stride_tricks.sliding_window_view(series.astype(np.float32), SHINGLE).copy()
