"""Experiments and lineage of SDK v2, as its documentation uses them; each function answers what it saw."""

import json
import tempfile
import time
from pathlib import Path

import sagemaker
from sagemaker import image_uris
from sagemaker.analytics import ExperimentAnalytics
from sagemaker.estimator import Estimator
from sagemaker.experiments import Run, list_runs, load_run
from sagemaker.experiments.experiment import Experiment
from sagemaker.inputs import TrainingInput
from sagemaker.lineage.artifact import Artifact, DatasetArtifact, ModelArtifact
from sagemaker.lineage.association import Association
from sagemaker.lineage.context import EndpointContext
from sagemaker.lineage.lineage_trial_component import LineageTrialComponent
from sagemaker.lineage.query import (
    LineageEntityEnum,
    LineageFilter,
    LineageQuery,
    LineageQueryDirectionEnum,
    LineageSourceEnum,
)
from sagemaker.lineage.visualizer import LineageTableVisualizer
from sagemaker.s3 import S3Uploader
from sagemaker.sklearn import SKLearn

session = sagemaker.Session()
role = sagemaker.get_execution_role()
client = session.sagemaker_client


def runs():
    """Log two runs with everything that a run logs, and read them back."""
    with Run(experiment_name="My-Exp", run_name="first", sagemaker_session=session) as run:
        run.log_parameter("lr", 0.1)
        run.log_parameters({"depth": 6, "kind": "tree"})
        for step in range(4):
            run.log_metric("loss", 1 / (step + 1), step=step)
        run.log_artifact("data", "s3://somewhere/data", is_output=False)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "note.txt").write_text("hello")
            run.log_file(f"{folder}/note.txt", name="note")
        run.log_confusion_matrix([0, 1, 1], [0, 1, 0], title="confusion")
        run.log_roc_curve([0, 1, 1], [0.1, 0.9, 0.4], title="roc")
        run.log_precision_recall([0, 1, 1], [0.1, 0.9, 0.4], title="pr", positive_label=1)
    with Run(experiment_name="my-exp", run_name="second", sagemaker_session=session) as run:
        run.log_metric("loss", 0.5)
    with load_run(experiment_name="my-exp", run_name="second", sagemaker_session=session) as run:
        run.log_parameter("lr", 0.2)
    component = client.describe_trial_component(TrialComponentName="my-exp-first")
    graphs = client.list_associations(SourceArn=component["TrialComponentArn"])["AssociationSummaries"]
    listed = list_runs(experiment_name="my-exp", sagemaker_session=session)
    frame = ExperimentAnalytics(
        experiment_name="my-exp",
        sagemaker_session=session,
        sort_by="metrics.loss.min",
        sort_order="Ascending",
    ).dataframe()
    note = component["OutputArtifacts"]["note"]["Value"]
    return {
        "parameters": component["Parameters"],
        "metrics": component["Metrics"],
        "status": component["Status"]["PrimaryStatus"],
        "inputs": component["InputArtifacts"],
        "note": sagemaker.s3.S3Downloader.read_file(note, sagemaker_session=session),
        "graphs": sorted(each["DestinationType"] for each in graphs),
        "runs": [each.run_name for each in listed],
        "names": list(frame["TrialComponentName"]),
        "columns": list(frame.columns),
        "rates": list(frame["lr"]),
        "lasts": list(frame["loss - Last"]),
    } | {"metrics": [{**each, "TimeStamp": None} for each in component["Metrics"]]}


def cascade():
    """Delete an experiment with all that is in it, as the SDK does."""
    with Run(experiment_name="short", run_name="one", sagemaker_session=session) as run:
        run.log_parameter("a", 1)
    Experiment.load("short", sagemaker_session=session)._delete_all("--force")
    left = client.list_experiments(MaxResults=100)["ExperimentSummaries"]
    return [each["ExperimentName"] for each in left if each["ExperimentName"] == "short"]


def train():
    """Train within a run; return the estimator."""
    with tempfile.TemporaryDirectory() as folder:
        rows = "\n".join(f"{n % 2},{n % 2 + n / 100},{n}" for n in range(60))
        (Path(folder) / "data.csv").write_text(rows)
        uri = S3Uploader.upload(
            folder, f"s3://{session.default_bucket()}/runs/train", sagemaker_session=session
        )
    estimator = Estimator(
        image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1"),
        role,
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=session,
        hyperparameters={"num_round": 4, "objective": "binary:logistic", "eval_metric": "auc"},
    )
    with Run(experiment_name="trained", run_name="one", sagemaker_session=session) as run:
        estimator.fit({"train": TrainingInput(uri, content_type="text/csv")})
    return estimator, run, uri


