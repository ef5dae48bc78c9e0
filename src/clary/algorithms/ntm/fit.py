"""Training: documents in, topics out.

    pass 0   counts, and which words share documents ─▶ vectors of words ─▶ their clusters: the first topics
    pass 1…  mini-batches; the divergence from the prior counts by and by, in full after 4 of 5 passes

Source
------
Developer guide, "Neural Topic Model (NTM) Algorithm"; Bowman et al. (2016), doi:10.18653/v1/K16-1002, for the
divergence that is let in slowly.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from clary.algorithms import _artifact, _gpu, _hosts
from clary.algorithms._feed import Feed, count_flaw
from clary.algorithms._gradients import summed
from clary.algorithms._log import Log, say
from clary.algorithms._optimizers import Optimizer, optimizer
from clary.algorithms.kmeans import _lloyd
from clary.algorithms.ntm import _graph, _words
from clary.algorithms.ntm._network import Loss, Network
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from clary.algorithms._hosts import Hosts
    from clary.algorithms.base import Training
    from clary.algorithms.ntm._device import OnDevice

SEED = 17
SAMPLE_VALUES = 16 << 20
"""Counts of words that vectors of words are made from, at most."""
WARM = 0.8
"""Share of the passes after which the divergence counts in full."""
FIRST_TOPICS = np.float32(3.0)
"""Length of the vectors that topics begin with, in units of words' own: how sharp they are."""


def fit(training: Training) -> None:
    """Learn topics from the train channel; the first host leaves them in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty or malformed, has negative counts, or the vocabulary is of another size.
    """
    with _hosts.joined(training) as hosts:
        n_words = training.params.int("feature_dim")
        vocabulary = _vocabulary(training, n_words) if "auxiliary" in training.sources else None
        train = Documents(training, "train", hosts)
        counts, sample = _first_pass(train, hosts)
        network = _begin(training, hosts, counts, sample)
        log = Log(training, "AWS/NTM")
        words = network.arrays["word_vectors"].copy()
        there = _on_device(network)
        _learn(training, hosts, there or network, train, log)
        if "test" in training.sources:
            loss = _total(Documents(training, "test", hosts).loss(there or network))
            log.quality("test total_loss", loss)
            log.score("total_loss", loss)
        if there is not None:
            there.leave(network)
        _describe(network.topics(), words, vocabulary)
        if hosts.is_first:
            arrays = network.frozen()
            _artifact.save(training.model_dir / _artifact.MODEL_FILE, arrays)
            _graph.write(training.model_dir, arrays)


def _on_device(network: Network) -> OnDevice | None:
    """Bring a network to the GPU, where there is one."""
    gpu = _gpu.find()
    if gpu is None:
        return None
    from clary.algorithms.ntm._device import OnDevice  # noqa: PLC0415 - it imports torch

    return OnDevice(gpu, network)


class Documents:
    """The documents of a channel, as sparse counts."""

    def __init__(self, training: Training, channel: str, hosts: Hosts) -> None:
        source = training.source(channel)
        n_words = training.params.int("feature_dim")
        self._feed = Feed(source, feature_dim=n_words, has_labels=False, flaw=count_flaw)
        self._hosts = hosts
        self.n_words = self._feed.feature_dim
        self._is_shared = channel != "train" and source.distribution != "ShardedByS3Key"

    def blocks(self) -> Iterator[Any]:
        """Yield one pass; CustomerError where a count is negative."""
        for table in self._feed.blocks():
            block = sparse.csr_matrix(table.features, dtype=np.float32)
            block.sum_duplicates()
            yield block[
                np.argsort(block @ _marks(block.shape[1]), kind="stable")
            ]  # whatever the files' order

    def require(self) -> None:
        """Make sure that there was a document on any host."""
        self._feed.require_rows(self._hosts)

    def minibatches(self, size: int, share: float, draw: np.random.Generator) -> Iterator[Any]:
        """Yield one pass in mini-batches, in random order."""
        rest = None
        for block in self.blocks():
            n_rows = max(1, round(share * block.shape[0]))
            rows = block[draw.permutation(block.shape[0])[:n_rows]]
            if rest is not None and rest.shape[0]:
                rows = sparse.vstack([rest, rows], format="csr")
            n_whole = rows.shape[0] // size * size
            for start in range(0, n_whole, size):
                yield rows[start : start + size]
            rest = rows[n_whole:]
        if rest is not None and rest.shape[0]:
            yield rest

    def loss(self, network: Network | OnDevice) -> NDArray[np.float64]:
        """Return the sums of a loss over all hosts' documents; CustomerError where there are none."""
        sums = Loss()
        for block in self.blocks():
            for start in range(0, block.shape[0], 1024):
                sums = sums.plus(network.loss(block[start : start + 1024]))
        self._feed.require_rows(self._hosts)
        return sums.numbers() if self._is_shared else self._hosts.sum(sums.numbers())


def _marks(n_words: int) -> NDArray[np.float64]:
    return np.random.default_rng(SEED).random(n_words)


def _total(sums: NDArray[np.float64]) -> float:
    return float(Loss(*sums.tolist()).total)


def _vocabulary(training: Training, n_words: int) -> list[str]:
    path: Path = training.source("auxiliary").path / "vocab.txt"
    if not path.is_file():
        raise CustomerError("Channel auxiliary must have the file vocab.txt, with a word a line")
    try:
        words = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise CustomerError(f"Channel auxiliary: vocab.txt is not UTF-8: {error}") from error
    if len(words) != n_words:
        raise CustomerError(
            f"Channel auxiliary: vocab.txt has {len(words)} lines, and hyperparameter feature_dim is "
            f"{n_words}"
        )
    return words


