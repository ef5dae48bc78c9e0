"""SDK v2 trains, tunes, asks, transforms and unpacks networks that stand on torch, unmodified."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms.base import Question
from clary.testing.server import Account, ClaryServer

from .conftest import Client, client, python_of

pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def account(clary_server: ClaryServer) -> Account:
    return clary_server.account()


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer, account: Account) -> Iterator[Client]:
    yield from client(clary_server.env(account), python_of("sdk2"), "v2_networks")


def outside(name: str, seen: Any, server: ClaryServer, account: Account, folder: Path) -> bytes:
    """Unpack the model that a job left, load it without the server, and return its answer."""
    whose = ["--account", account.name, "--data-dir", str(server.data_dir)]
    command = ["-m", "clary.cli.main", "model", "unpack", seen["job"], "-o", str(folder), *whose]
    subprocess.run([sys.executable, *command], check=True, capture_output=True, timeout=240)
    question = Question(body=base64.b64decode(seen["question"]), content_type=seen["content_type"])
    [answer] = base.find(name).load(folder, {}).predict_many([question])
    return answer.body


@pytest.mark.parametrize("name", ["deepar", "seq2seq", "semantic_segmentation", "object_detection"])
def test_a_network_is_trained_tuned_asked_transformed_and_unpacked(
    name: str, v2: Client, clary_server: ClaryServer, account: Account, tmp_path: Path
) -> None:
    seen = v2(name)
    assert seen["counts"] == 3
    answer = base64.b64decode(seen["answer"])
    assert base64.b64decode(seen["transformed"]).strip() == answer.strip()
    unpacked = outside(name, seen, clary_server, account, tmp_path / "model").strip()
    if name == "object_detection":
        assert_same_boxes(unpacked, answer)
    else:
        assert unpacked == answer.strip()
    CHECKS[name](seen, answer)


def assert_same_boxes(one: bytes, other: bytes) -> None:
    """Find each box of either among the other's, within 1e-4 in class, score and place, all in [0, 1].

    Another number of threads adds up in another order: last digits differ, and equals change places.
    """
    found, known = (np.array(json.loads(each)["prediction"]) for each in (one, other))
    assert found.shape == known.shape
    gaps = np.abs(found[:, None] - known).max(axis=2)
    assert max(gaps.min(axis=0).max(), gaps.min(axis=1).max()) < 1e-4


def forecast(seen: Any, answer: bytes) -> None:
    assert seen["metrics"]["test:mean_wQuantileLoss"] < 0.1
    one, other = map(json.loads, answer.splitlines())
    assert len(one["mean"]) == len(other["quantiles"]["0.9"]) == 14


def translation(seen: Any, answer: bytes) -> None:
    assert seen["metrics"]["validation:accuracy"] > 0.8
    assert json.loads(answer.splitlines()[0])["target"] == "b a"


def mask(seen: Any, answer: bytes) -> None:
    assert answer.startswith(b"\x89PNG")
    assert seen["mode"] == "P"
    assert seen["metrics"]["validation:pixel_accuracy"] > 0.7
    assert seen["right"] > 0.7


def boxes(seen: Any, answer: bytes) -> None:
    assert {"validation:mAP", "train:cross_entropy", "train:smooth_l1"} <= set(seen["metrics"])
    found = json.loads(answer)["prediction"]
    assert all(len(each) == 6 and each[0] == 0 and 0 <= each[1] <= 1 for each in found)
    assert [each[1] for each in found] == sorted((each[1] for each in found), reverse=True)


CHECKS = {
    "deepar": forecast,
    "seq2seq": translation,
    "semantic_segmentation": mask,
    "object_detection": boxes,
}
