"""What the published example notebooks of tuning do, on little data; each function answers what it saw."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import numpy as np
import pandas as pd
import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.tuner import (
    ContinuousParameter,
    HyperbandStrategyConfig,
    HyperparameterTuner,
    IntegerParameter,
    StrategyConfig,
)

session = sagemaker.Session()
role = sagemaker.get_execution_role()
client = boto3.client("sagemaker")
bucket, prefix = session.default_bucket(), "sagemaker/examples"
N_HOSTS = 2


def clients_of_a_bank():
    """Return who subscribed, as the notebooks prepare it: the label first, categories as indicators."""
    rng = np.random.default_rng(1729)
    n = 1_200
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "job": rng.choice(["admin.", "student", "retired", "technician"], n),
            "pdays": rng.choice([999, 3], n, p=[0.9, 0.1]),
            "campaign": rng.integers(1, 20, n),
        }
    )
    says_yes = rng.random(n) < 0.1 + 0.4 * (frame["pdays"] == 3) + 0.3 * (frame["job"] == "student")
    frame = pd.get_dummies(frame, dtype=int)
    frame.insert(0, "y", says_yes.astype(int))
    return frame


def channels(n_parts):
    """Upload the data, the part for training in as many objects as hosts; return the channels."""
    frame = clients_of_a_bank()
    train, validation = frame[:1_000], frame[1_000:]
    objects = boto3.resource("s3").Bucket(bucket)
    with TemporaryDirectory() as folder:
        parts = {f"train-{n_parts}/{n}.csv": train[n::n_parts] for n in range(n_parts)}
        for key, part in (parts | {"validation/validation.csv": validation}).items():
            path = Path(folder) / "part.csv"
            part.to_csv(path, header=False, index=False)
            objects.Object(f"{prefix}/{key}").upload_file(str(path))
    return {
        "train": TrainingInput(
            s3_data=f"s3://{bucket}/{prefix}/train-{n_parts}",
            content_type="csv",
            distribution="ShardedByS3Key" if n_parts > 1 else "FullyReplicated",
        ),
        "validation": TrainingInput(s3_data=f"s3://{bucket}/{prefix}/validation/", content_type="csv"),
    }


def xgboost(n_hosts, **hyperparameters):
    """Return the estimator of the notebooks, with the hyperparameters that they leave over, too."""
    estimator = Estimator(
        sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, "latest"),
        role,
        instance_count=n_hosts,
        instance_type="ml.m5.2xlarge",
        output_path=f"s3://{bucket}/{prefix}/output",
        sagemaker_session=session,
    )
    estimator.set_hyperparameters(eval_metric="auc", objective="binary:logistic", **hyperparameters)
    return estimator


def status_of(tuner):
    """Wait in shorter steps than `wait` does; return how the job ended."""
    name = tuner.latest_tuning_job.job_name
    for _ in range(2_400):
        described = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if described["HyperParameterTuningJobStatus"] != "InProgress":
            break
        time.sleep(0.1)
    return described["HyperParameterTuningJobStatus"]


def hyperband():
    """Train on several hosts and tune that with Hyperband, as its notebook does."""
    inputs = channels(N_HOSTS)
    estimator = xgboost(
        N_HOSTS, num_round=12, rate_drop=0.0, tree_method="exact", eta=0.3, colsample_bytree=0.8
    )
    estimator.fit(inputs, wait=False)
    estimator.latest_training_job.wait(logs="None")
    metrics = estimator.training_job_analytics.dataframe(force_refresh=True)
    tuner = HyperparameterTuner(
        estimator,
        "validation:auc",
        {
            "num_round": IntegerParameter(8, 12),
            "eta": ContinuousParameter(0, 1),
            "min_child_weight": ContinuousParameter(1, 10),
            "alpha": ContinuousParameter(0, 2),
            "max_depth": IntegerParameter(1, 10),
            "colsample_bylevel": ContinuousParameter(0, 1),
        },
        max_jobs=4,
        max_parallel_jobs=2,
        strategy="Hyperband",
        early_stopping_type="Off",
        strategy_config=StrategyConfig(
            hyperband_strategy_config=HyperbandStrategyConfig(max_resource=9, min_resource=1)
        ),
    )
    tuner.fit(inputs, include_cls_metadata=False, wait=False)
    status = status_of(tuner)
    name = tuner.latest_tuning_job.job_name
    attached = HyperparameterTuner.attach(tuning_job_name=name, sagemaker_session=session)
    found = sagemaker.HyperparameterTuningJobAnalytics(name, sagemaker_session=session).dataframe()
    best = attached.describe()["BestTrainingJob"]
    return {
        "metrics": sorted(set(metrics["metric_name"])),
        "status": status,
        "n": len(found),
        "seconds": float(found["TrainingElapsedTimeSeconds"].min()),
        "best": best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"],
        "best_of_table": float(found["FinalObjectiveValue"].max()),
        "hosts": client.describe_training_job(TrainingJobName=best["TrainingJobName"])["ResourceConfig"][
            "InstanceCount"
        ],
    }


def scales():
    """Search at random on logarithmic and on linear scales, compare, and deploy, as its notebook does."""
    inputs = channels(1)
    frames = []
    for scale in ("Logarithmic", "Linear"):
        tuner = HyperparameterTuner(
            xgboost(1, num_round=5, rate_drop=0.3, tweedie_variance_power=1.4),
            "validation:auc",
            {name: ContinuousParameter(0.01, 10, scaling_type=scale) for name in ("alpha", "lambda")},
            max_jobs=5,
            max_parallel_jobs=5,
            strategy="Random",
        )
        job_name = f"examples-{scale.lower()}-{time.time_ns() % 10**9}"
        tuner.fit(inputs, include_cls_metadata=False, job_name=job_name, wait=False)
        assert status_of(tuner) == "Completed"
        frames.append(
            sagemaker.HyperparameterTuningJobAnalytics(job_name, sagemaker_session=session)
            .dataframe()
            .assign(scaling=scale)
        )
    table = pd.concat(frames, ignore_index=True)
    predictor = tuner.deploy(initial_instance_count=1, instance_type="ml.m4.xlarge", wait=False)
    session.wait_for_endpoint(predictor.endpoint_name, poll=0.2)
    answer = client.describe_endpoint(EndpointName=predictor.endpoint_name)["EndpointStatus"]
    session.delete_endpoint(endpoint_name=predictor.endpoint_name)
    return {
        "n": {name: len(part) for name, part in table.groupby("scaling")},
        "median": {name: float(part["alpha"].median()) for name, part in table.groupby("scaling")},
        "endpoint": answer,
        "analysed": analysed(job_name),
    }


def analysed(name):
    """Analyse a finished job as the analysis notebook does."""
    result = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    objective = result["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    tuner = sagemaker.HyperparameterTuningJobAnalytics(name, sagemaker_session=session)
    full = tuner.dataframe()
    valid = full[full["FinalObjectiveValue"] > -float("inf")]
    valid = valid.sort_values("FinalObjectiveValue", ascending=objective["Type"] != "Maximize")
    return {
        "n_completed": result["TrainingJobStatusCounters"]["Completed"],
        "best_is_first": valid["TrainingJobName"].iloc[0] == result["BestTrainingJob"]["TrainingJobName"],
        "ranges": {
            key: [float(each["MinValue"]), float(each["MaxValue"])]
            for key, each in tuner.tuning_ranges.items()
        },
        "times": str(valid["TrainingStartTime"].dtype).startswith("datetime64"),
    }