def _first_pass(train: Documents, hosts: Hosts) -> tuple[NDArray[np.float64], Any]:
    """Return each word's uses on all hosts, and a sample of this host's documents."""
    counts: Any = 0.0
    kept: list[Any] = []
    room = SAMPLE_VALUES
    for block in train.blocks():
        counts = counts + np.asarray(block.sum(axis=0), np.float64).ravel()
        if room > 0:
            n_rows = int(np.searchsorted(block.indptr, room, "right")) - 1
            kept.append(block[:n_rows])
            room -= block.nnz
    train.require()
    if not kept:
        counts, kept = np.zeros(train.n_words), [sparse.csr_matrix((0, train.n_words), dtype=np.float32)]
    return hosts.sum(counts), sparse.vstack(kept, format="csr")


def _begin(training: Training, hosts: Hosts, counts: NDArray[np.float64], sample: Any) -> Network:
    params = training.params
    n_topics, given = params.int("num_topics"), params["encoder_layers"]
    words = _words.vectors(sample, counts, hosts)
    frequency = np.log(counts + 0.5)
    frequency -= frequency.mean()
    return Network(
        words,
        _first_topics(words, counts, n_topics),
        frequency.astype(np.float32),
        (3 * n_topics, 2 * n_topics) if given == "auto" else given,
        activation=params.text("encoder_layers_activation"),
        is_normalised=params.is_true("batch_norm"),
    )


def _first_topics(
    words: NDArray[np.float32], counts: NDArray[np.float64], n_topics: int
) -> NDArray[np.float32]:
    """Return the centres of clusters of words' directions, frequent words counting more."""
    draw = np.random.default_rng(SEED)
    units = words / np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1e-9)
    if n_topics >= np.count_nonzero(counts):
        centres = draw.standard_normal((n_topics, words.shape[1]), np.float32)
    else:
        weights = np.sqrt(counts).astype(np.float32)
        start = _lloyd.seed(units, n_topics, draw, weights)
        centres, _ = _lloyd.lloyd(units, start, weights, n_most=30)
    lengths = np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
    return np.asarray(centres / lengths * FIRST_TOPICS, np.float32)


def _learn(training: Training, hosts: Hosts, network: Network | OnDevice, train: Documents, log: Log) -> None:
    params = training.params
    steps = optimizer(
        params.text("optimizer"),
        params.float("learning_rate"),
        weight_decay=params.float("weight_decay"),
        clip=params.float("clip_gradient"),
        rescale=params.float("rescale_gradient"),
    )
    validation = Documents(training, "validation", hosts) if "validation" in training.sources else None
    draw = np.random.default_rng((SEED, hosts.rank))
    epochs, size = params.int("epochs"), -(-params.int("mini_batch_size") // hosts.n_hosts)
    n_warm = WARM * epochs
    history: list[float] = []
    for epoch in range(epochs):
        started = time.time()
        warmth = min(1.0, (epoch + 1) / n_warm)
        sums, n_rows = Loss(), 0
        empty = sparse.csr_matrix((0, params.int("feature_dim")), dtype=np.float32)
        batches = train.minibatches(size, params.float("sub_sample"), draw)
        while True:
            batch = next(batches, None)
            if not hosts.sum(np.array([batch is not None], np.int64))[0]:
                break
            part = empty if batch is None else batch
            n_rows += part.shape[0]
            sums = sums.plus(_step(network, steps, hosts, part, warmth, draw))
        own = sums.numbers()
        log.throughput(n_rows, time.time() - started)
        loss = _total(hosts.sum(own))
        if not np.isfinite(loss):
            raise CustomerError(
                f"Training diverged: the loss is no number with learning_rate {params['learning_rate']}; "
                "choose a smaller one"
            )
        log.quality("train total_loss", loss, epoch=epoch)
        if validation is not None:
            loss = _total(validation.loss(network))
            log.quality("validation total_loss", loss, epoch=epoch)
        log.progress(epoch + 1, epochs)
        history.append(loss)
        if is_over(history, params.int("num_patience_epochs"), params.float("tolerance")):
            say(f"The loss does not fall any more: ending after {epoch + 1} epochs")
            break


def is_over(history: list[float], patience: int, tolerance: float) -> bool:
    """Say whether the loss fell, within `patience` passes, by less than a share of `tolerance`."""
    if len(history) <= patience:
        return False
    before = history[-patience - 1]
    return before - min(history[-patience:]) < tolerance * abs(before)


def _step(
    network: Network | OnDevice,
    steps: Optimizer,
    hosts: Hosts,
    documents: Any,
    warmth: float,
    draw: np.random.Generator,
) -> Loss:
    """Take one step; return the sums of the loss of this host's documents."""
    loss, gradients = network.learn(documents, warmth, draw)
    n_words = float(hosts.sum(np.array([loss.n_words]))[0])
    together = summed(hosts, gradients, network.gpu)
    scale = 1 / max(n_words, 1)
    steps.step(network.arrays, {name: each * scale for name, each in together.items()})
    return loss


def _describe(topics: NDArray[Any], words: NDArray[np.float32], vocabulary: list[str] | None) -> None:
    """Print each topic's top words, how well they go together, and how much they are its own."""
    tops = _words.top_words(topics)
    coherence, uniqueness = _words.coherence(tops, words), _words.uniqueness(tops)
    say(f"Topics (num_topics:{len(topics)}) [wetc {coherence.mean():.2f}, tu {uniqueness.mean():.2f}]:")
    for number, text in enumerate(_words.spelled(tops, vocabulary)):
        say(f"[wetc {coherence[number]:.2f}, tu {uniqueness[number]:.2f}] {text}")
