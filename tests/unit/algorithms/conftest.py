"""Jobs in a folder, as the platform stages them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clary.algorithms import _train


class StagedJob:
    """`/opt/ml` of a training job of XGBoost."""

    def __init__(self, ml: Path) -> None:
        self.ml = ml
        self.channels: dict[str, dict[str, str]] = {}
        self.write("resourceconfig", {"current_host": "algo-1", "hosts": ["algo-1"]})

    def write(self, name: str, document: object) -> None:
        path = self.ml / "input/config" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))

    def channel(
        self, name: str, text: str | bytes, content_type: str = "text/csv", file: str = "part-0", **more: Any
    ) -> Any:
        path = self.ml / "input/data" / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        self.channels[name] = {"TrainingInputMode": "File", **more}
        if content_type:
            self.channels[name]["ContentType"] = content_type
        self.write("inputdataconfig", self.channels)

    def run(self, **hyperparameters: str) -> int:
        self.write("hyperparameters", {"num_round": "3", "nthread": "1", **hyperparameters})
        return _train.main({"algorithm": "xgboost"})

    @property
    def failure(self) -> str:
        return (self.ml / "output/failure").read_text()

    @property
    def model(self) -> Path:
        return self.ml / "model/xgboost-model"


@pytest.fixture
def job(tmp_path: Any, monkeypatch: Any) -> Any:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    monkeypatch.setenv("SM_NUM_CPUS", "1")
    return StagedJob(tmp_path)


@pytest.fixture(scope="session")
def rows() -> Any:
    """CSV of two classes, 60 rows of 3 columns."""
    return "".join(f"{int(n % 7 > 3)},{n % 7},{n % 5},{n % 3}\n" for n in range(60))
