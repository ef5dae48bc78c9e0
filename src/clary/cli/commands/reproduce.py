"""`clary reproduce`: a past training job again, and whether the same comes out."""

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from clary.cli import clients, comparison, options
from clary.cli.supervisor import state
from clary.kernel import ids
from clary.kernel.errors import SetupError

EXAMPLE = "clary reproduce my-training-job"
EXIT_CODES = "0 the same model; 1 another model, or no such job, or the run failed"
POLL_S = 0.2
ENDED = frozenset({"Completed", "Failed", "Stopped"})
MAX_NAME = 63
MAX_METRICS = 40
"""Source: shape `MetricDefinitionList`, `max`."""


def reproduce(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Name of a completed training job.")],
    as_json: options.AsJson = False,
    account: options.Account = "default",
    data_dir: options.DataDir = None,
) -> int:
    """Run a training job again: same code, data, parameters and seed. Say whether the model is the same."""
    running = state.expect_running(options.settings_of(data_dir).data_dir)
    sagemaker: Any = clients.sagemaker(running, account)
    s3: Any = clients.client(running, "s3", account, timeout_s=60.0)
    try:
        report = Reproduction(sagemaker, s3, job, is_quiet=as_json).report()
    except SetupError:
        raise
    except Exception as error:
        raise clients.explained(error) from None
    print(json.dumps(report, indent=2, default=str) if as_json else in_words(report))
    return 0 if report["Model"]["Same"] else 1


