"""IP Insights and the neural topic model on two hosts, against one with all data."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms.base import Question
from clary.kernel.errors import CustomerError
from clary.testing.several_hosts import HOSTS, together, training


def fitted(name: str, trainings: Any) -> list[Exception | None]:
    """Run trainings side by side; return what each raised."""
    return together([partial(base.find(name).fit, each) for each in trainings])


def hyperparameters(name: str) -> dict[str, str]:
    return {**base.examples(name)[0].hyperparameters, "epochs": "10"}


def answers(name: str, model_dir: Path) -> Any:
    predictor, example = base.find(name).load(model_dir, {}), base.examples(name)[0]
    [answer] = predictor.predict_many(
        [Question(body=b"".join(example.requests), content_type=example.request_type)]
    )
    rows = json.loads(answer.body)["predictions"]
    return np.array([np.concatenate([np.ravel(value) for value in row.values()]) for row in rows])


@pytest.mark.parametrize("name", ["ipinsights", "ntm"])
def test_two_hosts_on_shards_learn_what_one_learns_on_all(name: str, tmp_path: Path) -> None:
    example = base.examples(name)[0]
    lines = [row.decode() for row in example.channels["train"]]
    alone = training(
        name, tmp_path / "one", lines, "algo-1", ("algo-1",), hyperparameters(name), example.content_type
    )
    cut = len(lines) * 3 // 5  # shards of different lengths
    pair = [
        training(name, tmp_path / "two", part, host, HOSTS, hyperparameters(name), example.content_type)
        for host, part in zip(HOSTS, (lines[:cut], lines[cut:]), strict=True)
    ]
    assert fitted(name, [alone]) == [None]
    assert fitted(name, pair) == [None, None]
    assert not pair[1].model_dir.exists() or not list(pair[1].model_dir.iterdir())
    one, two = answers(name, alone.model_dir), answers(name, pair[0].model_dir)
    if name == "ipinsights":
        assert (np.sign(np.round(one, 1)) == np.sign(np.round(two, 1))).all()
        assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.95
    else:
        np.testing.assert_allclose(one, two, atol=0.1)


@pytest.mark.parametrize("name", ["ipinsights", "ntm"])
def test_a_host_that_cannot_read_its_data_ends_all(name: str, tmp_path: Path) -> None:
    example = base.examples(name)[0]
    lines = [row.decode() for row in example.channels["train"]]
    pair = [
        training(name, tmp_path / "bad", part, host, HOSTS, hyperparameters(name), example.content_type)
        for host, part in zip(HOSTS, (lines, ["ann,here\n"]), strict=True)
    ]
    for error in fitted(name, pair):
        assert isinstance(error, CustomerError)
        assert "train/part, line 1" in str(error)
