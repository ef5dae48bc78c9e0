"""Tuning with SDK v2, as its documentation uses it; each function answers what it saw, as JSON."""

import json
import tempfile
import time
from pathlib import Path

import boto3
import numpy as np
import sagemaker
from sagemaker import image_uris
from sagemaker.analytics import HyperparameterTuningJobAnalytics
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter
from sagemaker.serializers import CSVSerializer
from sagemaker.sklearn import SKLearn
from sagemaker.tuner import (
    HyperbandStrategyConfig,
    HyperparameterTuner,
    StrategyConfig,
    TuningJobCompletionCriteriaConfig,
    WarmStartConfig,
    WarmStartTypes,
)
from tuned_script import SCRIPT

session = sagemaker.Session()
role = sagemaker.get_execution_role()
rng = np.random.default_rng(7)
features = rng.normal(size=(400, 4))
labels = (features[:, 0] + features[:, 1] > 0).astype(int)


def channels():
    """Upload the data; return train and validation channels."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name, rows in (("train", slice(0, 300)), ("validation", slice(300, 400))):
            path = Path(folder) / f"{name}.csv"
            table = np.column_stack([labels, features])[rows]
            np.savetxt(path, table, delimiter=",", fmt="%.5f")
            uri = session.upload_data(str(path), key_prefix=f"tuning/{name}")
            found[name] = TrainingInput(uri, content_type="text/csv")
        return found


def xgboost():
    """Return an estimator of the built-in algorithm."""
    estimator = Estimator(
        image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1"),
        role,
        instance_count=1,
        instance_type="ml.m5.large",
        output_path=f"s3://{session.default_bucket()}/tuning/out",
        sagemaker_session=session,
    )
    estimator.set_hyperparameters(objective="binary:logistic", num_round=10, eval_metric="auc")
    return estimator


RANGES = {
    "eta": ContinuousParameter(0.05, 0.5, scaling_type="Logarithmic"),
    "min_child_weight": ContinuousParameter(1, 10),
    "max_depth": IntegerParameter(1, 8),
}


def wait(tuner):
    """Wait in shorter steps than `wait` does; return the description."""
    name = tuner.latest_tuning_job.name
    client = boto3.client("sagemaker")
    for _ in range(1200):
        described = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if described["HyperParameterTuningJobStatus"] in {"Completed", "Failed", "Stopped"}:
            return described
        time.sleep(0.1)
    raise TimeoutError(name)


def built_in():
    """Tune XGBoost from `fit` to `deploy`."""
    tuner = HyperparameterTuner(
        xgboost(),
        "validation:auc",
        RANGES,
        max_jobs=5,
        max_parallel_jobs=2,
        random_seed=7,
        base_tuning_job_name="built-in",
    )
    tuner.fit(channels(), include_cls_metadata=False, wait=False)
    described = wait(tuner)
    tuner.wait()
    table = tuner.analytics().dataframe()
    ranges = tuner.analytics().tuning_ranges
    best = tuner.best_estimator()
    predictor = tuner.deploy(
        initial_instance_count=1,
        instance_type="ml.m5.large",
        serializer=CSVSerializer(),
        deserializer=CSVDeserializer(),
        wait=False,
    )
    session.wait_for_endpoint(predictor.endpoint_name, poll=0.2)
    scores = np.array(predictor.predict(features[300:]), dtype=float).ravel()
    predictor.delete_model()
    predictor.delete_endpoint()
    again = HyperparameterTuner.attach(tuner.latest_tuning_job.name, sagemaker_session=session)
    return {
        "status": described["HyperParameterTuningJobStatus"],
        "columns": sorted(table.columns),
        "n": len(table),
        "best_of_table": float(table["FinalObjectiveValue"].max()),
        "best": described["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"],
        "ranges": sorted(ranges),
        "best_name": tuner.best_training_job(),
        "best_of_attached": again.best_training_job(),
        "best_estimator": best.latest_training_job.name,
        "hyperparameters": best.hyperparameters(),
        "accuracy": float(((scores > 0.5) == labels[300:]).mean()),
        "name": tuner.latest_tuning_job.name,
    }


def warm_starts(parent):
    """Start from a finished job, in both ways and by both interfaces."""
    inputs = channels()
    attached = HyperparameterTuner.attach(parent, sagemaker_session=session)
    found = []
    same = attached.identical_dataset_and_algorithm_tuner()
    other = attached.transfer_learning_tuner()
    plain = HyperparameterTuner(
        xgboost(),
        "validation:auc",
        RANGES,
        warm_start_config=WarmStartConfig(WarmStartTypes.TRANSFER_LEARNING, parents={parent}),
    )
    for number, tuner in enumerate((same, other, plain)):
        tuner.max_jobs, tuner.max_parallel_jobs = 2, 2
        tuner.fit(inputs, job_name=f"{parent[:24]}-{number}", wait=False, include_cls_metadata=False)
        described = wait(tuner)
        found.append(
            [
                described["HyperParameterTuningJobStatus"],
                described["WarmStartConfig"]["WarmStartType"],
                "OverallBestTrainingJob" in described,
            ]
        )
    return found


def script():
    """Tune a script by its printed metric, with categories, and stop at a target."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.py"
        path.write_text(SCRIPT)
        estimator = SKLearn(
            "train.py",
            source_dir=folder,
            framework_version="1.2-1",
            role=role,
            instance_type="ml.m5.large",
            instance_count=1,
            sagemaker_session=session,
        )
        tuner = HyperparameterTuner(
            estimator,
            "accuracy",
            {
                "max-depth": IntegerParameter(1, 6),
                "criterion": CategoricalParameter(["gini", "entropy"]),
            },
            metric_definitions=[{"Name": "accuracy", "Regex": "accuracy=([0-9.]+);"}],
            max_jobs=6,
            max_parallel_jobs=2,
            early_stopping_type="Auto",
            completion_criteria_config=TuningJobCompletionCriteriaConfig(target_objective_metric_value=0.5),
        )
        tuner.fit({"train": channels()["train"].config["DataSource"]["S3DataSource"]["S3Uri"]}, wait=False)
        described = wait(tuner)
    rows = tuner.analytics().training_job_summaries()
    if "BestTrainingJob" not in described:
        return {"status": "Failed", "reason": rows[0]["FailureReason"]}
    best = tuner.best_estimator()
    return {
        "status": described["HyperParameterTuningJobStatus"],
        "reason": described.get("FailureReason"),
        "n": sum(described["TrainingJobStatusCounters"].values()),
        "class": type(best).__name__,
        "criterion": json.loads(described["BestTrainingJob"]["TunedHyperParameters"]["criterion"]),
    }


