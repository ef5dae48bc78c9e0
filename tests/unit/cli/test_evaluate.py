"""`clary evaluate`: a file of predictions becomes a report, and the decision goes into the model."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from clary.cli.main import app


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


@pytest.fixture
def predictions(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    path = tmp_path / "predictions.csv"
    pd.DataFrame({"label": labels, "score": rng.random(300) * 0.5 + labels * 0.4}).to_csv(path, index=False)
    return path


def test_a_file_of_predictions_becomes_a_report(predictions, tmp_path):
    (tmp_path / "model").mkdir()
    done = run(
        predictions,
        "--costs",
        '{"missed": 9, "alarm": 1}',
        "-o",
        tmp_path / "out",
        "--model",
        tmp_path / "model",
    )
    assert done.exit_code == 0, done.output
    assert "instead of 0.5 saves" in done.output
    assert "report.html" in done.output
    assert {each.name for each in (tmp_path / "out").iterdir()} == {
        "decision.json",
        "evaluation.json",
        "report.html",
    }
    assert json.loads((tmp_path / "model/decision.json").read_text())["kind"] == "binary"


def test_a_mistake_is_one_line(predictions):
    done = run(predictions, "--label", "gone", "--kind", "binary")
    assert done.exit_code == 1
    assert "there is no column 'gone'; there are label, score" in str(done.exception)
