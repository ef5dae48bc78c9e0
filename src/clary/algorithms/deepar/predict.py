"""Prediction: paths of what comes, their mean and quantiles.

Source: developer guide, "DeepAR Inference Formats".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clary.algorithms import _artifact, _torch
from clary.algorithms._answers import JSON, JSONLINES, accepted
from clary.algorithms._instances import documents, refused
from clary.algorithms.base import Answer, Question, Refusal
from clary.algorithms.deepar import _forecast, _series
from clary.algorithms.deepar._network import Network, Shape
from clary.algorithms.deepar.fit import check
from clary.kernel.errors import CustomerError
from clary.toolkit.formats.base import MediaType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from clary.algorithms.deepar._series import Series

OUTPUTS = ("mean", "quantiles", "samples")
MOST_SAMPLES = 10_000
ENVIRONMENT = "DEEPAR_INFERENCE_CONFIG"
_DEFAULT: dict[str, Any] = {
    "num_samples": 100,
    "output_types": ["mean", "quantiles"],
    "quantiles": [f"0.{number}" for number in range(1, 10)],
}


class Configuration(NamedTuple):
    """What a request wants to know."""

    n_samples: int
    outputs: tuple[str, ...]
    quantiles: tuple[str, ...]

    @classmethod
    def of(cls, given: Any) -> Configuration:
        """Read `configuration`; ValueError says what is wrong."""
        if not isinstance(given, dict):
            raise ValueError("configuration must be an object")
        unknown = sorted(given.keys() - _DEFAULT.keys())
        if unknown:
            raise ValueError(f"configuration has {unknown[0]!r}, not one of {', '.join(_DEFAULT)}")
        whole = {**_DEFAULT, **given}
        n_samples, outputs, quantiles = (whole[name] for name in _DEFAULT)
        if type(n_samples) is not int or not 1 <= n_samples <= MOST_SAMPLES:
            raise ValueError(f"num_samples is {n_samples!r}, not in range [1, {MOST_SAMPLES}]")
        if not isinstance(outputs, list) or not set(map(str, outputs)) <= set(OUTPUTS):
            raise ValueError(f"output_types is {outputs!r}, and must be a list of {', '.join(OUTPUTS)}")
        if not isinstance(quantiles, list) or not all(_is_quantile(each) for each in quantiles):
            raise ValueError(f'quantiles is {quantiles!r}, and must be a list such as ["0.1", "0.5"]')
        return cls(n_samples, tuple(outputs), tuple(map(str, quantiles)))


def _is_quantile(value: Any) -> bool:
    try:
        return 0 < float(value) < 1
    except (TypeError, ValueError):
        return False


def load(model_dir: Path, environ: Mapping[str, str]) -> ForecastPredictor:
    """Load the network.

    Raises
    ------
    CustomerError
        There is none, its weights do not fit, or the environment's configuration is wrong.
    """
    arrays = _artifact.load(_artifact.find(model_dir), ("shape",))
    network = Network(Shape.of(str(arrays["shape"])))
    _torch.restore(network, arrays)
    try:
        configuration = Configuration.of(json.loads(environ.get(ENVIRONMENT) or "{}"))
    except ValueError as error:
        raise CustomerError(f"{ENVIRONMENT}: {error}") from error
    return ForecastPredictor(_forecast.exact(network), configuration)


class ForecastPredictor:
    """A loaded network that answers requests."""

    def __init__(self, network: Network, configuration: Configuration) -> None:
        self._network = network
        self._configuration = configuration

    def predict_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer every question, in order; those with as many paths in one run of the network."""
        answers = [Answer(b"", "", 204)] * len(questions)
        asked: dict[int, list[tuple[int, list[Series], Configuration, str]]] = {}
        for place, question in enumerate(questions):
            if not question.body:
                continue
            try:
                name, series, configuration = self._read(question)
                content_type, _ = accepted(question.accept, name)
                if content_type not in {JSON, JSONLINES}:
                    raise Refusal(
                        406,
                        f"Accept type {question.accept} is not supported. Please use {JSON} or {JSONLINES}.",
                    )
            except Refusal as refusal:
                answers[place] = refusal.answer()
            else:
                each = (place, series, configuration, content_type)
                asked.setdefault(configuration.n_samples, []).append(each)
        for n_samples, alike in asked.items():
            paths = _forecast.paths(
                self._network, [one for _, series, _, _ in alike for one in series], n_samples
            )
            start = 0
            for place, series, configuration, content_type in alike:
                found = [_shown(each, configuration) for each in paths[start : start + len(series)]]
                start += len(series)
                answers[place] = Answer(_spelled(found, content_type), content_type)
        return answers

    def _read(self, question: Question) -> tuple[str, list[Series], Configuration]:
        name = MediaType.parse(question.content_type).name or JSON
        found = documents(question, name)
        if found is None:
            raise Refusal(
                415, f"{question.content_type} is not an accepted ContentType: {JSON}, {JSONLINES}."
            )
        configuration = self._configuration
        if name == JSON:
            given = json.loads(question.body).get("configuration")
            try:
                configuration = configuration if given is None else Configuration.of(given)
            except ValueError as error:
                raise refused(str(error)) from error
        shape = self._network.shape
        series = []
        for place, each in enumerate(found):
            try:
                one = _series.series_of(each, shape.clock)
                check(one, shape, f"instance {place}", shape.prediction_length)
            except _series.SeriesError as error:
                raise refused(f"instance {place}: {error}") from error
            except CustomerError as error:
                raise refused(str(error)) from error
            series.append(one)
        return JSON if name == JSON else JSONLINES, series, configuration


def _shown(paths: NDArray[np.float32], configuration: Configuration) -> dict[str, Any]:
    """Return the members of an answer to one instance."""
    shown: dict[str, Any] = {}
    for output in configuration.outputs:
        if output == "mean":
            shown["mean"] = paths.mean(0, dtype=np.float64).tolist()
        elif output == "samples":
            shown["samples"] = paths.tolist()
        else:
            values = np.quantile(paths, [float(each) for each in configuration.quantiles], axis=0)
            shown["quantiles"] = dict(zip(configuration.quantiles, values.tolist(), strict=True))
    return shown


def _spelled(found: list[dict[str, Any]], content_type: str) -> bytes:
    if content_type == JSON:
        return json.dumps({"predictions": found}).encode()
    return "".join(f"{json.dumps(each)}\n" for each in found).encode()