def several_estimators():
    """Tune two estimators in one job, and stop it."""
    estimators = {"deep": xgboost(), "wide": xgboost()}
    tuner = HyperparameterTuner.create(
        estimator_dict=estimators,
        objective_metric_name_dict=dict.fromkeys(estimators, "validation:auc"),
        hyperparameter_ranges_dict={
            "deep": {"max_depth": IntegerParameter(5, 9)},
            "wide": {"eta": ContinuousParameter(0.05, 0.5)},
        },
        max_jobs=4,
        max_parallel_jobs=2,
        base_tuning_job_name="several",
    )
    inputs = channels()
    tuner.fit(
        dict.fromkeys(estimators, inputs), include_cls_metadata=dict.fromkeys(estimators, False), wait=False
    )
    described = wait(tuner)
    table = tuner.analytics().dataframe()
    return {
        "status": described["HyperParameterTuningJobStatus"],
        "definitions": sorted(set(table["TrainingJobDefinitionName"])),
        "best": tuner.best_estimator().latest_training_job.name,
        "best_name": described["BestTrainingJob"]["TrainingJobName"],
        "ranges": sorted(tuner.analytics().tuning_ranges),
    }


def stopped():
    """Start with Hyperband and a long grid of rounds, then stop."""
    estimator = xgboost()
    estimator.set_hyperparameters(objective="binary:logistic", num_round=20_000, eval_metric="auc")
    tuner = HyperparameterTuner(
        estimator,
        "validation:auc",
        {"eta": ContinuousParameter(0.001, 0.002)},
        strategy="Hyperband",
        base_tuning_job_name="stopped",
        strategy_config=StrategyConfig(HyperbandStrategyConfig(max_resource=20_000, min_resource=10_000)),
        max_jobs=4,
        max_parallel_jobs=2,
    )
    tuner.fit(channels(), include_cls_metadata=False, wait=False)
    name = tuner.latest_tuning_job.name
    analytics = HyperparameterTuningJobAnalytics(name, sagemaker_session=session)
    for _ in range(300):
        if len(analytics.training_job_summaries(force_refresh=True)) == 2:
            break
        time.sleep(0.1)
    tuner.stop_tuning_job()
    described = wait(tuner)
    return [described["HyperParameterTuningJobStatus"], described["TrainingJobStatusCounters"]["Stopped"]]
