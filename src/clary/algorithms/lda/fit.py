"""Training: counts of words in, topics out.

documents ─▶ topics from their moments, a quarter more than asked for ─▶ those of the largest priors
          ─▶ every word's count shared out among them, 40 times ─▶ alpha, beta
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact
from clary.algorithms._feed import Feed, count_flaw
from clary.algorithms._log import Log, say
from clary.algorithms.lda import _moments
from clary.algorithms.lda.predict import Topics, as_counts
from clary.kernel.errors import CustomerError
from clary.toolkit.formats import csv
from clary.toolkit.formats.base import MediaType
from clary.toolkit.kernels import topics as kernels

if TYPE_CHECKING:
    from clary.algorithms.base import Source, Training

SEED = 37
MORE = 1.25
"""Topics computed for each that is kept. Source: developer guide, "How LDA Works"."""
N_TURNS = 40
"""3,000 docstrings, 30 topics: perplexity 949 without, 611 after 10, 584 after 40, 578 after 80."""
SMOOTHING = 0.02
"""Added to each word's count in each topic."""
MOST_COMPUTED = 400
"""Topics whose tensor fits into 512 MB; beyond, all topics start from documents."""


def fit(training: Training) -> None:
    """Find the topics of the train channel, and leave them in the model folder.

    Raises
    ------
    CustomerError
        There are several hosts, or a channel is empty, malformed or has counts below 0.
    """
    if len(training.hosts) > 1:
        raise CustomerError("LDA trains on one instance: set InstanceCount to 1")
    params = training.params
    n_topics, alpha0 = params.int("num_topics"), params.float("alpha0")
    log, started = Log(training, "LDA"), time.time()
    counts = read(training.source("train"), params.int("feature_dim"))
    log.throughput(counts.shape[0], time.time() - started)
    draw = np.random.default_rng(SEED)
    limits = {
        "n_starts": params.int("max_restarts"),
        "n_most": params.int("max_iterations"),
        "tolerance": params.float("tol"),
    }
    shares, prior = np.zeros((counts.shape[1], 0)), np.zeros(0)
    n_computed = int(np.ceil(MORE * n_topics))
    if n_computed <= MOST_COMPUTED:
        shares, prior = _moments.topics(counts, n_computed, alpha0, draw, **limits)
    shares, prior = _chosen(counts, shares, prior, n_topics, draw)
    model = _refined(counts, shares, prior / prior.sum() * alpha0)
    log.progress(1, 1)
    if "test" in training.sources:
        pwll = likelihood(model, read(training.sources["test"], params.int("feature_dim")))
        log.quality("test pwll", pwll, kind="score")
        log.score("pwll", pwll)
    arrays = {"alpha": model.alpha.astype(np.float32), "beta": model.beta.T.astype(np.float32)}
    _artifact.save(training.model_dir / _artifact.MODEL_FILE, arrays)


def read(source: Source, n_words: int) -> Any:
    """Return a channel's documents as CSR."""
    if source.mode == "Pipe" and MediaType.parse(source.content_type).name in csv.CONTENT_TYPES:
        raise CustomerError(
            f"Channel {source.name}: LDA reads {source.content_type} in File mode; Pipe mode needs "
            "application/x-recordio-protobuf"
        )
    feed = Feed(source, feature_dim=n_words, has_labels=False, flaw=count_flaw)
    table = feed.table()
    feed.require_rows()
    return as_counts(table.features)


def _chosen(
    counts: Any, shares: Any, prior: Any, n_topics: int, draw: np.random.Generator
) -> tuple[Any, Any]:
    """Return the topics of the largest priors; where moments give too few, documents stand in."""
    order = np.argsort(-prior, kind="stable")[:n_topics]
    shares, prior = shares[:, order], prior[order]
    n_missing = n_topics - len(order)
    if n_missing:
        say(f"{len(order)} topics come from the moments of documents, {n_missing} begin from documents")
        mixture = draw.gamma(1.0, size=(n_missing, counts.shape[0])) ** 2
        begun = np.asarray(counts.T @ mixture.T)
        begun /= np.maximum(begun.sum(axis=0), 1e-300)
        shares = np.column_stack((shares, begun))
        prior = np.concatenate((prior, np.full(n_missing, prior.min() if prior.size else 1.0)))
    return shares, prior


def _refined(counts: Any, shares: Any, alpha: Any) -> Topics:
    """Share out all words among topics, in turns; return the topics, the commonest first."""
    prior = alpha.astype(np.float32)
    sizes = np.asarray(counts.sum(axis=1)).ravel()
    mixtures = np.outer(sizes, alpha / alpha.sum()).astype(np.float32)
    n_words = counts.shape[1]
    uniform = 1e-4 / n_words
    weights = np.ascontiguousarray((shares + uniform) / (1 + 1e-4), np.float32)
    for _ in range(N_TURNS):
        found = kernels.share(counts, mixtures, weights, prior)
        found += np.float32(SMOOTHING)
        weights = found / found.sum(axis=0)
    order = np.argsort(-mixtures.sum(axis=0, dtype=np.float64), kind="stable")
    return Topics(alpha[order], weights[:, order].T)


def likelihood(model: Topics, counts: Any) -> float:
    """Return the mean log-likelihood of a word: every second one of a document, given the others."""
    given, asked = halves(counts)
    mixtures = model.mixtures(given)
    rows = np.repeat(np.arange(asked.shape[0]), np.diff(asked.indptr))
    total = 0.0
    for start in range(0, len(rows), kernels.BLOCK_VALUES):
        part = slice(start, start + kernels.BLOCK_VALUES)
        chances = (mixtures[rows[part]] * model.beta[asked.indices[part]]).sum(axis=1)
        total += float((asked.data[part] * np.log(chances)).sum())
    return total / max(float(asked.data.sum(dtype=np.float64)), 1.0)


def halves(counts: Any) -> tuple[Any, Any]:
    """Return the words of documents in two halves, in turn; shares of words are halved."""
    data = counts.data.astype(np.float64)
    if (data == np.floor(data)).all():
        ends = np.cumsum(data)
        starts = ends - data
        first = np.ceil(ends / 2) - np.ceil(starts / 2)
    else:
        first = data / 2
    parts = []
    for values in (first, data - first):
        part = counts.copy()
        part.data = values.astype(np.float32)
        parts.append(as_counts(part))
    return parts[0], parts[1]
