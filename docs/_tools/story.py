"""A server with something of everything in it, for pictures of the console and for its benchmark."""

import io
from datetime import UTC, datetime
from typing import Any

import numpy as np

from clary.testing.jobs import (
    SCIKIT_LEARN,
    XGBOOST,
    ScriptJob,
    channel,
    training_request,
    upload_csv,
    wait_for_endpoint,
    wait_for_job,
)
from clary.testing.server import Account

FAILING = "raise SystemExit('rows.csv has 3 columns, 5 were expected')"
RUNNING = """
import math, time
for step in range(2400):
    print(f"step {step}: loss={0.2 + 1 / (1 + step / 40) + 0.02 * math.sin(step)};", flush=True)
    time.sleep(0.25)
"""
LOSS = [{"Name": "loss", "Regex": "loss=(.*?);"}]


def tell(account: Account, *, has_notebooks: bool) -> dict[str, str]:
    """Make jobs, a tuning job, an endpoint, an experiment, predictions, users; return their names."""
    story = _Story(account)
    story.train()
    story.tune()
    story.serve()
    story.register()
    story.work()
    story.compare()
    story.judge()
    story.people(has_notebooks=has_notebooks)
    return story.names


class _Story:
    def __init__(self, account: Account) -> None:
        self.account = account
        self.sagemaker = account.client("sagemaker")
        self.names: dict[str, str] = {}
        rows = np.random.default_rng(0).normal(size=(4_000, 9))
        rows[:, 0] = rows[:, 1] + 0.6 * rows[:, 2] + np.random.default_rng(1).normal(0, 0.7, 4_000) > 0
        self.bucket = upload_csv(account, "churn/train/rows.csv", rows[:3_000])
        upload_csv(account, "churn/validation/rows.csv", rows[3_000:], bucket=self.bucket)

    def train(self) -> None:
        """Train a model, fail, and keep one running."""
        account, bucket = self.account, self.bucket
        parameters = {
            "num_round": "60",
            "objective": "binary:logistic",
            "eval_metric": "auc,logloss",
            "eta": "0.1",
        }
        request = training_request(account, bucket, hyperparameters=parameters)
        request["TrainingJobName"] = self.names["job"] = "churn-xgboost"
        request["InputDataConfig"] = [
            {**channel(bucket, name), "DataSource": _source(f"s3://{bucket}/churn/{name}/")}
            for name in ("train", "validation")
        ]
        self.request = request
        self.sagemaker.create_training_job(**request)
        self.trained = wait_for_job(account, "churn-xgboost", limit_s=180)
        ScriptJob.create(account, FAILING, bucket=bucket).wait(limit_s=120)
        running = ScriptJob.create(
            account,
            RUNNING,
            bucket=bucket,
            AlgorithmSpecification={
                "TrainingImage": SCIKIT_LEARN,
                "TrainingInputMode": "File",
                "MetricDefinitions": LOSS,
            },
        )
        running.wait(until={"Training"}, limit_s=120)
        self.names["running"] = running.name

    def tune(self) -> None:
        """Try a few sets of hyperparameters."""
        ranges = {
            "ContinuousParameterRanges": [
                {"Name": "eta", "MinValue": "0.01", "MaxValue": "0.5", "ScalingType": "Logarithmic"}
            ],
            "IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "2", "MaxValue": "9"}],
        }
        definition = {name: self.request[name] for name in ("RoleArn", "InputDataConfig", "OutputDataConfig")}
        definition |= {name: self.request[name] for name in ("ResourceConfig", "StoppingCondition")}
        self.names["tuning"] = "churn-tuning"
        self.sagemaker.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName="churn-tuning",
            HyperParameterTuningJobConfig={
                "Strategy": "Bayesian",
                "RandomSeed": 1,
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "validation:auc"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 8, "MaxParallelTrainingJobs": 2},
                "ParameterRanges": ranges,
            },
            TrainingJobDefinition={
                **definition,
                "AlgorithmSpecification": {"TrainingImage": XGBOOST, "TrainingInputMode": "File"},
                "StaticHyperParameters": {
                    "num_round": "20",
                    "objective": "binary:logistic",
                    "eval_metric": "auc",
                },
            },
        )

    def serve(self) -> None:
        """Put the model behind an endpoint that keeps samples, and ask it."""
        name = self.names["endpoint"] = "churn"
        artifact = self.trained["ModelArtifacts"]["S3ModelArtifacts"]
        container = {"Image": XGBOOST, "ModelDataUrl": artifact}
        self.sagemaker.create_model(
            ModelName=name, ExecutionRoleArn=self.account.role_arn, PrimaryContainer=container
        )
        variant: dict[str, Any] = {
            "ModelName": name,
            "InstanceType": "ml.t2.medium",
            "InitialInstanceCount": 1,
        }
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[{**variant, "VariantName": "main"}],
            DataCaptureConfig={
                "EnableCapture": True,
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": f"s3://{self.bucket}/captured",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
                "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
            },
        )
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        wait_for_endpoint(self.account, name, limit_s=180)
        runtime = self.account.client("sagemaker-runtime")
        for row in np.random.default_rng(2).normal(size=(200, 8)):
            body = ",".join(f"{value:.3f}" for value in row).encode()
            runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=body)

    def register(self) -> None:
        """Register two versions: one rejected, one approved."""
        group = self.names["group"] = "churn"
        self.sagemaker.create_model_package_group(
            ModelPackageGroupName=group, ModelPackageGroupDescription="Who leaves within a month"
        )
        container = {"Image": XGBOOST, "ModelDataUrl": self.trained["ModelArtifacts"]["S3ModelArtifacts"]}
        for about, auc, logloss, decision, why in (
            ("first, on January's rows", "0.802", "0.512", "Rejected", "worse than the rules in place"),
            ("with the calls to support", "0.871", "0.431", "Approved", "better on every channel"),
            ("deeper trees", "0.874", "0.428", "", ""),
        ):
            made = self.sagemaker.create_model_package(
                ModelPackageGroupName=group,
                ModelPackageDescription=about,
                CustomerMetadataProperties={"validation:auc": auc, "validation:logloss": logloss},
                MetadataProperties={"GeneratedBy": self.trained["TrainingJobArn"]},
                InferenceSpecification={
                    "Containers": [container],
                    "SupportedContentTypes": ["text/csv"],
                    "SupportedResponseMIMETypes": ["text/csv"],
                },
            )
            if decision:
                self.sagemaker.update_model_package(
                    ModelPackageArn=made["ModelPackageArn"],
                    ModelApprovalStatus=decision,
                    ApprovalDescription=why,
                )

    def work(self) -> None:
        """Send rows through the model, and have the same done every night."""
        self.account.client("scheduler").create_schedule(
            Name="scores-of-the-night",
            ScheduleExpression="cron(0 3 * * ? *)",
            ScheduleExpressionTimezone="Europe/Zurich",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={
                "Arn": "arn:aws:scheduler:::aws-sdk:sagemaker:createTransformJob",
                "RoleArn": self.account.role_arn,
                "Input": "{}",
            },
        )
        name = self.names["transform"] = "churn-of-november"
        source = _source(f"s3://{self.bucket}/churn/validation/")
        self.sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName=self.names["endpoint"],
            TransformInput={
                "DataSource": {
                    "S3DataSource": {k: v for k, v in source["S3DataSource"].items() if "Dist" not in k}
                },
                "ContentType": "text/csv",
                "SplitType": "Line",
            },
            TransformOutput={"S3OutputPath": f"s3://{self.bucket}/churn/scores/", "AssembleWith": "Line"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
            DataProcessing={"InputFilter": "$[1:]"},
        )

    def compare(self) -> None:
        """Log three runs of one experiment."""
        name = self.names["experiment"] = "churn-nets"
        self.sagemaker.create_experiment(ExperimentName=name, Description="How wide must the network be?")
        self.sagemaker.create_trial(TrialName=name, ExperimentName=name)
        metrics = self.account.client("sagemaker-metrics")
        for width, floor in ((16, 0.42), (64, 0.35), (256, 0.33)):
            run = f"{name}-width-{width}"
            self.sagemaker.create_trial_component(
                TrialComponentName=run,
                DisplayName=f"width-{width}",
                Status={"PrimaryStatus": "Completed"},
                Parameters={"width": {"NumberValue": width}, "optimizer": {"StringValue": "adam"}},
            )
            self.sagemaker.associate_trial_component(TrialComponentName=run, TrialName=name)
            for first in range(0, 30, 5):
                points = [
                    {"MetricName": metric, "Timestamp": datetime.now(UTC), "Step": step, "Value": value}
                    for step in range(first, first + 5)
                    for metric, value in (
                        ("loss", floor + 0.5 / (1 + step * width / 90)),
                        ("accuracy", 0.92 - floor / 3 - 0.3 / (2 + step)),
                    )
                ]
                metrics.batch_put_metrics(TrialComponentName=run, MetricData=points)

    def judge(self) -> None:
        """Leave predictions of two models."""
        generator = np.random.default_rng(3)
        labels = (generator.random(4_000) < 0.2).astype(int)
        parts = np.array(["web", "shop", "phone"])[generator.integers(0, 3, 4_000)]
        for name, noise in (("forest", 0.16), ("linear", 0.22)):
            scores = np.clip(0.25 + 0.4 * labels + generator.normal(0, noise, 4_000), 0, 1)
            file = io.StringIO("label,score,channel\n")
            file.seek(0, io.SEEK_END)
            file.writelines(f"{a},{b:.5f},{c}\n" for a, b, c in zip(labels, scores, parts, strict=True))
            key = f"predictions/{name}.csv"
            self.account.client("s3").put_object(Bucket=self.bucket, Key=key, Body=file.getvalue().encode())
        self.names["bucket"] = self.bucket

    def people(self, *, has_notebooks: bool) -> None:
        """Add users, a Studio domain, and a notebook where one can run."""
        iam, role = self.account.client("iam"), self.account.role_arn
        iam.create_user(UserName="ada")
        iam.create_access_key(UserName="ada")
        settings = {"ExecutionRole": role}
        self.names["domain"] = self.sagemaker.create_domain(
            DomainName="team", AuthMode="IAM", DefaultUserSettings=settings, DefaultSpaceSettings=settings
        )["DomainId"]
        self.sagemaker.create_user_profile(DomainId=self.names["domain"], UserProfileName="ada")
        self.sagemaker.create_space(DomainId=self.names["domain"], SpaceName="plans")
        if has_notebooks:
            self.names["notebook"] = "mine"
            self.sagemaker.create_notebook_instance(
                NotebookInstanceName="mine", InstanceType="ml.t3.medium", RoleArn=role
            )


def _source(uri: str) -> dict[str, Any]:
    data = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"S3DataSource": data}
