"""Training: series in, a network out; what lies between is `_course`.

Source
------
Developer guide, "How the DeepAR Algorithm Works";
Salinas et al. (2020), doi:10.1016/j.ijforecast.2019.07.001.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from clary.algorithms import _artifact, _onnx, _torch
from clary.algorithms._log import Log, say
from clary.algorithms.deepar import _forecast, _graph, _series
from clary.algorithms.deepar._course import SEED, Course
from clary.algorithms.deepar._hyperparameters import AUTO
from clary.algorithms.deepar._likelihood import LIKELIHOODS
from clary.algorithms.deepar._network import MOST_SEASONS, Network, Shape
from clary.algorithms.deepar._series import Series
from clary.algorithms.deepar._windows import Windows
from clary.kernel.errors import CustomerError

import torch  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clary.algorithms._torch import Group
    from clary.algorithms.base import Training


def fit(training: Training) -> None:
    """Learn from the train channel; the first host leaves the network in the model folder.

    Raises
    ------
    CustomerError
        A channel is empty or malformed, or no series is long enough.
    """
    device = _torch.begin(training, SEED)
    with _torch.joined(training) as group:
        shape, series = _read(training, group)
        network = Network(shape, training.params.float("dropout_rate")).to(device)
        _measure_inputs(network, series, group)
        group.share(network)
        Course(training, group, network, Windows(series, shape)).run()
        together, n_pairs = group.hosts.sum(np.array(_forecast.correlation(_forecast.exact(network), series)))
        network.path_correlation.fill_(math.sin(math.pi / 2 * together / max(n_pairs, 1)))
        if "test" in training.sources and group.hosts.is_first:
            _test(training, network, Log(training, "AWS/DeepAR"))
        if group.hosts.is_first:
            _torch.save(training.model_dir / _artifact.MODEL_FILE, network, shape=str(shape))
            _graph.write(training.model_dir / _onnx.FILE, network)


def _read(training: Training, group: Group) -> tuple[Shape, list[Series]]:
    """Return the network's shape, the same on every host, and this host's series that are long enough."""
    params = training.params
    shape = Shape(
        time_freq=params.text("time_freq"),
        context_length=params.int("context_length"),
        prediction_length=params.int("prediction_length"),
        likelihood=params.text("likelihood"),
        num_cells=params.int("num_cells"),
        num_layers=params.int("num_layers"),
        embedding_dimension=params.int("embedding_dimension"),
        cardinality=(),
        num_dynamic_feat=0,
        lags=(),
        has_year=True,
        is_whole=False,
    )
    found = _series.read(training.source("train"), shape.clock)
    mine: dict[str, Any] = {
        "cardinality": _cardinality(params["cardinality"], found),
        "n": _n_dynamic(training, found),
        "longest": max(map(len, found)),
        "is_whole": all(
            (each.target == np.round(each.target))[~np.isnan(each.target)].all() for each in found
        ),
    }
    every = [json.loads(each) for each in group.hosts.gather(json.dumps(mine).encode())]
    if len({(len(each["cardinality"]), each["n"]) for each in every}) > 1:
        raise CustomerError("Channel train: all series must have as many members of cat and dynamic_feat")
    cardinality = tuple(map(max, zip(*(each["cardinality"] for each in every), strict=True)))
    longest = max(each["longest"] for each in every)
    lags = shape.clock.lags_ahead(shape.prediction_length, MOST_SEASONS)
    shape = dataclasses.replace(
        shape,
        cardinality=cardinality,
        num_dynamic_feat=mine["n"],
        lags=tuple(each for each in lags if each == 1 or each <= longest / 2),
        has_year=longest >= shape.clock.year + shape.prediction_length,
        is_whole=LIKELIHOODS[shape.likelihood].is_smooth and all(each["is_whole"] for each in every),
    )
    for each in found:
        check(each, shape, "Channel train")
    long = [each for each in found if len(each) >= shape.prediction_length]
    n_long = int(group.hosts.sum(np.array([len(long)]))[0])
    if not long:
        raise CustomerError(
            f"Channel train: no series has prediction_length ({shape.prediction_length}) values or more"
        )
    say(f"{n_long} series, {len(found) - len(long)} here too short; cardinality {list(cardinality)}")
    return shape, long


def _cardinality(asked: Any, series: Sequence[Series]) -> list[int]:
    if asked not in {AUTO} and isinstance(asked, str):
        return []
    if asked != AUTO:
        return list(asked)
    counts = {len(each.cat) for each in series}
    if len(counts) > 1:
        raise CustomerError("Channel train: all series must have as many members of cat")
    return [max(column) + 1 for column in zip(*(each.cat for each in series), strict=True)]


def _n_dynamic(training: Training, series: Sequence[Series]) -> int:
    asked = training.params["num_dynamic_feat"]
    if asked != AUTO:
        return 0 if isinstance(asked, str) else int(asked)
    return max(0 if each.dynamic is None else len(each.dynamic) for each in series)


def check(series: Series, shape: Shape, where: str, n_ahead: int = 0) -> None:
    """Compare a series with what a network takes; CustomerError says what is wrong.

    Parameters
    ----------
    n_ahead : int
        Steps that `dynamic_feat` must have beyond the target.
    """
    if shape.cardinality and len(series.cat) != len(shape.cardinality):
        raise CustomerError(
            f"{where}: cat has {len(series.cat)} members, and cardinality says {len(shape.cardinality)}"
        )
    for value, n_categories in zip(series.cat, shape.cardinality, strict=False):
        if value >= n_categories:
            raise CustomerError(f"{where}: cat has {value}, not in range [0, {n_categories - 1}]")
    if not shape.num_dynamic_feat:
        return
    n_found = 0 if series.dynamic is None else len(series.dynamic)
    if n_found != shape.num_dynamic_feat:
        raise CustomerError(
            f"{where}: dynamic_feat has {n_found} series, and num_dynamic_feat is {shape.num_dynamic_feat}"
        )
    wanted = len(series) + n_ahead
    if series.dynamic is not None and series.dynamic.shape[1] < wanted:
        raise CustomerError(
            f"{where}: dynamic_feat has {series.dynamic.shape[1]} values where target has {len(series)}; "
            f"{wanted} are needed"
        )


def _measure_inputs(network: Network, series: Sequence[Series], group: Group) -> None:
    """Set the scale of series that have none of their own, and that of dynamic features."""
    known = np.concatenate([each.target[~np.isnan(each.target)] for each in series]).astype(np.float64)
    total, count = group.hosts.sum(np.array([np.abs(known).sum(), known.size]))
    network.typical_scale.fill_(max(total / max(count, 1), 1e-6))
    if network.shape.num_dynamic_feat:
        columns = np.concatenate([each.dynamic for each in series if each.dynamic is not None], 1)
        moments = np.array([columns.sum(1), (columns**2).sum(1), np.full(len(columns), columns.shape[1])])
        first, second, counts = group.hosts.sum(moments.astype(np.float64))
        mean = first / counts
        network.dynamic_mean.copy_(torch.from_numpy(mean))
        network.dynamic_scale.copy_(
            torch.from_numpy(np.sqrt(np.maximum(second / counts - mean**2, 0)).clip(1e-6))
        )


def _test(training: Training, network: Network, log: Log) -> None:
    """Forecast the last steps of the test channel's series, and report how far off that is."""
    shape, params = network.shape, training.params
    n_ahead = shape.prediction_length
    found = _series.read(training.source("test"), shape.clock)
    for each in found:
        check(each, shape, "Channel test")
    long = [each for each in found if len(each) > n_ahead]
    if not long:
        raise CustomerError(f"Channel test: no series has more than prediction_length ({n_ahead}) values")
    known = [Series(each.place, each.target[:-n_ahead], each.cat, each.dynamic) for each in long]
    forecasts = _forecast.paths(_forecast.exact(network), known, params.int("num_eval_samples"))
    actual = np.stack([each.target[-n_ahead:] for each in long])
    error, losses = _forecast.measure(forecasts, actual, params["test_quantiles"])
    mean = float(np.mean(list(losses.values())))
    for quantile, loss in losses.items():
        say(f"#test_score ({training.host}, wQuantileLoss[{quantile:g}]): {loss}")
    for name, value in (("RMSE", error), ("mean_wQuantileLoss", mean)):
        say(f"#test_score ({training.host}, {name}): {value}")
        log.quality(f"test {name}", value)
