"""DeepAR on two hosts, against one with all data."""

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

pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
pytestmark = pytest.mark.torch

GIVEN = {
    "time_freq": "D",
    "context_length": "7",
    "prediction_length": "7",
    "epochs": "6",
    "num_cells": "8",
    "mini_batch_size": "16",
    "learning_rate": "0.01",
}


def line(number: int, n_steps: int = 70) -> str:
    target = [float(10 + (step + number) % 7) for step in range(n_steps)]
    return json.dumps({"start": "2024-01-01", "target": target, "cat": [number % 2]}) + "\n"


def forecast(model_dir: Path) -> Any:
    body = {
        "instances": [json.loads(line(0)), json.loads(line(3))],
        "configuration": {"output_types": ["mean"]},
    }
    [answer] = (
        base.find("deepar").load(model_dir, {}).predict_many([Question(body=json.dumps(body).encode())])
    )
    return np.array([each["mean"] for each in json.loads(answer.body)["predictions"]])


def made(folder: Path, lines: list[str], host: str, hosts: tuple[str, ...]) -> Any:
    return training("deepar", folder, lines, host, hosts, GIVEN, "application/jsonlines")


def test_two_hosts_on_shards_forecast_what_one_does_on_all(tmp_path: Path) -> None:
    lines = [line(number) for number in range(10)]
    alone = made(tmp_path / "one", lines, "algo-1", ("algo-1",))
    pair = [
        made(tmp_path / "two", part, host, HOSTS)
        for host, part in zip(HOSTS, (lines[:4], lines[4:]), strict=True)
    ]
    fit = base.find("deepar").fit
    assert together([partial(fit, alone)]) == [None]
    assert together([partial(fit, each) for each in pair]) == [None, None]
    assert not pair[1].model_dir.exists() or not list(pair[1].model_dir.iterdir())
    np.testing.assert_allclose(forecast(pair[0].model_dir), forecast(alone.model_dir), atol=1.5)


def test_a_host_that_cannot_read_its_data_ends_all(tmp_path: Path) -> None:
    pair = [
        made(tmp_path / "bad", part, host, HOSTS)
        for host, part in zip(HOSTS, ([line(0)], ["{}\n"]), strict=True)
    ]
    for error in together([partial(base.find("deepar").fit, each) for each in pair]):
        assert isinstance(error, CustomerError)
        assert "part, line 1" in str(error)
