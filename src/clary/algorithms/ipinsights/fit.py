"""Training: events in, vectors out.

    events ─▶ mini-batch ─▶ + addresses drawn at random, + those of other events ─▶ which is the real one?

The loss is the cross-entropy of that question. Only rows of tables that a mini-batch touches are changed.

Source
------
Developer guide, "How IP Insights Works"; Weinberger et al. (2009), doi:10.1145/1553374.1553516; Mnih and
Kavukcuoglu (2013), "Learning word embeddings efficiently with noise-contrastive estimation".
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact, _gpu, _hosts
from clary.algorithms._gradients import Batches, summed, summed_rows
from clary.algorithms._log import Log, say
from clary.algorithms._optimizers import Optimizer, optimizer
from clary.algorithms.ipinsights import _graph, events
from clary.algorithms.ipinsights._network import Batch, Network, prefixes_of
from clary.kernel.errors import CustomerError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clary.algorithms._hosts import Hosts
    from clary.algorithms.base import Training
    from clary.algorithms.ipinsights._device import OnDevice
    from clary.toolkit.hyperparameters import Params

SEED = 17
_EVALUATED = 8192
"""Events evaluated at once."""
_LOSS, _ACCURACY = "binary_classification_cross_entropy", "binary_classification_accuracy"


def fit(training: Training) -> None:
    """Learn vectors from the train channel; the first host leaves them in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty, or a line of it is no event.
    """
    with _hosts.joined(training) as hosts:
        params = training.params
        events = Events.read(training, "train", hosts)
        validation = Events.read(training, "validation", hosts) if "validation" in training.sources else None
        network = Network.begin(
            params.int("num_entity_vectors"),
            params.int("vector_dim"),
            params.int("num_ip_encoder_layers"),
            prefixes_of(events.addresses, hosts),
        )
        gpu = _gpu.find()
        if gpu is None:
            _learn(training, hosts, network, events, validation)
        else:
            from clary.algorithms.ipinsights._device import OnDevice  # noqa: PLC0415 - it imports torch

            there = OnDevice(gpu, network)
            _learn(training, hosts, there, events, validation)
            network.arrays |= there.taken()
        say(f"{len(network.arrays['prefixes'])} prefixes have vectors of their own")
        if hosts.is_first:
            _artifact.save(training.model_dir / _artifact.MODEL_FILE, network.arrays)
            _graph.write(training.model_dir, network)


class Events:
    """The events of a channel on this host."""

    def __init__(self, rows: NDArray[np.int64], addresses: NDArray[np.uint32]) -> None:
        order = np.lexsort((addresses, rows))  # one order, whatever the files'
        self.rows = rows[order]
        self.addresses = addresses[order]

    @classmethod
    def read(cls, training: Training, channel: str, hosts: Hosts) -> Events:
        """Read a channel; CustomerError where no host has any event."""
        found = cls(*events.read(training.source(channel), training.params.int("num_entity_vectors")))
        if not hosts.sum(np.array([len(found.rows)]))[0]:
            raise CustomerError(f"No data in channel {channel}: it has no rows")
        return found


class Negatives:
    """How the addresses that an event does not have are drawn."""

    def __init__(self, params: Params, draw: np.random.Generator) -> None:
        self.n_drawn = params.int("random_negative_sampling_rate")
        self.n_shuffled = params.int("shuffled_negative_sampling_rate")
        self._draw = draw

    @property
    def n_pairs(self) -> int:
        """Pairs of one event, the real one included."""
        return 1 + self.n_drawn + self.n_shuffled

    def of(self, rows: NDArray[np.int64], addresses: NDArray[np.uint32]) -> Batch:
        """Return events with what is drawn for them."""
        n = len(rows)
        drawn = self._draw.integers(0, 1 << 32, n * self.n_drawn, dtype=np.uint32)
        away = self._draw.integers(1, n, self.n_shuffled) if n > 1 else [0] * self.n_shuffled
        return Batch(rows, addresses, drawn, [int(each) for each in away])


def _learn(
    training: Training, hosts: Hosts, network: Network | OnDevice, events: Events, validation: Events | None
) -> None:
    params, log = training.params, Log(training, "AWS/IPInsights")
    draw = np.random.default_rng((SEED, hosts.rank))
    negatives = Negatives(params, draw)
    steps = optimizer("adam", params.float("learning_rate"), weight_decay=params.float("weight_decay"))
    batches = Batches(hosts, len(events.rows), params.int("mini_batch_size"))
    epochs, every = params.int("epochs"), params.int("batch_metrics_publish_interval")
    for epoch in range(epochs):
        started, order = time.time(), draw.permutation(len(events.rows))
        total: Any = 0.0
        since: Any = 0.0
        for step in range(batches.n_steps):
            part = order[batches.part(step)]
            n_pairs = batches.n_together(step) * negatives.n_pairs
            batch = negatives.of(events.rows[part], events.addresses[part])
            seen = _step(network, steps, hosts, batch, n_pairs)
            total, since = total + seen, since + seen
            if (step + 1) % every == 0:
                since = network.numbers(since)
                log.quality(f"batch={step + 1} train {_LOSS}", since[0] / since[2], epoch=epoch)
                log.quality(
                    f"batch={step + 1} train {_ACCURACY}", since[1] / since[2], epoch=epoch, kind="score"
                )
                since = 0.0
        total = hosts.sum(network.numbers(total))
        log.throughput(len(events.rows), time.time() - started)
        log.quality(f"train {_LOSS}", total[0] / total[2], epoch=epoch)
        log.quality(f"train {_ACCURACY}", total[1] / total[2], epoch=epoch, kind="score")
        if not np.isfinite(total[0]):
            raise CustomerError(
                f"Training diverged: the loss is no number with learning_rate {params['learning_rate']}; "
                "choose a smaller one"
            )
        if validation is not None:
            is_sharded = training.sources["validation"].distribution == "ShardedByS3Key"
            auc = _auc(network, validation, params, hosts if is_sharded else None)
            log.quality("validation discriminator_auc", auc, epoch=epoch, kind="score")
        log.progress(epoch + 1, epochs)


def _step(network: Network | OnDevice, steps: Optimizer, hosts: Hosts, batch: Batch, n_pairs: int) -> Any:
    """Take one step; return what `learn` saw of this host's events."""
    seen, dense, tables = network.learn(batch, n_pairs)
    steps.step(network.arrays, summed(hosts, dense, network.gpu))
    for name, (own, own_gradient) in tables.items():
        touched, gradient = summed_rows(hosts, own, own_gradient, network.gpu)
        steps.step_rows(name, network.arrays[name], touched, gradient)
    return seen


def _auc(network: Network | OnDevice, events: Events, params: Params, hosts: Hosts | None) -> float:
    """Return how well real events are told from drawn ones, by the strategy of training."""
    negatives = Negatives(params, np.random.default_rng(SEED))
    order = np.random.default_rng(SEED).permutation(len(events.rows))
    real, drawn = [np.zeros(0)], [np.zeros(0)]
    for start in range(0, len(order), _EVALUATED):
        part = order[start : start + _EVALUATED]
        scores = network.scores(negatives.of(events.rows[part], events.addresses[part]))
        real.append(scores[0])
        drawn.append(scores[1:].ravel())
    good, bad = np.concatenate(real), np.concatenate(drawn)
    if hosts is not None:
        good, bad = np.concatenate(hosts.arrays(good)), np.concatenate(hosts.arrays(bad))
    return area(good, bad)


def area(good: NDArray[Any], bad: NDArray[Any]) -> float:
    """Return the chance that a value of `good` is above one of `bad`; ties count half."""
    bad = np.sort(bad)
    below = np.searchsorted(bad, good, "left") + np.searchsorted(bad, good, "right")
    return float(below.sum() / (2 * len(good) * len(bad)))
