"""SDK v2's plain Estimator with the algorithms of images, unmodified, against a live Clary."""

from collections.abc import Iterator

import numpy as np
import pytest

from clary.testing.server import ClaryServer

from .conftest import Client, client, python_of

pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def v2(clary_server: ClaryServer) -> Iterator[Client]:
    yield from client(clary_server.env(clary_server.account()), python_of("sdk2"), "v2_vision")


def test_images_are_classified_by_a_model_that_training_goes_on_from(v2: Client) -> None:
    seen = v2("image_classification")
    assert seen["metrics"]["validation:accuracy"] > 0.8
    assert [int(np.argmax(each)) for each in seen["answers"]] == [0, 1, 2]
    assert seen["transformed"] == seen["answers"]
    assert seen["again"]["train:accuracy"] > 0.8


def test_an_augmented_manifest_is_read_through_a_pipe(v2: Client) -> None:
    assert {"train:accuracy", "validation:accuracy"} <= set(v2("augmented_manifest"))
