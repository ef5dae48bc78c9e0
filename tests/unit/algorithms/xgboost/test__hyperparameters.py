"""What the library takes where nothing is given is what the page says."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xgboost

from clary.algorithms.xgboost._hyperparameters import HYPERPARAMETERS

OURS = {"eval_metric", "nthread", "updater", "csv_weights", "save_model_on_termination", "_num_cv_round"}
"""Told by words, or not the library's; `tree_method` and `base_score` are in the configuration as chosen."""
CHOSEN = {"tree_method", "base_score"}


def leaves(config: Any) -> Iterator[tuple[str, str]]:
    for name, value in config.items() if isinstance(config, dict) else ():
        if isinstance(value, dict):
            yield from leaves(value)
        elif isinstance(value, str):
            yield name, value


def configured(**params: str) -> dict[str, str]:
    labels = np.array([0, 1, 0, 1])
    rows = xgboost.DMatrix(np.eye(4), label=labels, label_lower_bound=labels, label_upper_bound=labels + 1)
    booster = xgboost.train({"verbosity": 0, "nthread": 1, **params}, rows, 1)
    return dict(leaves(json.loads(booster.save_config())))


@pytest.fixture(scope="module")
def library() -> dict[str, str]:
    tweedie = configured(objective="reg:tweedie")
    survival = configured(objective="survival:aft")
    plain = configured(booster="dart")
    return {**survival, **tweedie, **plain, "booster": configured()["booster"], "verbosity": "1"}


def test_usual_values_are_the_librarys(library: dict[str, str]) -> None:
    told = {
        each.name: each.usual for each in HYPERPARAMETERS if each.usual and each.name not in OURS | CHOSEN
    }
    found = {name: library[name] for name in told}
    assert {name: float(text) if text[0].isdigit() else text for name, text in told.items()} == {
        name: pytest.approx(float(text), rel=1e-6) if text[0].isdigit() else text
        for name, text in found.items()
    }
    assert len(told) > 25
