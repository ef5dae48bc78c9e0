"""Trial components and lineage that jobs, models and endpoints leave by themselves, through boto3."""

import numpy as np
import pytest
from botocore.exceptions import ClientError

from clary.testing.jobs import training_request, upload_csv, wait_for_endpoint, wait_for_job
from clary.testing.processing import ProcessingScript
from clary.testing.transform import Transform, create_model

pytestmark = pytest.mark.documented


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture(scope="module")
def request_of(account):
    rows = np.random.default_rng(3).integers(0, 2, (60, 4))
    bucket = upload_csv(account, "train/data.csv", rows)

    def make(name, **members):
        hyperparameters = {"num_round": "5", "objective": "binary:logistic", "eval_metric": "auc"}
        request = training_request(account, bucket, hyperparameters=hyperparameters)
        return request | {"TrainingJobName": name} | members

    return make


@pytest.fixture(scope="module")
def trained(account, request_of):
    """A job that ended, in a trial."""
    sagemaker = account.client("sagemaker")
    sagemaker.create_experiment(ExperimentName="auto")
    sagemaker.create_trial(ExperimentName="auto", TrialName="auto-trial")
    config = {
        "ExperimentName": "auto",
        "TrialName": "auto-trial",
        "TrialComponentDisplayName": "Training",
    }
    sagemaker.create_training_job(**request_of("Auto-1", ExperimentConfig=config))
    begun = sagemaker.describe_trial_component(TrialComponentName="Auto-1-aws-training-job")
    assert begun["Status"]["PrimaryStatus"] in {"InProgress", "Completed"}
    job = wait_for_job(account, "Auto-1")
    assert job["TrainingJobStatus"] == "Completed"
    return job


def component_of(account, job):
    return account.client("sagemaker").describe_trial_component(TrialComponentName=f"{job}-aws-training-job")


def test_a_job_leaves_a_component_with_what_it_was_told_read_and_made(account, trained):
    shown = component_of(account, "Auto-1")
    assert shown["DisplayName"] == "Training"
    assert shown["Source"] == {"SourceArn": trained["TrainingJobArn"], "SourceType": "SageMakerTrainingJob"}
    assert shown["Status"] == {"PrimaryStatus": "Completed"}
    parameters = shown["Parameters"]
    assert parameters["num_round"] == {"NumberValue": 5.0}
    assert parameters["objective"] == {"StringValue": "binary:logistic"}
    assert parameters["SageMaker.InstanceType"] == {"StringValue": "ml.m5.large"}
    assert parameters["SageMaker.InstanceCount"] == {"NumberValue": 1.0}
    inputs = shown["InputArtifacts"]
    source = trained["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    assert inputs["train"] == {"MediaType": "text/csv", "Value": source}
    assert inputs["SageMaker.ImageUri"]["Value"] == trained["AlgorithmSpecification"]["TrainingImage"]
    assert shown["OutputArtifacts"] == {
        "SageMaker.ModelArtifact": {"Value": trained["ModelArtifacts"]["S3ModelArtifacts"]}
    }
    assert (shown["StartTime"], shown["EndTime"]) == (
        trained["TrainingStartTime"],
        trained["TrainingEndTime"],
    )
    (metric,) = shown["Metrics"]
    assert (metric["MetricName"], metric["Count"]) == ("train:auc", 5)
    assert metric["Min"] <= metric["Avg"] <= metric["Max"]
    assert metric["Last"] == pytest.approx(trained["FinalMetricDataList"][0]["Value"])


def test_the_component_is_in_the_trial_and_found_by_its_job(account, trained):
    sagemaker = account.client("sagemaker")
    of_trial = sagemaker.list_trial_components(TrialName="auto-trial")["TrialComponentSummaries"]
    assert [each["TrialComponentName"] for each in of_trial] == ["Auto-1-aws-training-job"]
    for arn in (trained["TrainingJobArn"], trained["TrainingJobArn"].lower()):
        of_job = sagemaker.list_trial_components(SourceArn=arn)["TrialComponentSummaries"]
        assert [each["TrialComponentName"] for each in of_job] == ["Auto-1-aws-training-job"]
    expression = {"Filters": [{"Name": "Parents.TrialName", "Value": "auto-trial"}]}
    (found,) = sagemaker.search(Resource="ExperimentTrialComponent", SearchExpression=expression)["Results"]
    detail = found["TrialComponent"]["SourceDetail"]
    assert detail["TrainingJob"]["TrainingJobName"] == "Auto-1"


def test_a_job_without_a_configuration_has_a_component_in_no_trial_and_failures_say_why(account, request_of):
    sagemaker = account.client("sagemaker")
    request = request_of("auto-failed")
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] += "/missing"
    sagemaker.create_training_job(**request)
    job = wait_for_job(account, "auto-failed")
    shown = component_of(account, "auto-failed")
    assert shown["Status"] == {"PrimaryStatus": "Failed", "Message": job["FailureReason"]}
    assert shown["OutputArtifacts"] == {}
    assert sagemaker.list_trials(TrialComponentName="auto-failed-aws-training-job")["TrialSummaries"] == []


def test_a_job_of_an_experiment_alone_gets_a_trial_of_its_own(account, trained, request_of):
    sagemaker = account.client("sagemaker")
    sagemaker.create_training_job(**request_of("auto-2", ExperimentConfig={"ExperimentName": "auto"}))
    found = sagemaker.list_trials(TrialComponentName="auto-2-aws-training-job")["TrialSummaries"]
    assert [each["TrialName"] for each in found] == ["auto-2-aws-trial"]
    wait_for_job(account, "auto-2")


