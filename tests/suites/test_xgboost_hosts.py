"""XGBoost on several hosts, each a process with a `/opt/ml` of its own."""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from clary.algorithms.xgboost import _artifact

HOSTS = ("127.0.0.1", "127.0.0.2")
"""Both are this machine, and both are names that resolve."""
HYPERPARAMETERS = {
    "num_round": "5",
    "objective": "binary:logistic",
    "eval_metric": "logloss,accuracy,f1",
    "max_depth": "3",
    "nthread": "1",
    "max_bin": "1024",
}
PROGRAM = "import sys; from clary.algorithms._train import main; sys.exit(main({'algorithm': 'xgboost'}))"


@pytest.fixture(scope="module")
def lines() -> Any:
    draw = np.random.default_rng(4)
    features = draw.normal(size=(400, 5)).round(3)
    labels = (features[:, 0] + features[:, 1] * features[:, 2] > 0).astype(int)
    return [f"{label},{','.join(map(str, row))}\n" for label, row in zip(labels, features, strict=True)]


def staged(ml: Any, lines: Any, hosts: Any, host: Any, more: Any) -> Any:
    config = ml / "input/config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps(HYPERPARAMETERS | more))
    (config / "resourceconfig.json").write_text(json.dumps({"hosts": hosts, "current_host": host}))
    channel = {"TrainingInputMode": "File", "ContentType": "text/csv", "S3DistributionType": "ShardedByS3Key"}
    (config / "inputdataconfig.json").write_text(json.dumps({"train": channel}))
    (ml / "input/data/train").mkdir(parents=True)
    (ml / "input/data/train/part").write_text("".join(lines))
    return ml


def run(folder: Any, parts: Any, hosts: Any, **more: str) -> Any:
    """Run every host; return exit codes, logs and folders."""
    processes, folders = [], []
    for host, lines in zip(hosts, parts, strict=True):
        ml = staged(folder / host, lines, hosts, host, more)
        environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(ml), "TRAINING_JOB_NAME": folder.name}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        folders.append(ml)
    try:
        logs = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], logs, folders


def model(ml: Any) -> Any:
    return _artifact.from_bytes((ml / "model/xgboost-model").read_bytes(), "model")


def rounds(log: Any) -> Any:
    return [line for line in log.splitlines() if line.startswith("[") and "\ttrain-" in line]


def test_two_hosts_on_shards_learn_what_one_learns_on_all(tmp_path, lines):
    codes, logs, folders = run(tmp_path / "two", (lines[:250], lines[250:]), HOSTS)
    assert codes == [0, 0], logs
    alone, [log], [folder] = run(tmp_path / "one", (lines,), ("algo-1",))
    assert alone == [0]
    rows = np.random.default_rng(5).normal(size=(50, 5)).astype(np.float32)
    np.testing.assert_allclose(
        model(folders[0]).inplace_predict(rows), model(folder).inplace_predict(rows), atol=1e-4
    )
    assert rounds(logs[0]) == rounds(log)
    assert rounds(logs[1]) == []
    assert not (folders[1] / "model/xgboost-model").exists()


def test_exact_trees_are_approximate_on_several_hosts(tmp_path, lines):
    codes, logs, folders = run(tmp_path / "exact", (lines[:250], lines[250:]), HOSTS, tree_method="exact")
    assert codes == [0, 0], logs
    assert "tree_method=exact is approx on several hosts" in logs[0]
    assert model(folders[0]).num_boosted_rounds() == 5


@pytest.mark.parametrize("empty", [0, 1])
def test_a_host_without_rows_takes_part(tmp_path, lines, empty):
    parts = ([], lines) if empty == 0 else (lines, [])
    codes, logs, folders = run(tmp_path / f"empty-{empty}", parts, HOSTS)
    assert codes == [0, 0], logs
    assert f"Host {HOSTS[empty]} has no training data" in logs[0]
    assert model(folders[0]).num_boosted_rounds() == 5


def test_a_host_that_cannot_read_its_data_ends_all_at_once(tmp_path, lines):
    codes, logs, folders = run(tmp_path / "bad", (lines, ["1,a\n"]), HOSTS)
    assert codes == [1, 1], logs
    for folder in folders:
        assert "train/part, line 1: column 2 is 'a'" in (folder / "output/failure").read_text()
