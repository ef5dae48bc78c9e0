"""Tuning with SDK v3, as its documentation uses it; each function answers what it saw, as JSON."""

import tempfile
import time
from pathlib import Path

import boto3
import numpy as np
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter
from sagemaker.core.shapes import (
    HyperbandStrategyConfig,
    HyperParameterTuningJobStrategyConfig,
    HyperParameterTuningJobWarmStartConfig,
    ParentHyperParameterTuningJob,
)
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode
from sagemaker.train.tuner import HyperparameterTuner
from tuned_script import SCRIPT

session = Session()
region = session.boto_region_name
role = get_execution_role(session)
compute = Compute(instance_type="ml.m5.large", instance_count=1)
rng = np.random.default_rng(7)
features = rng.normal(size=(400, 4))
labels = (features[:, 0] + features[:, 1] > 0).astype(int)


def channels(*names):
    """Upload the data; return a channel for each name."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder) / f"{name}.csv"
            rows = slice(0, 300) if name == "train" else slice(300, 400)
            np.savetxt(path, np.column_stack([labels, features])[rows], delimiter=",", fmt="%.5f")
            uri = session.upload_data(str(path), session.default_bucket(), key_prefix=f"tuning/{name}")
            found.append(InputData(channel_name=name, data_source=uri, content_type="text/csv"))
    return found


def wait(tuner):
    """Wait in shorter steps than `wait` does; return the description."""
    name = tuner.latest_tuning_job.hyper_parameter_tuning_job_name
    client = boto3.client("sagemaker")
    for _ in range(1200):
        described = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if described["HyperParameterTuningJobStatus"] in {"Completed", "Failed", "Stopped"}:
            return described
        time.sleep(0.1)
    raise TimeoutError(name)


def built_in():
    """Tune XGBoost."""
    trainer = ModelTrainer(
        training_image=image_uris.retrieve("xgboost", region, "1.7-1"),
        base_job_name="v3-tuned",
        compute=compute,
        role=role,
        hyperparameters={"objective": "binary:logistic", "num_round": 10, "eval_metric": "auc"},
        sagemaker_session=session,
    )
    tuner = HyperparameterTuner(
        trainer,
        "validation:auc",
        {"eta": ContinuousParameter(0.05, 0.5), "max_depth": IntegerParameter(1, 8)},
        max_jobs=4,
        max_parallel_jobs=2,
    )
    tuner.tune(channels("train", "validation"), wait=False)
    described = wait(tuner)
    table = tuner.analytics().dataframe()
    return {
        "status": described["HyperParameterTuningJobStatus"],
        "n": len(table),
        "name": described["HyperParameterTuningJobName"],
        "best_name": tuner.best_training_job(),
        "best_of_table": table.loc[table["FinalObjectiveValue"].idxmax(), "TrainingJobName"],
    }


def script():
    """Tune a script by its printed metric."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").write_text(SCRIPT)
        trainer = ModelTrainer(
            training_image=image_uris.retrieve("sklearn", region, "1.2-1"),
            base_job_name="v3-script",
            source_code=SourceCode(source_dir=folder, entry_script="train.py"),
            compute=compute,
            role=role,
            sagemaker_session=session,
        )
        tuner = HyperparameterTuner(
            trainer,
            "accuracy",
            {"max-depth": IntegerParameter(2, 6), "criterion": CategoricalParameter(["gini", "entropy"])},
            metric_definitions=[{"Name": "accuracy", "Regex": "accuracy=([0-9.]+);"}],
            max_jobs=3,
            max_parallel_jobs=2,
        )
        tuner.tune(channels("train"), wait=False)
        described = wait(tuner)
    best = described.get("BestTrainingJob", {})
    return {
        "status": described["HyperParameterTuningJobStatus"],
        "reason": described.get("FailureReason"),
        "best": best.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value"),
    }


def xgboost(rounds=8):
    """Return a trainer of the built-in algorithm."""
    return ModelTrainer(
        training_image=image_uris.retrieve("xgboost", region, "1.7-1"),
        base_job_name="v3-more",
        compute=compute,
        role=role,
        hyperparameters={"objective": "binary:logistic", "num_round": rounds, "eval_metric": "auc"},
        sagemaker_session=session,
    )


def more(parent):
    """Start from a finished job, and stop one of Hyperband."""
    ranges = {"eta": ContinuousParameter(0.05, 0.5), "max_depth": IntegerParameter(1, 8)}
    inputs = channels("train", "validation")
    child = HyperparameterTuner(
        xgboost(),
        "validation:auc",
        ranges,
        max_jobs=2,
        max_parallel_jobs=2,
        warm_start_config=HyperParameterTuningJobWarmStartConfig(
            parent_hyper_parameter_tuning_jobs=[
                ParentHyperParameterTuningJob(hyper_parameter_tuning_job_name=parent)
            ],
            warm_start_type="TransferLearning",
        ),
    )
    child.tune(inputs, job_name=f"{parent[:24]}-child", wait=False)
    long = HyperparameterTuner(
        xgboost(20_000),
        "validation:auc",
        {"eta": ContinuousParameter(0.001, 0.002)},
        strategy="Hyperband",
        strategy_config=HyperParameterTuningJobStrategyConfig(
            hyperband_strategy_config=HyperbandStrategyConfig(min_resource=10_000, max_resource=20_000)
        ),
        max_jobs=2,
        max_parallel_jobs=2,
    )
    long.tune(inputs, job_name=f"{parent[:24]}-long", wait=False)
    long.stop_tuning_job()
    answers = [wait(each) for each in (child, long)]
    child.wait()
    return {
        "statuses": [each["HyperParameterTuningJobStatus"] for each in answers],
        "kind": answers[0]["WarmStartConfig"]["WarmStartType"],
        "described": child.describe().hyper_parameter_tuning_job_status,
    }
