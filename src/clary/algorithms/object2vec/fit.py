"""Training: labelled pairs in, encoders out.

Source: developer guide, "How Object2Vec Works".
"""

from __future__ import annotations

import copy
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact, _gpu
from clary.algorithms._log import Log, say
from clary.algorithms._optimizers import Optimizer, optimizer
from clary.algorithms.object2vec import _graph, _pairs
from clary.algorithms.object2vec._hyperparameters import STORAGE
from clary.algorithms.object2vec._network import Network, Shape
from clary.algorithms.object2vec._pairs import Pairs
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from clary.algorithms.base import Training
    from clary.algorithms.object2vec._device import OnDevice
    from clary.toolkit.hyperparameters import Params

SEED = 17
STEP_TOKENS = 1 << 16
"""Tokens evaluated at once, about."""
TAIL = 3
"""The model is the mean over the last third of the passes."""
LOOKS = 8
"""Places of each of those passes that the mean is of; of row_sparse, where one costs many steps, the end."""


def fit(training: Training) -> None:
    """Learn from the train channel, and leave the network in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty, or a line of it is no labelled pair; or there are several hosts.
    """
    if len(training.hosts) > 1:
        raise CustomerError("Object2Vec trains on one instance: InstanceCount must be 1")
    shape = Shape.of(training.params)
    channels = {
        name: _pairs.read(training.source(name), shape.vocabularies, shape.longest, shape.n_classes)
        for name in ("train", "validation", "test")
        if name == "train" or name in training.sources
    }
    train = channels["train"]
    network = Network.begin(shape, 0.0 if shape.n_classes else float(train.labels.mean()))
    frozen = {
        network.tables[side]
        for side in (0, 1)
        if _pretrained(training, network, side)
        and training.params.is_true(f"enc{side}_freeze_pretrained_embedding")
    }
    log = Log(training, "AWS/Object2Vec")
    there = _on_device(network)
    _learn(training.params, there or network, train, channels.get("validation"), frozen, log)
    if "test" in channels:
        _report(log, shape, "test", evaluate(there or network, channels["test"]), None)
    if there is not None:
        there.leave()
    arrays = {"shape": np.array(str(shape)), **network.arrays}
    _artifact.save(training.model_dir / _artifact.MODEL_FILE, arrays)
    _graph.write(training.model_dir, network)


def _on_device(network: Network) -> OnDevice | None:
    """Bring a network to the GPU, where there is one."""
    gpu = _gpu.find()
    if gpu is None:
        return None
    from clary.algorithms.object2vec._device import OnDevice  # noqa: PLC0415 - it imports torch

    return OnDevice(gpu, network)


