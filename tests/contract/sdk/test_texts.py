"""SDK v2's BlazingText, unmodified, against a live Clary: train, tune, deploy, ask, transform, unpack."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.algorithms import base
from clary.algorithms.base import Question
from clary.compute import images
from clary.testing.server import Account, ClaryServer

from .conftest import Client, client, python_of

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def account(clary_server: ClaryServer) -> Account:
    return clary_server.account()


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer, account: Account) -> Iterator[Client]:
    yield from client(clary_server.env(account), python_of("sdk2"), "v2_texts")


def test_the_image_of_the_sdk_is_the_algorithm(v2: Client) -> None:
    assert images.resolve(v2("image_of_the_sdk")).name == "blazingtext"


@pytest.mark.slow
def test_labels_are_learned_tuned_served_transformed_and_unpacked(
    v2: Client, clary_server: ClaryServer, account: Account, tmp_path: Path
) -> None:
    seen = v2("labels")
    assert seen["metrics"]["validation:accuracy"] == 1
    assert seen["counts"] == 3
    assert seen["best"] == 1
    assert [row["label"][0] for row in seen["answer"]] == ["__label__0", "__label__1"]
    assert [len(row["prob"]) for row in seen["answer"]] == [2, 2]
    assert seen["transformed"] == seen["answer"]
    for number, source in enumerate((seen["job"], seen["data"])):
        folder = tmp_path / str(number)
        whose = ["--account", account.name, "--data-dir", str(clary_server.data_dir)]
        command = [
            sys.executable,
            "-m",
            "clary.cli.main",
            "model",
            "unpack",
            source,
            "-o",
            str(folder),
            *whose,
        ]
        printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout
        assert "fasttext.load_model" in printed
        body = json.dumps({"instances": ["the goal", "flour and butter"], "configuration": {"k": 2}})
        [answer] = base.find("blazingtext").load(folder, {}).predict_many([Question(body=body.encode())])
        assert json.loads(answer.body) == seen["answer"]


@pytest.mark.slow
def test_an_augmented_manifest_is_learned_as_it_is_piped(v2: Client) -> None:
    assert v2("augmented")["train:accuracy"] == 1


@pytest.mark.slow
def test_words_are_learned_on_two_instances_and_opened_outside(v2: Client) -> None:
    seen = v2("words")
    known, unknown = seen["answer"]
    assert known["word"] == "goal"
    assert known["vector"] == pytest.approx(seen["text"], abs=1e-6)
    assert not any(unknown["vector"])
    assert seen["metrics"]["train:mean_rho"] > 0.5
    assert seen["names"] == ["eval.json", "model.tar.gz", "vectors.bin", "vectors.txt"]
