"""Object2Vec: 100,004 ratings of MovieLens as pairs of a person and a film, by means of tokens' vectors.

Where the ratings cannot be had they are drawn, and the error is not judged.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from bench._bars import Report
from bench.algorithms._ratings import ratings as movielens
from bench.algorithms._trainings import clock, train

EPOCHS = 20


def run(report: Report) -> None:
    people, films, ratings, is_real = movielens()
    order = np.random.default_rng(0).permutation(len(ratings))
    test, rest = order[: len(order) // 10], order[len(order) // 10 :]
    given = {
        "enc0_max_seq_len": 1,
        "enc0_vocab_size": int(people.max()) + 1,
        "enc1_max_seq_len": 1,
        "enc1_vocab_size": int(films.max()) + 1,
        "enc0_network": "pooled_embedding",
        "enc0_token_embedding_dim": 64,
        "output_layer": "mean_squared_error",
        "mlp_layers": 1,
        "mlp_dim": 64,
        "mlp_activation": "tanh",
        "mini_batch_size": 1000,
        "learning_rate": 0.0015,
        "weight_decay": 0.004,
        "dropout": 0.4,
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
