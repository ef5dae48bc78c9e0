"""Algorithms of rows on two hosts, each a thread with a training of its own, against one with all rows."""

import json
from functools import partial
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms._hosts import Hosts, joined
from clary.algorithms.base import Example, Question, Source, Training
from clary.kernel.errors import CustomerError
from clary.testing.several_hosts import HOSTS, together, training

N_COLUMNS = 5


@pytest.fixture(scope="module")
def lines() -> Any:
    draw = np.random.default_rng(4)
    group = draw.integers(0, 3, 600)
    rows = draw.normal(size=(600, N_COLUMNS)) + 8 * np.eye(3, N_COLUMNS)[group]
    return [f"{g},{','.join(f'{v:.4f}' for v in row)}\n" for g, row in zip(group, rows, strict=True)]


def answers(name: str, model_dir: Any, lines: Any) -> Any:
    body = "".join(line.partition(",")[2] for line in lines[:40]).encode()
    predictor = base.find(name).load(model_dir, {})
    [answer] = predictor.predict_many([Question(body=body, content_type="text/csv")])
    assert answer.status == 200, answer
    [rows] = json.loads(answer.body).values()
    return np.array([np.concatenate([np.ravel(value) for value in row.values()]) for row in rows])


UNLABELLED = "text/csv;label_size=0"
CASES = {
    "kmeans": ({"feature_dim": "6", "k": "3", "epochs": "4"}, UNLABELLED, 1e-3),
    "kmeans-batches": (
        {"feature_dim": "6", "k": "3", "extra_center_factor": "4", "init_method": "kmeans++", "epochs": "2"},
        UNLABELLED,
        1.0,
    ),
    "pca": ({"feature_dim": "6", "num_components": "3", "mini_batch_size": "100"}, UNLABELLED, 1e-3),
    "pca-randomized": (
        {
            "feature_dim": "6",
            "num_components": "2",
            "mini_batch_size": "9",
            "algorithm_mode": "randomized",
        },
        UNLABELLED,
        1e-3,
    ),
    "linear_learner": (
        {
            "feature_dim": "auto",
            "predictor_type": "multiclass_classifier",
            "num_classes": "3",
            "mini_batch_size": "60",
            "epochs": "6",
            "num_models": "4",
        },
        "text/csv",
        0.05,
    ),
    "knn": (
        {"feature_dim": "5", "predictor_type": "classifier", "k": "5", "sample_size": "600"},
        "text/csv",
        1e-6,
    ),
    "randomcutforest": ({"feature_dim": "6"}, UNLABELLED, 1e-6),
}


@pytest.mark.parametrize("case", CASES)
def test_two_hosts_on_shards_learn_what_one_learns_on_all(case: str, tmp_path: Any, lines: Any) -> None:
    params, content_type, tolerance = CASES[case]
    name = case.partition("-")[0]
    algorithm = base.find(name)
    alone = training(name, tmp_path / "one", lines, "algo-1", ("algo-1",), params, content_type)
    algorithm.fit(alone)
    parts = (lines[:350], lines[350:])
    pair = [
        training(name, tmp_path / "two", part, host, HOSTS, params, content_type)
        for host, part in zip(HOSTS, parts, strict=True)
    ]
    raised = together([partial(algorithm.fit, each) for each in pair])
    assert raised == [None, None]
    asked = lines if content_type == "text/csv" else [f"0,{line}" for line in lines]
    np.testing.assert_allclose(
        answers(name, pair[0].model_dir, asked), answers(name, alone.model_dir, asked), atol=tolerance
    )
    assert not pair[1].model_dir.exists() or not list(pair[1].model_dir.iterdir())


@pytest.mark.parametrize("example", base.examples("factorization_machines"), ids=lambda each: each.name)
def test_two_hosts_learn_factors_from_what_occurs_in_their_batches(example: Example, tmp_path: Any) -> None:
    algorithm, records = base.find("factorization_machines"), example.channels["train"]
    params = algorithm.validate(example.hyperparameters)
    parts = {"algo-1": records, HOSTS[0]: records[:350], HOSTS[1]: records[350:]}

    def fit(host: str, hosts: tuple[str, ...]) -> None:
        path = tmp_path / host / "train"
        path.mkdir(parents=True)
        (path / "part").write_bytes(b"".join(parts[host]))
        algorithm.fit(
            Training(
                params=params,
                sources={"train": Source(name="train", path=path)},
                model_dir=tmp_path / host / "model",
                output_data_dir=tmp_path / host / "output",
                hosts=hosts,
                host=host,
                name=tmp_path.name,
            )
        )

    fit("algo-1", ("algo-1",))
    assert together([partial(fit, host, HOSTS) for host in HOSTS]) == [None, None]
    questions = [Question(body=each, content_type=example.request_type) for each in example.requests]
    said = [
        [json.loads(each.body)["predictions"][0]["score"] for each in predictor.predict_many(questions)]
        for predictor in (algorithm.load(tmp_path / host / "model", {}) for host in ("algo-1", HOSTS[0]))
    ]
    np.testing.assert_allclose(said[1], said[0], atol=0.1)


def test_a_host_that_cannot_read_its_data_ends_all_at_once(tmp_path: Any, lines: Any) -> None:
    params, content_type, _ = CASES["pca"]
    pair = [
        training("pca", tmp_path / "bad", part, host, HOSTS, params, content_type)
        for host, part in zip(HOSTS, (lines, ["1,2,3,4,5,x\n"]), strict=True)
    ]
    raised = together([partial(base.find("pca").fit, each) for each in pair])
    for error in raised:
        assert isinstance(error, CustomerError)
        assert "train/part, line 1: column 6 is 'x'" in str(error)


def test_hosts_sum_and_exchange_in_the_same_order_everywhere(tmp_path: Any) -> None:
    seen: list[Any] = [None, None, None]
    names = ("127.0.0.1", "127.0.0.2", "127.0.0.3")

    def work(place: int) -> None:
        each = Training(
            params=base.find("pca").validate(CASES["pca"][0]),
            sources={},
            model_dir=tmp_path,
            output_data_dir=tmp_path,
            hosts=names,
            host=names[place],
            name=tmp_path.name,
        )
        with joined(each) as hosts:
            assert isinstance(hosts, Hosts)
            total = hosts.sum(np.array([1.0, 10.0 * place]))
            parts = hosts.arrays(np.full((place, 2), place, np.float32))
            seen[place] = (total.tolist(), [part.tolist() for part in parts], hosts.gather(b"%d" % place))

    assert together([partial(work, place) for place in range(3)]) == [None] * 3
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0] == [3.0, 30.0]
    assert seen[0][1] == [[], [[1.0, 1.0]], [[2.0, 2.0]] * 2]
    assert seen[0][2] == [b"0", b"1", b"2"]
