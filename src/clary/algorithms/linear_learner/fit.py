"""Training: labelled rows in, one linear model out, the best of many that are trained at once.

    survey ─▶ mean, deviation ─▶ epochs: mini-batch x all models ─▶ after each: compare on validation rows
                                                      └─▶ the best model, its threshold ─▶ raw units

With several hosts every step takes the sum of all hosts' slopes: the models are those of one host with all
rows, but for the order of rows.

Source
------
Developer guide, "How linear learner works"; Bottou, Curtis and Nocedal (2018), doi:10.1137/16M1080173.
"""

from __future__ import annotations

import dataclasses
import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact, _gpu, _hosts
from clary.algorithms._feed import Feed
from clary.algorithms._log import Log, say
from clary.algorithms.linear_learner import _checkpoint, _grid, _metrics, _thresholds
from clary.algorithms.linear_learner._checkpoint import Standing
from clary.algorithms.linear_learner._data import Rows, Scaler, label_flaw, survey
from clary.algorithms.linear_learner._device import DeviceModels
from clary.algorithms.linear_learner._hyperparameters import BINARY, CLASSES, REGRESSOR
from clary.algorithms.linear_learner._losses import SHOWN, Loss, sigmoid, softmax
from clary.algorithms.linear_learner._models import AVERAGED, Models
from clary.toolkit.formats.base import Table, concatenate
from clary.toolkit.hyperparameters import Params

if TYPE_CHECKING:
    from collections.abc import Callable

    from clary.algorithms._hosts import Hosts
    from clary.algorithms.base import Training

SEED = 29
N_CALIBRATION = 20_000
_BY_LOSS = ("loss_function", "cross_entropy_loss")
_SQUARED = ("squared_loss", "eps_insensitive_squared_loss", "huber_loss")


@dataclass(frozen=True)
class _Chosen:
    """One linear model of normalized rows."""

    weights: Any
    bias: Any
    threshold: float = 0.5


def fit(training: Training) -> None:
    """Train on the train channel; the first host leaves weights and bias in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty or malformed, or a label is not what the predictor type wants.
    """
    with _hosts.joined(training) as hosts:
        training, feed = _opened(training, hosts)
        params = training.params
        log = Log(training, "Linear Learner")
        scaler = survey(feed, hosts, params)
        channels = {"train": Rows(feed, scaler)}
        for name in ("validation", "test"):
            if name in training.sources:
                channels[name] = Rows(_read(training, name, hosts), scaler)
        loss = Loss(params)
        loss.scaled(scaler.label_scale)
        models, sample = _learn(training, hosts, scaler, channels, loss, log)
        chosen = _choose(params, models, loss, sample)
        for name, rows in channels.items():
            _report(training, hosts, scaler, rows, chosen, loss, name, log)
        if hosts.is_first:
            _artifact.save(training.model_dir / _artifact.MODEL_FILE, _raw(params, scaler, chosen, loss))


def _opened(training: Training, hosts: Hosts) -> tuple[Training, Feed]:
    """Return the training, which knows how wide its rows are, and the train channel."""
    if training.params["feature_dim"] != "auto":
        return training, _feed(training, "train", training.params.int("feature_dim"))
    feed = _feed(training, "train", 0)
    params = Params({**training.params, "feature_dim": feed.widen(hosts)})
    say(f"feature_dim is {params['feature_dim']}, as the first rows have it")
    return dataclasses.replace(training, params=params), feed


def _feed(training: Training, name: str, n_columns: int) -> Feed:
    flaw = label_flaw(training.params)
    return Feed(training.source(name), feature_dim=n_columns, has_labels=True, flaw=flaw)


def _read(training: Training, name: str, hosts: Hosts) -> Feed:
    """Return a channel of which one pass was made."""
    feed = _feed(training, name, training.params.int("feature_dim"))
    for _ in feed.blocks():
        pass
    feed.require_rows(hosts)
    return feed


