"""The algorithms' READMEs: tables as the definitions have them, and the code that opens a model elsewhere."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import _requests, base
from clary.algorithms.base import Question
from clary.testing.algorithm_suite import train

ROOT = Path(__file__).resolve().parents[2]
ROWS = ("kmeans", "pca", "linear_learner", "knn", "randomcutforest", "factorization_machines", "lda")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def tool(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/_tools/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", base.names())
def test_the_table_of_hyperparameters_is_the_definitions(name: str) -> None:
    text = (ROOT / "src/clary/algorithms" / name / "README.md").read_text()
    assert tool("hyperparameters").written(text, name) == text, "run python docs/_tools/hyperparameters.py"


def test_the_table_of_algorithms_is_the_definitions() -> None:
    text = (ROOT / "docs/algorithms.md").read_text()
    assert tool("algorithms").written(text) == text, "run python docs/_tools/algorithms.py"


@pytest.mark.parametrize("name", ROWS)
def test_a_model_opens_with_the_lines_of_its_readme(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    algorithm, example = base.find(name), base.examples(name)[0]
    monkeypatch.chdir(train(algorithm, example, tmp_path))
    text = (ROOT / "src/clary/algorithms" / name / "README.md").read_text()
    n_columns = int(example.hyperparameters["feature_dim"])
    asked = [Question(body=body, content_type=example.request_type) for body in example.requests]
    found = [_requests.decode(each, n_columns) for each in asked]
    rows = np.concatenate([each if isinstance(each, np.ndarray) else each.toarray() for each in found])
    names: dict[str, Any] = {"rows": rows}
    exec(BLOCK.findall(text)[-1], names)
    assert len(names["found"]) == len(rows)