def test_processing_and_transform_jobs_join_the_trial_that_they_name(account, trained):
    sagemaker = account.client("sagemaker")
    sagemaker.create_trial(ExperimentName="auto", TrialName="auto-others")
    config = {"ExperimentName": "auto", "TrialName": "auto-others"}
    source = trained["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    model = create_model(account, trained["ModelArtifacts"]["S3ModelArtifacts"])
    transform = Transform.create(
        account,
        model,
        source,
        DataProcessing={"InputFilter": "$[1:]"},
        ExperimentConfig={**config, "TrialComponentDisplayName": "Scoring"},
    )
    processing = ProcessingScript.create(
        account, "print(1)", ExperimentConfig={**config, "TrialComponentDisplayName": "Preparing"}
    )
    members = sagemaker.list_trial_components(TrialName="auto-others")["TrialComponentSummaries"]
    names = {each["DisplayName"]: each["TrialComponentName"] for each in members}
    assert names == {
        "Scoring": f"{transform.name}-aws-transform-job",
        "Preparing": f"{processing.name}-aws-processing-job",
    }
    described = [processing.wait(), transform.wait()]
    assert [each["ExperimentConfig"]["TrialName"] for each in described] == ["auto-others"] * 2
    for name in names.values():
        shown = sagemaker.describe_trial_component(TrialComponentName=name)
        assert shown["Status"] == {"PrimaryStatus": "Completed"}
    with pytest.raises(ClientError, match="'nowhere' does not exist"):
        ProcessingScript.create(account, "print(1)", ExperimentConfig={"TrialName": "nowhere"})


def test_an_experiment_that_does_not_exist_is_refused_at_create(account, request_of):
    sagemaker = account.client("sagemaker")
    with pytest.raises(ClientError, match="'nowhere' does not exist") as refused:
        sagemaker.create_training_job(**request_of("auto-3", ExperimentConfig={"TrialName": "nowhere"}))
    assert refused.value.response["Error"]["Code"] == "ResourceNotFound"


@pytest.fixture(scope="module")
def deployed(account, trained):
    """The model of the job, behind an endpoint."""
    sagemaker = account.client("sagemaker")
    image = trained["AlgorithmSpecification"]["TrainingImage"]
    model = {"Image": image, "ModelDataUrl": trained["ModelArtifacts"]["S3ModelArtifacts"]}
    sagemaker.create_model(ModelName="auto", ExecutionRoleArn=account.role_arn, PrimaryContainer=model)
    variant = {
        "VariantName": "a",
        "ModelName": "auto",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="auto", ProductionVariants=[variant])
    endpoint = sagemaker.create_endpoint(EndpointName="auto", EndpointConfigName="auto")["EndpointArn"]
    assert wait_for_endpoint(account, "auto")["EndpointStatus"] == "InService"
    yield endpoint
    sagemaker.delete_endpoint(EndpointName="auto")


def vertices(sagemaker, start, direction="Both", **more):
    answer = sagemaker.query_lineage(StartArns=[start], Direction=direction, **more)
    return {(each["LineageType"], each["Type"]) for each in answer["Vertices"]}


def test_lineage_leads_from_the_data_to_the_endpoint_and_back(account, trained, deployed):
    sagemaker = account.client("sagemaker")
    uri = trained["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    listed = sagemaker.list_artifacts(SourceUri=uri)["ArtifactSummaries"]
    read = [each["ArtifactArn"] for each in listed if each["ArtifactType"] == "DataSet"]
    found = [vertices(sagemaker, arn, "Descendants") for arn in read]  # a transform may have read it, too
    (down,) = [each for each in found if ("TrialComponent", "TrainingJob") in each]
    wanted = {
        ("TrialComponent", "TrainingJob"),
        ("Artifact", "Model"),
        ("Artifact", "SageMakerModel"),
        ("Action", "ModelDeployment"),
        ("Context", "Endpoint"),
    }
    assert down >= wanted
    endpoint = trained["TrainingJobArn"].replace("training-job/Auto-1", "context/auto")
    context = sagemaker.describe_context(ContextName="auto")
    assert context["ContextArn"] == endpoint
    assert context["Source"]["SourceUri"] == deployed
    up = vertices(sagemaker, endpoint, "Ascendants")
    assert up >= {*wanted, ("Artifact", "DataSet"), ("Artifact", "Image")}
    near = vertices(sagemaker, endpoint, "Ascendants", MaxDepth=1)
    assert near == {("Context", "Endpoint"), ("Action", "ModelDeployment")}


def test_a_walk_is_filtered_and_paged(account, trained, deployed):
    sagemaker = account.client("sagemaker")
    start = sagemaker.describe_context(ContextName="auto")["ContextArn"]
    only = vertices(sagemaker, start, Filters={"LineageTypes": ["Artifact"], "Types": ["DataSet"]})
    assert only == {("Artifact", "DataSet")}
    whole = sagemaker.query_lineage(StartArns=[start], IncludeEdges=True)
    arns: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = sagemaker.query_lineage(StartArns=[start], MaxResults=2, **token)
        arns += [each["Arn"] for each in page["Vertices"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert arns == [each["Arn"] for each in whole["Vertices"]]
    assert {each["AssociationType"] for each in whole["Edges"]} >= {
        "ContributedTo",
        "Produced",
        "AssociatedWith",
    }