class Reproduction:
    """One job, run again."""

    def __init__(self, sagemaker: Any, s3: Any, job: str, *, is_quiet: bool) -> None:
        self._sagemaker = sagemaker
        self._s3 = s3
        self._job = job
        self._is_quiet = is_quiet

    def report(self) -> dict[str, Any]:
        """Run it again and compare.

        Raises
        ------
        SetupError
            It did not complete then, or does not now.
        """
        first = self._sagemaker.describe_training_job(TrainingJobName=self._job)
        if first["TrainingJobStatus"] != "Completed":
            raise SetupError(f"{self._job} is {first['TrainingJobStatus']}: only what completed is compared")
        name = f"{self._job[: MAX_NAME - 13]}-again-{ids.short(6)}"
        request = self._request(first, name)
        self._say(f"{name} runs {self._job} again")
        self._sagemaker.create_training_job(**request)
        second = self._wait(name)
        if second["TrainingJobStatus"] != "Completed":
            reason = second.get("FailureReason", "it was stopped")
            raise SetupError(f"{name} did not complete: {reason}")
        return {
            "TrainingJobName": self._job,
            "ReproducedBy": name,
            "Data": self._data(first, second),
            "Code": self._code(first),
            "Metrics": _metrics(first, second),
            "Model": self._model(first, second),
        }

    def _request(self, first: Mapping[str, Any], name: str) -> dict[str, Any]:
        known = self._sagemaker.meta.service_model.operation_model("CreateTrainingJob").input_shape.members
        request = {member: first[member] for member in known if first.get(member) not in (None, "", {}, [])}
        if "CheckpointConfig" in request:  # it must begin anew, and leave the first one's checkpoints alone
            config = request["CheckpointConfig"]
            request["CheckpointConfig"] = {**config, "S3Uri": f"{config['S3Uri'].rstrip('/')}/{name}"}
        request.get("ExperimentConfig", {}).pop("RunName", None)
        specification = dict(request["AlgorithmSpecification"])
        if len(specification.get("MetricDefinitions", ())) > MAX_METRICS:
            del specification["MetricDefinitions"]  # an algorithm's own, which Create fills in again
        request["AlgorithmSpecification"] = specification
        return request | {
            "TrainingJobName": name,
            "Tags": [{"Key": "clary:reproduces", "Value": self._job}],
        }

    def _wait(self, name: str) -> dict[str, Any]:
        while True:
            found: dict[str, Any] = self._sagemaker.describe_training_job(TrainingJobName=name)
            if found["TrainingJobStatus"] in ENDED:
                return found
            time.sleep(POLL_S)

    def _versions(self, job: Mapping[str, Any]) -> dict[str, str]:
        """Return the versions of a job's data by address, as its lineage has them."""
        component = f"{job['TrainingJobName']}-aws-training-job"
        arn = self._sagemaker.describe_trial_component(TrialComponentName=component)["TrialComponentArn"]
        pages = self._sagemaker.get_paginator("list_associations").paginate(DestinationArn=arn)
        found = {}
        for each in (each for page in pages for each in page["AssociationSummaries"]):
            if each.get("SourceType") == "DataSet":
                source = self._sagemaker.describe_artifact(ArtifactArn=each["SourceArn"])["Source"]
                versions = [kind["Value"] for kind in source.get("SourceTypes", ())]
                found[source["SourceUri"]] = versions[0] if versions else ""
        return found

    def _data(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[dict[str, Any]]:
        then, now = self._versions(first), self._versions(second)
        return [
            {
                "S3Uri": uri,
                "Then": then.get(uri) or None,
                "Now": now.get(uri) or None,
                "Same": then[uri] == now[uri] if then.get(uri) and now.get(uri) else None,
            }
            for uri in sorted({*then, *now})
        ]

    def _code(self, first: Mapping[str, Any]) -> dict[str, Any] | None:
        uri = first.get("HyperParameters", {}).get("sagemaker_submit_directory", "").strip('"')
        if not uri.startswith("s3://"):
            return None
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        written = self._s3.head_object(Bucket=bucket, Key=key)["LastModified"]
        # S3 tells whole seconds; what was written in the job's own second was written before it.
        return {"S3Uri": uri, "Same": int(written.timestamp()) <= int(first["CreationTime"].timestamp())}

    def _model(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        uris = [each["ModelArtifacts"]["S3ModelArtifacts"] for each in (first, second)]
        if not uris[0].endswith(".tar.gz"):
            raise SetupError(f"{uris[0]}: only models in one archive are compared (CompressionType GZIP)")
        found = []
        for uri in uris:
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            found.append(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        return {"S3ModelArtifacts": uris, **comparison.compared(*found)}

    def _say(self, text: str) -> None:
        if not self._is_quiet:
            print(text, flush=True)


def _metrics(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[dict[str, Any]]:
    then, now = (
        {each["MetricName"]: each["Value"] for each in job.get("FinalMetricDataList", ())}
        for job in (first, second)
    )
    return [
        {"MetricName": name, "Then": then.get(name), "Now": now.get(name)} for name in sorted({*then, *now})
    ]


def in_words(report: Mapping[str, Any]) -> str:
    """Return a report as lines."""
    said = {True: "the same", False: "CHANGED", None: "unknown: no version was recorded"}
    lines = [f"data    {each['S3Uri']}  {said[each['Same']]}" for each in report["Data"]]
    if report["Code"]:
        lines.append(f"code    {report['Code']['S3Uri']}  {said[report['Code']['Same']]}")
    lines += [f"metric  {each['MetricName']}  {each['Then']} -> {each['Now']}" for each in report["Metrics"]]
    model = report["Model"]
    lines.append(f"model   {'the same' if model['Same'] else 'DIFFERS'}")
    if model["Same"]:
        return "\n".join(lines)
    lines += [f"        only in the first   {name}" for name in model["OnlyFirst"]]
    lines += [f"        only in the second  {name}" for name in model["OnlySecond"]]
    for each in model["Differing"]:
        then, now = each["Sizes"]
        lines.append(
            f"        {each['Name']}: {then} and {now} bytes, from byte {each['FirstDifferingByte']} on"
        )
    scores = model.get("Predictions", {})
    if "Rows" in scores:
        lines.append(
            f"        predictions: {scores['Differing']} of {scores['Rows']} random rows differ, "
            f"by {scores['LargestDifference']:.3g} at most"
        )
    elif scores:
        lines.append(f"        predictions were not compared: {scores['Unknown']}")
    return "\n".join(lines)