def lineage():
    """Train in a run, deploy, and ask the lineage classes."""
    estimator, run, uri = train()
    predictor = estimator.deploy(1, "ml.m5.large", wait=False)
    while client.describe_endpoint(EndpointName=predictor.endpoint_name)["EndpointStatus"] == "Creating":
        time.sleep(0.2)
    job = estimator.latest_training_job.name
    (data,) = Artifact.list(source_uri=uri, sagemaker_session=session)
    model_uri = estimator.model_data
    (made,) = Artifact.list(source_uri=model_uri, sagemaker_session=session)
    model = ModelArtifact.load(made.artifact_arn, sagemaker_session=session)
    endpoint = EndpointContext.load(predictor.endpoint_name, sagemaker_session=session)
    wanted = LineageFilter(entities=[LineageEntityEnum.ARTIFACT], sources=[LineageSourceEnum.DATASET])
    found = LineageQuery(session).query(
        start_arns=[endpoint.context_arn],
        query_filter=wanted,
        direction=LineageQueryDirectionEnum.ASCENDANTS,
        include_edges=False,
    )
    whole = LineageQuery(session).query(start_arns=[data.artifact_arn], include_edges=True)
    answer = {
        "data": [each.to_lineage_object().source.source_uri for each in found.vertices],
        "uri": uri,
        "jobs": model.training_job_arns(),
        "datasets": [each.source.source_uri for each in model.dataset_artifacts()],
        "contexts": [each.context_name for each in model.endpoint_contexts()],
        "endpoints": [each.destination_arn for each in model.endpoints()],
        "context": endpoint.context_arn,
        "name": predictor.endpoint_name,
        "n_edges": len(whole.edges),
        "produced": [
            each.association_type
            for each in Association.list(destination_arn=made.artifact_arn, sagemaker_session=session)
        ],
        "component": client.describe_trial_component(
            TrialComponentName=run._trial_component.trial_component_name
        )["Sources"],
        "in_trial": [
            each["TrialComponentName"]
            for each in client.list_trial_components(TrialName=run.run_group_name)["TrialComponentSummaries"]
        ],
        "job": job,
    } | accessors(data, made, endpoint, f"{job}-aws-training-job")
    predictor.delete_endpoint()
    return answer


def accessors(data, made, endpoint, component_name):
    """Return what the other readers of `sagemaker.lineage` answer, as names."""
    dataset = DatasetArtifact.load(data.artifact_arn, sagemaker_session=session)
    component = LineageTrialComponent.load(component_name, sagemaker_session=session)
    down, up = LineageQueryDirectionEnum.DESCENDANTS, LineageQueryDirectionEnum.ASCENDANTS
    (action,) = endpoint.actions(direction=up)
    table = LineageTableVisualizer(session)
    shown = table.show(endpoint_arn=endpoint.source.source_uri)
    trained = table.show(training_job_name=component_name.removesuffix("-aws-training-job"))
    return {
        "made": made.artifact_arn,
        "data_arn": data.artifact_arn,
        "model_uri": made.source.source_uri,
        "models": [each.destination_arn for each in endpoint.models()],
        "models_v2": [each.artifact_arn for each in endpoint.models_v2()],
        "endpoint_datasets": [each.source.source_uri for each in endpoint.dataset_artifacts()],
        "endpoint_jobs": endpoint.training_job_arns(),
        "endpoint_components": [each.trial_component_name for each in endpoint.trial_components()],
        "none": [endpoint.processing_jobs(), endpoint.transform_jobs(), endpoint.pipeline_execution_arn()],
        "action": action.action_type,
        "action_artifacts": [each.source.source_uri for each in action.artifacts(direction=up)],
        "trained_models": [each.destination_arn for each in dataset.trained_models()],
        "dataset_contexts": [each.context_name for each in dataset.endpoint_contexts()],
        "upstream": [each.artifact_arn for each in dataset.upstream_datasets()],
        "component_models": [each.source.source_uri for each in component.models()],
        "component_datasets": [each.source.source_uri for each in component.dataset_artifacts()],
        "to_endpoint": sorted(set(shown["Direction"] + " " + shown["Type"])),
        "of_job": sorted(set(trained["Direction"] + " " + trained["Type"])),
        "deployment_down": [
            vertex.arn
            for vertex in LineageQuery(session)
            .query(start_arns=[action.action_arn], direction=down, include_edges=False)
            .vertices
        ],
        "deployment": action.action_arn,
    }


def inside():
    """Log from within a job to the run that started it."""
    script = """
import sagemaker
from sagemaker.experiments import load_run
with load_run(sagemaker_session=sagemaker.Session()) as run:
    run.log_parameter("inside", 7)
    for step in range(3):
        run.log_metric("reached", step, step=step)
"""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").write_text(script)
        estimator = SKLearn(
            "train.py",
            source_dir=folder,
            framework_version="1.2-1",
            role=role,
            instance_type="ml.m5.large",
            sagemaker_session=session,
        )
        with Run(experiment_name="inside", run_name="outer", sagemaker_session=session) as run:
            run.log_parameter("outside", 1)
            estimator.fit(logs=False)
    shown = client.describe_trial_component(TrialComponentName="inside-outer")
    return json.loads(
        json.dumps({"parameters": shown["Parameters"], "metrics": shown["Metrics"]}, default=str)
    )