def _learn(
    training: Training,
    hosts: Hosts,
    scaler: Scaler,
    channels: dict[str, Rows],
    loss: Loss,
    log: Log,
) -> tuple[Models, Table]:
    """Train all models until the best gets no better; return them at their best, and what compared them."""
    params = training.params
    grid = _grid.grid(params)
    gpu = _gpu.find()
    if gpu is None:
        models = Models(params, grid, loss, scaler.counts)
    else:
        models = DeviceModels(gpu, params, grid, loss, scaler.counts)
        channels["train"].move(gpu)
    say(f"Training {grid.n_models} models at once, optimizer {grid.optimizer}, loss {loss.name}")
    judge = "validation" if "validation" in channels else "train"
    sample = _sample(training, hosts, channels[judge], judge)
    units = scaler.label_scale ** (2 if loss.name in _SQUARED else 1)
    epochs, patience = params.int("epochs"), params.int("early_stopping_patience")
    tolerance, folder = params.float("early_stopping_tolerance"), training.checkpoint_dir
    at = _checkpoint.resume(folder, hosts, models)
    while at.epoch < epochs and at.n_waiting < patience:
        epoch, started = at.epoch, time.time()
        _pass(params, hosts, scaler.n_rows, channels["train"], models, epoch)
        log.throughput(scaler.n_rows, time.time() - started)
        value = float(models.losses(sample).min())
        for name in dict.fromkeys(("train", judge)):
            log.quality(f"{name} {SHOWN[loss.name]}_objective", value * units, epoch=epoch)
        log.progress(epoch + 1, epochs)
        is_better = not np.isfinite(at.best) or value < at.best - tolerance * abs(at.best)
        if value < at.best:
            models.keep()
        at = Standing(epoch + 1, 0 if is_better else at.n_waiting + 1, min(value, at.best))
        if hosts.is_first:
            _checkpoint.save(folder, at, models)
    if at.epoch < epochs:
        say(f"Early stop condition met. Stopping training after epoch {at.epoch - 1}")
    models.recall()
    return models, sample


