"""IP Insights and the neural topic model on two hosts, against one with all data."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms.base import Question, Source, Training
from clary.kernel.errors import CustomerError

HOSTS = ("127.0.0.1", "127.0.0.2")
"""Both are this machine, and both are names that resolve."""


def training(name: str, folder: Path, lines: Any, host: str, hosts: Any, content_type: str) -> Training:
    path = folder / host / "train"
    path.mkdir(parents=True)
    (path / "part").write_text("".join(lines))
    example = base.examples(name)[0]
    return Training(
        params=base.find(name).validate({**example.hyperparameters, "epochs": "10"}),
        sources={
            "train": Source(name="train", path=path, content_type=content_type, distribution="ShardedByS3Key")
        },
        model_dir=folder / host / "model",
        output_data_dir=folder / host / "output",
        hosts=hosts,
        host=host,
        name=f"{folder.name}-{name}",
        n_threads=1,
    )


def together(trainings: Any) -> list[Exception | None]:
    """Run trainings, each in a thread of its own; return what each raised."""
    raised: list[Exception | None] = [None] * len(trainings)

    def run(place: int, name: str) -> None:
        try:
            base.find(name).fit(trainings[place])
        except Exception as error:
            raised[place] = error

    threads = [
        threading.Thread(target=run, args=(place, each.name.rpartition("-")[2]), daemon=True)
        for place, each in enumerate(trainings)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    return raised


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
    alone = training(name, tmp_path / "one", lines, "algo-1", ("algo-1",), example.content_type)
    cut = len(lines) * 3 // 5  # shards of different lengths
    pair = [
        training(name, tmp_path / "two", part, host, HOSTS, example.content_type)
        for host, part in zip(HOSTS, (lines[:cut], lines[cut:]), strict=True)
    ]
    assert together([alone]) == [None]
    assert together(pair) == [None, None]
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
        training(name, tmp_path / "bad", part, host, HOSTS, example.content_type)
        for host, part in zip(HOSTS, (lines, ["ann,here\n"]), strict=True)
    ]
    for error in together(pair):
        assert isinstance(error, CustomerError)
        assert "train/part, line 1" in str(error)