def _learn(
    params: Params,
    network: Network | OnDevice,
    train: Pairs,
    validation: Pairs | None,
    frozen: set[str],
    log: Log,
) -> None:
    steps = optimizer(
        params.text("optimizer"), params.float("learning_rate"), weight_decay=params.float("weight_decay")
    )
    draw = np.random.default_rng(SEED)
    is_sparse = params[STORAGE] == "row_sparse"
    epochs, patience = params.int("epochs"), params.int("early_stopping_patience")
    n_stale, before, least = 0, np.inf, np.inf
    best: dict[str, Any] = {}
    tail = _Tail(epochs, 1 if is_sparse else LOOKS)
    n_batches = -(-len(train) // params.int("mini_batch_size"))
    for epoch in range(epochs):
        started = time.time()
        seen: Any = 0.0
        for number, batch in enumerate(minibatches(train, params, draw), 1):
            seen += _step(network, steps, batch, draw, params.float("dropout"), frozen, is_sparse=is_sparse)
            tail.add(epoch, number, n_batches, network.arrays)
        sums = network.numbers(seen)
        log.throughput(len(train), time.time() - started)
        _report(log, network.shape, "train", sums, epoch)
        if not np.isfinite(sums[0]):
            raise CustomerError(
                f"Training diverged: the loss is no number with learning_rate {params['learning_rate']}; "
                "choose a smaller one"
            )
        if validation is not None:
            sums = evaluate(network, validation)
            _report(log, network.shape, "validation", sums, epoch)
        loss = float(sums[0] / sums[2])
        log.progress(epoch + 1, epochs)
        if validation is not None and loss < least:
            least, best = loss, copy.deepcopy(network.arrays)
        n_stale = 0 if before - loss >= params.float("early_stopping_tolerance") else n_stale + 1
        before = loss
        if n_stale >= patience:
            say(f"Early stopping: {patience} epochs without improvement, after {epoch + 1}")
            break
    if validation is None:
        network.arrays |= tail.mean
        return
    if tail.mean:
        sums = evaluate(network.of(network.arrays | tail.mean), validation)
        best = tail.mean if sums[0] / sums[2] < least else best
    network.arrays |= best


class _Tail:
    """The mean of the parameters at places of each of the last passes: the middle of what steps circle.

    Source: Polyak and Juditsky (1992), doi:10.1137/0330046; Izmailov and others (2018), arXiv:1803.05407.
    """

    def __init__(self, epochs: int, looks: int) -> None:
        self._first = epochs - epochs // TAIL
        self._looks = looks
        self.mean: dict[str, Any] = {}
        self._n = 0

    def add(self, epoch: int, number: int, n_batches: int, arrays: Mapping[str, Any]) -> None:
        """Take what mini-batch `number` of `n_batches` left into the mean, if it is one of the places."""
        before, now = ((each * self._looks) // n_batches for each in (number - 1, number))
        if epoch < self._first or now == before:
            return
        self._n += 1
        for name, values in arrays.items():
            mean = self.mean.get(name, values)
            self.mean[name] = mean + (values - mean) / self._n


def _step(
    network: Network | OnDevice,
    steps: Optimizer,
    batch: Pairs,
    draw: np.random.Generator,
    dropout: float,
    frozen: set[str],
    *,
    is_sparse: bool,
) -> Any:
    sums, gradients, touched = network.learn(batch, draw, dropout)
    for name, (rows, gradient) in touched.items():
        if name in frozen:
            continue
        if is_sparse:
            steps.step_rows(name, network.arrays[name], rows, gradient)
        else:
            gradients[name] = network.whole(name, rows, gradient)
    steps.step(network.arrays, gradients)
    return sums


def minibatches(pairs: Pairs, params: Params, draw: np.random.Generator) -> Iterator[Pairs]:
    """Yield one pass: mini-batches in random order, each with pairs that are drawn."""
    order = draw.permutation(len(pairs))
    step, size = params.int("bucket_width"), params.int("mini_batch_size")
    if step and params[STORAGE] == "dense":
        first, second = (tokens.lengths[order] // step for tokens in pairs.sides)
        order = order[np.lexsort((second, first))]
    starts = np.arange(0, len(order), size)
    for start in draw.permutation(starts):
        places = order[start : start + size]
        batch = pairs.take(places)
        rate = params.int("negative_sampling_rate")
        if rate:
            again = np.tile(places, rate)
            others = draw.integers(0, len(pairs), len(again))
            batch = Pairs(
                (
                    pairs.sides[0].take(np.concatenate((places, again))),
                    pairs.sides[1].take(np.concatenate((places, others))),
                ),
                np.concatenate((batch.labels, np.zeros(len(again), np.float32))),
            )
        yield batch


def evaluate(network: Network | OnDevice, pairs: Pairs) -> NDArray[np.float64]:
    """Return sums over pairs: the loss, how many were right, and their number."""
    sums: Any = 0.0
    size = max(1, STEP_TOKENS // max(int(tokens.lengths.max(initial=1)) for tokens in pairs.sides))
    for start in range(0, len(pairs), size):
        sums += network.measure(pairs.take(np.arange(start, min(start + size, len(pairs)))))
    return network.numbers(sums)


def _report(log: Log, shape: Shape, channel: str, sums: NDArray[np.float64], epoch: int | None) -> None:
    loss, right, n_pairs = sums.tolist()
    if not shape.n_classes:
        log.quality(f"{channel} mean_squared_error", loss / n_pairs, epoch=epoch)
        return
    log.quality(f"{channel} cross_entropy", loss / n_pairs, epoch=epoch)
    log.quality(f"{channel} accuracy", right / n_pairs, epoch=epoch, kind="score")


def _pretrained(training: Training, network: Network, side: int) -> bool:
    """Put pretrained vectors in their places; return whether there are any.

    Raises
    ------
    CustomerError
        A file is not there or not what it should be.
    """
    vectors, words = (
        training.params.text(f"enc{side}_{name}") for name in ("pretrained_embedding_file", "vocab_file")
    )
    if not vectors:
        return False
    folder = training.source("auxiliary").path
    table = network.arrays[network.tables[side]]
    tokens = _vocabulary(folder / words, len(table))
    n_found = 0
    with _opened(folder / vectors).open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            word, *numbers = line.rstrip().split(" ")
            if word not in tokens:
                continue
            try:
                table[tokens[word]] = np.array(numbers, np.float32)
            except ValueError as error:
                raise CustomerError(
                    f"Channel auxiliary: {vectors}, line {number} has no {table.shape[1]} numbers, as "
                    f"enc{side}_token_embedding_dim says"
                ) from error
            n_found += 1
    say(f"enc{side}: {n_found} of {len(tokens)} words have pretrained vectors")
    return True


def _vocabulary(path: Path, n_tokens: int) -> dict[str, int]:
    try:
        found = json.loads(_opened(path).read_text("utf-8"))
    except ValueError as error:
        raise CustomerError(f"Channel auxiliary: {path.name} is not JSON: {error}") from error
    if not isinstance(found, dict) or not all(
        type(each) is int and 0 <= each < n_tokens for each in found.values()
    ):
        raise CustomerError(
            f"Channel auxiliary: {path.name} must be an object from words to tokens in range "
            f"[0, {n_tokens - 1}]"
        )
    return found


def _opened(path: Path) -> Path:
    if not path.is_file():
        raise CustomerError(f"Channel auxiliary has no file {path.name}")
    return path