def _pass(params: Params, hosts: Hosts, n_rows: int, rows: Rows, models: Models, epoch: int) -> None:
    """Show all rows to all models once."""
    size = params.int("mini_batch_size")
    batches = rows.batches(size, n_rows, np.random.default_rng((SEED, epoch)))
    share = _schedule(params, models)
    models.forget()
    n_steps, first = 0, int((1 - AVERAGED) * -(-n_rows // size))
    while models.step(next(batches, None), hosts, share(models.n_steps)):
        n_steps += 1
        if n_steps > first:
            models.remember()


def _schedule(params: Params, models: Models) -> Callable[[int], float]:
    """Return what step sizes are multiplied with after so many steps."""
    if not params.is_true("use_lr_scheduler"):
        return lambda _: 1.0
    each, factor, least = (
        params[name] for name in ("lr_scheduler_step", "lr_scheduler_factor", "lr_scheduler_minimum_lr")
    )
    each, factor = 10 if each == "auto" else each, 0.99 if factor == "auto" else factor
    floor = (1e-5 if least == "auto" else least) / models.largest_rate
    return lambda n_steps: max(min(floor, 1.0), float(factor ** (n_steps // each)))


def _sample(training: Training, hosts: Hosts, rows: Rows, name: str) -> Table:
    """Return the rows on which models are compared, the same on every host."""
    given = training.params["num_calibration_samples"]
    n_most = N_CALIBRATION if given == "auto" else int(given)
    own = rows.sample(max(1, n_most // hosts.n_hosts))
    if hosts.n_hosts == 1:
        return own
    return concatenate([_unpacked(part) for part in hosts.gather(_packed(own))])


def _packed(table: Table) -> bytes:
    stream = io.BytesIO()
    labels = np.zeros(0, np.float32) if table.labels is None else table.labels
    if isinstance(table.features, np.ndarray):
        np.savez(stream, labels=labels, features=table.features)
    else:
        rows = table.features
        np.savez(
            stream,
            labels=labels,
            data=rows.data,
            indices=rows.indices,
            indptr=rows.indptr,
            shape=np.array(rows.shape),
        )
    return stream.getvalue()


def _unpacked(content: bytes) -> Table:
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        if "features" in found:
            return Table(found["features"], found["labels"])
        from scipy import sparse  # noqa: PLC0415 - dense rows need it not

        parts = (found["data"], found["indices"], found["indptr"])
        return Table(sparse.csr_matrix(parts, shape=tuple(found["shape"])), found["labels"])


def _choose(params: Params, models: Models, loss: Loss, sample: Table) -> _Chosen:
    """Return the best model by the criterion, with its threshold."""
    losses = models.losses(sample)
    order = np.argsort(losses, kind="stable")
    middle = 0.5 if loss.name == "logistic" else 0.0
    criterion = params.text("binary_classifier_model_selection_criteria")
    if params.text("predictor_type") != BINARY or criterion in _BY_LOSS:
        return _Chosen(*models.one(int(order[0])), middle)
    scores = models.scores(sample.features)
    scores = sigmoid(scores) if loss.name == "logistic" else scores
    best, number, threshold = -np.inf, int(order[0]), middle
    for each in order:
        if np.isfinite(losses[each]):
            cut, value = _thresholds.choose(scores[:, each], sample.labels, params, middle)
            if value > best:
                best, number, threshold = value, int(each), cut
    return _Chosen(*models.one(number), threshold)


def _raw(params: Params, scaler: Scaler, chosen: _Chosen, loss: Loss) -> dict[str, Any]:
    """Return the model in units of the data as they come."""
    weights = (
        chosen.weights.astype(np.float64) * scaler.label_scale / scaler.scale.astype(np.float64)[:, None]
    )
    bias = chosen.bias.astype(np.float64) * scaler.label_scale + scaler.label_mean
    bias = bias - scaler.mean.astype(np.float64) @ weights
    return {
        "weight": weights.T.astype(np.float32),
        "bias": bias.astype(np.float32),
        "threshold": np.array(chosen.threshold),
        "predictor_type": np.array(params.text("predictor_type")),
        "loss": np.array(loss.name),
    }


def _report(
    training: Training,
    hosts: Hosts,
    scaler: Scaler,
    rows: Rows,
    chosen: _Chosen,
    loss: Loss,
    name: str,
    log: Log,
) -> None:
    """Print the chosen model's metrics on one channel."""
    scores, labels = _scored(rows, chosen)
    if hosts.n_hosts > 1 and (name == "train" or training.sources[name].distribution == "ShardedByS3Key"):
        scores = np.concatenate(hosts.arrays(scores))
        labels = np.concatenate(hosts.arrays(labels))
    params = training.params
    kind = params.text("predictor_type")
    units = scaler.label_scale ** (2 if loss.name in _SQUARED else 1)
    shaped = scores[:, None, :] if kind == CLASSES else scores
    value = float(loss.value(shaped, labels).mean(dtype=np.float64)) * units
    if kind == REGRESSOR:
        found = _metrics.regression(*(each * scaler.label_scale for each in (scores[:, 0], labels)))
    elif kind == CLASSES:
        found = _metrics.classes(softmax(scores), labels, params)
    else:
        shown = sigmoid(scores[:, 0]) if loss.name == "logistic" else scores[:, 0]
        found = _metrics.binary(shown, labels, chosen.threshold, params)
    log.quality(f"{name} {SHOWN[loss.name]}_objective", value)
    for metric, (what, each) in found.items():
        log.quality(f"{name} {metric}", each, kind=what)
        log.score(metric, each, name)


def _scored(rows: Rows, chosen: _Chosen) -> tuple[Any, Any]:
    """Return scores, shape (n_rows, n_outputs), and normalized labels of a channel."""
    scores, labels = [np.zeros((0, len(chosen.bias)), np.float32)], [np.zeros(0, np.float32)]
    for table in rows.blocks():
        if table.n_rows and table.labels is not None:
            scores.append(np.asarray(table.features @ chosen.weights) + chosen.bias)
            labels.append(table.labels)
    return np.concatenate(scores), np.concatenate(labels)
