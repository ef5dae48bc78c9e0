"""Training: text in; vectors of words, or a classifier of texts, out.

Source: developer guide, "BlazingText algorithm"; Gupta and Khare (2017), "BlazingText: scaling and
accelerating Word2Vec using multiple GPUs", doi:10.1145/3146347.3146354.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from clary.algorithms import _gpu, _hosts
from clary.algorithms._log import say
from clary.algorithms.blazingtext import _fasttext, _similarity
from clary.algorithms.blazingtext._classifier import Classifier
from clary.algorithms.blazingtext._corpus import read_sentences, read_texts
from clary.algorithms.blazingtext._device_labels import DeviceClassifier
from clary.algorithms.blazingtext._device_words import DeviceVectors
from clary.algorithms.blazingtext._hyperparameters import BATCH_SKIPGRAM, SUPERVISED
from clary.algorithms.blazingtext._turns import Turns
from clary.algorithms.blazingtext._vectors import Vectors
from clary.kernel.errors import CustomerError
from clary.toolkit.kernels.tokens import spelled

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from clary.algorithms.base import Training

WORDS_FILE, WORDS_TEXT, TEXTS_FILE = "vectors.bin", "vectors.txt", "model.bin"
TEXT_ROWS = 10_000


def fit(training: Training) -> None:
    """Learn from the train channel; the first host leaves the model in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty or malformed, or does not suit the mode, or there are several hosts for one.
    """
    mode = training.params["mode"]
    if len(training.hosts) > 1 and mode != BATCH_SKIPGRAM:
        raise CustomerError(
            f"BlazingText trains on one instance in mode {mode}: InstanceCount must be 1; batch_skipgram "
            "takes several"
        )
    wrong = "evaluation" if mode == SUPERVISED else "validation"
    if wrong in training.sources:
        raise CustomerError(f"Extraneous channel found: {wrong}. Mode {mode} has none")
    training.model_dir.mkdir(parents=True, exist_ok=True)
    if mode == SUPERVISED:
        _labels(training)
    else:
        _words(training)


def _turns(training: Training, n_words: int) -> Turns:
    return Turns(
        epochs=training.params.int("epochs"),
        rate=training.params.float("learning_rate"),
        n_threads=1 if _gpu.find() else training.n_threads or os.cpu_count() or 1,
        n_words=n_words,
    )


def _words(training: Training) -> None:
    params = training.params
    judged = _similarity.judgements(training.sources.get("evaluation"))
    with _hosts.joined(training) as hosts:
        text = read_sentences(training.source("train"), params.int("min_count"))
        say(f"Read {text.n_read} words; vocabulary: {len(text.vocabulary.words)}")
        gpu = _gpu.find()
        vectors = Vectors(params, text) if gpu is None else DeviceVectors(gpu, params, text)
        turns = _turns(training, text.n_read)
        vectors.learn(turns, hosts)
        turns.finish(params.int("epochs"))
        if not hosts.is_first:
            return
        _fasttext.write(training.model_dir / WORDS_FILE, vectors.as_fasttext())
        found = vectors.of_words()
        _write_text(training.model_dir / WORDS_TEXT, vectors.words, found)
        if not params.is_true("evaluation"):
            return
        if not judged:
            say(
                "No evaluation: nobody gave pairs of words. #mean_rho needs a channel evaluation with files "
                "of WS-353, or gensim, which has one",
                "WARNING",
            )
            return
        report = _similarity.evaluate(judged, vectors.words, found)
        (training.model_dir / "eval.json").write_text(json.dumps(report, indent=4))
        turns.log(f"Evaluating word embeddings....\n{json.dumps(report, indent=4)}")
        say(f"#mean_rho: {report['mean_rho']}")


def _write_text(path: Path, words: list[bytes], vectors: NDArray[np.float32]) -> None:
    with path.open("wb") as file:
        file.write(f"{len(words)} {vectors.shape[1]}\n".encode())
        for start in range(0, len(words), TEXT_ROWS):
            part = slice(start, start + TEXT_ROWS)
            file.write(spelled(words[part], vectors[part]))


def _labels(training: Training) -> None:
    params = training.params
    if params.is_true("early_stopping") and "validation" not in training.sources:
        raise CustomerError("Hyperparameter early_stopping: true needs the channel validation")
    texts, words, labels = read_texts(training.source("train"), params.int("min_count"))
    validation = None
    if "validation" in training.sources:
        validation, _, _ = read_texts(training.source("validation"), 0, (words, labels))
    n_read = int(words.counts.sum())
    say(f"Read {n_read} words; vocabulary: {len(words.words)}; labels: {len(labels.words)}")
    gpu, given, turns = _gpu.find(), (params, texts, words, labels), _turns(training, n_read)
    model = Classifier(*given) if gpu is None else DeviceClassifier(gpu, *given)
    epochs = model.learn(turns, validation)
    turns.finish(epochs)
    for channel, found in (("train", texts), ("validation", validation)):
        if found is not None:
            accuracy, n_texts = model.judge(found)
            turns.log(f"#{channel}_accuracy: {accuracy:.4f}")
            turns.log(f"Number of {channel} examples: {n_texts}")
    _fasttext.write(training.model_dir / TEXTS_FILE, model.as_fasttext(epochs))
