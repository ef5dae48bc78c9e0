"""BlazingText: words a second and what the vectors are worth, beside gensim and fastText; labels of reviews.

Peers run in environments of their own, on one core; ours are whole trainings, files and all.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from bench._bars import Report
from bench._peers import NotInstalledError, cache
from bench.algorithms import _elsewhere, _sentences
from bench.algorithms._trainings import clock, train

from clary.algorithms.blazingtext import _turns, _vectors

EPOCHS, WIDTH, RATE = 3, 100, 0.05
SEEDS = (1, 2, 3)
"""Of gensim and of ours, each with each: what vectors are worth is compared by the mean."""
GENSIM = ("gensim==4.4.0",)
FASTTEXT = ("fasttext-wheel==0.9.2", "numpy", "setuptools<81")
WORDS_BY_GENSIM = """
from gensim.models import Word2Vec
from gensim.test.utils import datapath
seconds, answer = [], []
for seed in given["seeds"].tolist():
    start = time.process_time()
    model = Word2Vec(corpus_file=str(given["path"]), sg=1, vector_size=int(given["width"]),
                     alpha=float(given["rate"]), epochs=int(given["epochs"]), window=5, negative=5,
                     sample=1e-4, min_count=5, workers=1, seed=seed)
    seconds.append(time.process_time() - start)
    answer.append(float(model.wv.evaluate_word_pairs(datapath("wordsim353.tsv"))[1][0]))
facts = {"seconds": min(seconds), "rho": answer}
"""
WORDS_BY_FASTTEXT = """
import fasttext
start = time.process_time()
fasttext.train_unsupervised(str(given["path"]), model="skipgram", dim=int(given["width"]),
                            lr=float(given["rate"]), epoch=1, ws=5, neg=5, minn=0, maxn=0, minCount=5,
                            thread=1, verbose=0)
facts, answer = {"seconds": time.process_time() - start}, np.zeros(1)
"""
LABELS_BY_FASTTEXT = """
import fasttext
start = time.process_time()
model = fasttext.train_supervised(str(given["path"]), lr=0.5, epoch=15, wordNgrams=2, minCount=5,
                                  dim=int(given["width"]), bucket=100_000, thread=1, verbose=0)
facts = {"seconds": time.process_time() - start, "accuracy": model.test(str(given["asked"]))[1]}
facts["ours"] = fasttext.load_model(str(given["ours"])).test(str(given["asked"]))[1]
answer = np.zeros(1)
"""


def run(report: Report) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        _words(report, folder / "words")
        _labels(report, folder / "labels")
    finally:
        shutil.rmtree(folder)


def _peer(name: str, requirements: tuple[str, ...], program: str, **given: Any) -> Mapping[str, Any] | None:
    try:
        return _elsewhere.run(name, requirements, program, **{k: np.array(v) for k, v in given.items()})[0]
    except (NotInstalledError, subprocess.SubprocessError) as error:
        print(f"  {name} could not be run: {error}")
        return None


def _words(report: Report, folder: Path) -> None:
    path, n_words, is_plain = _sentences.sentences()
    given = {"path": str(path.resolve()), "width": WIDTH, "rate": RATE, "epochs": EPOCHS, "seeds": SEEDS}
    gensim = _peer("gensim", GENSIM, WORDS_BY_GENSIM, **given)
    fasttext = _peer("fasttext", FASTTEXT, WORDS_BY_FASTTEXT, **given)
    (folder / "train").mkdir(parents=True)
    (folder / "train/part-0").symlink_to(path.resolve())
    for pairs in cache().glob("gensim-*/lib/python*/site-packages/gensim/test/test_data/wordsim353.tsv"):
        (folder / "evaluation").mkdir(exist_ok=True)
        shutil.copy(pairs, folder / "evaluation")
    rows = []
    for mode, seeds in (("batch_skipgram", SEEDS), ("skipgram", SEEDS[:1]), ("cbow", SEEDS[:1])):
        seconds, rhos = zip(*(_ours(folder, mode, seed) for seed in seeds), strict=True)
        rows.append((f"clary, {mode}", EPOCHS * n_words / min(seconds), rhos))
    if gensim is not None:
        rows.append(("gensim, skip-gram", EPOCHS * n_words / gensim["seconds"], gensim["rho"]))
    if fasttext is not None:
        rows.append(("fastText, skip-gram, one epoch", n_words / fasttext["seconds"], ()))
    what = "of a dictionary" if is_plain else "on operations"
    report.table(
        f"BlazingText, {n_words:,} words {what}, {EPOCHS} epochs",
        ("", "words/s", "rho of WS-353, by seed"),
        [(name, f"{rate:,.0f}", ", ".join(f"{each:.3f}" for each in rhos)) for name, rate, rhos in rows],
    )
    _, ours, rhos = rows[0]
    if gensim is not None:
        report.bar("BlazingText: gensim's words a second, of ours", rows[3][1] / ours, 1 / 2.5, "x")
        if is_plain:
            apart = float(np.mean(rows[3][2]) - np.mean(rhos))
            report.bar("BlazingText: gensim's mean rho of three seeds less ours", apart, 0.005, "")
    if fasttext is not None:
        report.bar("BlazingText: fastText's words a second, of ours", rows[-1][1] / ours, 1 / 6, "x")


def _ours(folder: Path, mode: str, seed: int) -> tuple[float, float]:
    """Return the CPU seconds of a training, and the rank correlation that it prints."""
    asked = {"mode": mode, "vector_dim": WIDTH, "learning_rate": RATE, "epochs": EPOCHS}
    with mock.patch.object(_turns, "SEED", seed), mock.patch.object(_vectors, "SEED", seed):
        (_, log), seconds = clock(lambda: train("blazingtext", folder, asked))
    rho = re.search(r"#mean_rho: (\S+)", log)
    return seconds, float(rho[1]) if rho else float("nan")


def _labels(report: Report, folder: Path) -> None:
    found = _sentences.reviews()
    if found is None:
        print("  there are no reviews: pip could not have them")
        return
    for channel, path in zip(("train", "validation"), found, strict=True):
        (folder / channel).mkdir(parents=True)
        (folder / channel / "part-0").symlink_to(path.resolve())
    asked = {
        "mode": "supervised",
        "vector_dim": WIDTH,
        "learning_rate": 0.5,
        "epochs": 15,
        "buckets": 100_000,
    }
    (model_dir, log), seconds = clock(lambda: train("blazingtext", folder, asked))
    ours = float(log.rpartition("#validation_accuracy: ")[2].split()[0])
    rows = [("clary, file and all", f"{seconds:.2f}", f"{ours:.3f}")]
    peer = _peer(
        "fasttext",
        FASTTEXT,
        LABELS_BY_FASTTEXT,
        path=str(found[0].resolve()),
        asked=str(found[1].resolve()),
        ours=str((model_dir / "model.bin").resolve()),
        width=WIDTH,
    )
    if peer is not None:
        rows += [
            ("fastText", f"{peer['seconds']:.2f}", f"{peer['accuracy']:.3f}"),
            ("our model.bin, asked by fastText", "", f"{peer['ours']:.3f}"),
        ]
        report.bar("BlazingText: fastText's accuracy less ours", peer["accuracy"] - ours, 0.005, "")
        apart = abs(peer["ours"] - ours)
        report.bar("BlazingText: our model.bin by fastText and by us", apart, 0.0011, "")
    report.table("BlazingText, supervised, 4,000 reviews", ("", "CPU s", "accuracy of 1,000"), rows)
