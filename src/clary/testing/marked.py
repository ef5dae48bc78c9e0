"""An account with something of everything the console shows, and markup wherever a text takes it."""

import base64
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from clary.kernel import ids
from clary.testing import notebooks
from clary.testing.jobs import (
    SCIKIT_LEARN,
    XGBOOST,
    ScriptJob,
    new_bucket,
    training_request,
    upload_csv,
    wait_for_endpoint,
    wait_for_job,
)
from clary.testing.server import Account

MARKUP = "<img src=x onerror=document.title='taken'>"
"""What becomes an element, and a script, on a page that does not spell it as text."""
SECRET = "the-words-of-this-account"  # noqa: S105 - nobody else may read it
SAID = f"{MARKUP} {SECRET}"
SCRIPT = f"""
print({SAID!r}, flush=True)
print("loss=0.5;", flush=True)
raise SystemExit({SAID!r})
"""
PATIENCE_S = 120.0


@dataclass
class Marked:
    """Makes it all; `names` has what was made."""

    account: Account
    names: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, account: Account, *, has_notebooks: bool = True) -> "Marked":
        """Return an account's, made."""
        made = cls(account)
        made.data()
        made.jobs()
        made.endpoint()
        made.experiment()
        made.registry()
        if has_notebooks:
            made.notebook()
        made.people()
        made.await_tuning()
        return made

    @property
    def sagemaker(self) -> Any:
        """Return a client."""
        return self.account.client("sagemaker")

    def data(self) -> None:
        """Put objects with markup in keys and contents, of every kind that has a preview."""
        bucket = self.names["bucket"] = new_bucket(self.account)
        cell = {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": [SAID]}
        output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": [SAID]}}
        notebook = {"nbformat": 4, "nbformat_minor": 4, "metadata": {"title": MARKUP}}
        notebook["cells"] = [cell | {"outputs": [output]}]
        rows = "\n".join(f"{n % 2},{n % 2 * 0.5 + n % 10 / 20},{MARKUP}" for n in range(60))
        for key, body in {
            f"{MARKUP}.txt": SAID,
            f"{MARKUP}/inner.csv": f"{SAID},{MARKUP}\n",
            f"{MARKUP}.jsonl": json.dumps({MARKUP: SAID}),
            f"{MARKUP}.ipynb": json.dumps(notebook),
            f"{MARKUP}.html": SAID,
            f"{MARKUP}.svg": f"<svg xmlns='http://www.w3.org/2000/svg'>{SAID}</svg>",
            "predictions.csv": f"label,score,part\n{rows}",
        }.items():
            self.account.client("s3").put_object(Bucket=bucket, Key=key, Body=body.encode())

    def jobs(self) -> None:
        """Train a model, fail with a reason, process, and begin to tune."""
        rows = np.random.default_rng(0).normal(size=(200, 5))
        rows[:, 0] = rows[:, 1] > 0
        bucket = self.names["bucket"]
        for part in ("train", "validation"):
            upload_csv(self.account, f"{part}/rows.csv", rows, bucket=bucket)
        values = {"num_round": "3", "objective": "binary:logistic", "eval_metric": "auc"}
        request = training_request(
            self.account, bucket, channels=("train", "validation"), hyperparameters=values
        )
        self.names["job"] = request["TrainingJobName"]
        self.sagemaker.create_training_job(**request)
        failing = ScriptJob.create(
            self.account,
            SCRIPT,
            bucket=bucket,
            hyperparameters={MARKUP: json.dumps(SAID)},
            Environment={"SAID": SAID},
            AlgorithmSpecification={
                "TrainingImage": SCIKIT_LEARN,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": MARKUP, "Regex": "loss=(.*?);"}],
            },
        )
        self.names["failing"] = failing.name
        described = wait_for_job(self.account, self.names["job"])
        self.names["artifact"] = described["ModelArtifacts"]["S3ModelArtifacts"]
        failing.wait()
        self._tune(request)

    def _tune(self, request: dict[str, Any]) -> None:
        kept = ("RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition")
        name = self.names["tuning"] = f"tune-{ids.short(8)}"
        ranges = {"ContinuousParameterRanges": [{"Name": "eta", "MinValue": "0.1", "MaxValue": "0.5"}]}
        self.sagemaker.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name,
            HyperParameterTuningJobConfig={
                "Strategy": "Random",
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "validation:auc"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
                "ParameterRanges": ranges,
            },
            TrainingJobDefinition={
                **{each: request[each] for each in kept},
                "AlgorithmSpecification": {"TrainingImage": XGBOOST, "TrainingInputMode": "File"},
                "StaticHyperParameters": request["HyperParameters"],
            },
        )

    def await_tuning(self) -> None:
        """Wait until both trials are drawn."""
        until = time.monotonic() + PATIENCE_S
        name = self.names["tuning"]
        while True:
            found = self.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
            if found["HyperParameterTuningJobStatus"] != "InProgress":
                return
            assert time.monotonic() < until, found
            time.sleep(0.1)

    def endpoint(self) -> None:
        """Deploy the model behind an endpoint that captures; a sample is there."""
        name = self.names["endpoint"] = f"asked-{ids.short(8)}"
        bucket, role = self.names["bucket"], self.account.role_arn
        container = {"Image": XGBOOST, "ModelDataUrl": self.names["artifact"]}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
        variant = {"VariantName": "one", "ModelName": name, "InstanceType": "ml.t2.medium"}
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[variant | {"InitialInstanceCount": 1}],
            DataCaptureConfig={
                "EnableCapture": True,
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": f"s3://{bucket}/captured",
                "CaptureOptions": [{"CaptureMode": "Input"}],
            },
        )
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        sample = {"captureData": {"endpointInput": {"data": SAID, "encoding": "CSV"}}}
        key = f"captured/{name}/one/{datetime.now(UTC):%Y/%m/%d/%H}/sample.jsonl"
        self.account.client("s3").put_object(Bucket=bucket, Key=key, Body=json.dumps(sample).encode())
        wait_for_endpoint(self.account, name)

    def experiment(self) -> None:
        """Record a run and an artefact."""
        name, bucket = f"asked-{ids.short(8)}", self.names["bucket"]
        self.names["experiment"] = name
        self.sagemaker.create_experiment(ExperimentName=name, Description=SAID)
        self.sagemaker.create_trial(TrialName=name, ExperimentName=name)
        self.sagemaker.create_trial_component(
            TrialComponentName=name, Parameters={MARKUP: {"StringValue": SAID}}
        )
        self.sagemaker.associate_trial_component(TrialComponentName=name, TrialName=name)
        now = datetime.now(UTC)
        points = [{"MetricName": MARKUP, "Timestamp": now, "Step": n, "Value": n} for n in range(3)]
        self.account.client("sagemaker-metrics").batch_put_metrics(TrialComponentName=name, MetricData=points)
        self.sagemaker.create_artifact(
            Source={"SourceUri": f"s3://{bucket}/{MARKUP}"}, ArtifactType=MARKUP[:30], ArtifactName="x"
        )

    def registry(self) -> None:
        """Register the model, and say why it waits."""
        group = self.names["group"] = f"asked-{ids.short(8)}"
        self.sagemaker.create_model_package_group(
            ModelPackageGroupName=group, ModelPackageGroupDescription=SAID
        )
        made = self.sagemaker.create_model_package(
            ModelPackageGroupName=group,
            ModelPackageDescription=SAID,
            CustomerMetadataProperties={"auc": "0.9"},
            InferenceSpecification={
                "Containers": [{"Image": XGBOOST, "ModelDataUrl": self.names["artifact"]}],
                "SupportedContentTypes": [MARKUP],
            },
        )
        self.sagemaker.update_model_package(
            ModelPackageArn=made["ModelPackageArn"],
            ModelApprovalStatus="Approved",
            ApprovalDescription=SAID,
        )

    def notebook(self) -> None:
        """Make an instance in service, and one whose script fails loudly."""
        script = base64.b64encode(f'echo "{SAID}"; exit 1'.encode()).decode()
        self.sagemaker.create_notebook_instance_lifecycle_config(
            NotebookInstanceLifecycleConfigName="loud", OnStart=[{"Content": script}]
        )
        self.names |= {"notebook": "mine", "loud": "loud"}
        notebooks.create(self.account, "loud", LifecycleConfigName="loud")
        notebooks.create(self.account, "mine")

    def people(self) -> None:
        """Add a user with a key, and a Studio domain with a user and a space."""
        iam = self.account.client("iam")
        iam.create_user(UserName="ada")
        iam.create_access_key(UserName="ada")
        settings = {"ExecutionRole": self.account.role_arn}
        domain = self.names["domain"] = self.sagemaker.create_domain(
            DomainName="team", AuthMode="IAM", DefaultUserSettings=settings, DefaultSpaceSettings=settings
        )["DomainId"]
        self.sagemaker.create_user_profile(DomainId=domain, UserProfileName="ada")
        self.sagemaker.create_space(DomainId=domain, SpaceName="plans")

    def clear(self) -> None:
        """End what would go on using the machine."""
        self.sagemaker.delete_endpoint(EndpointName=self.names["endpoint"])
        if "notebook" in self.names:
            self.sagemaker.stop_notebook_instance(NotebookInstanceName="mine")
