"""Models of several containers: in a row, and each asked for itself, through boto3 against a live server."""

import io
import time

import numpy as np
import pytest
from botocore.exceptions import ClientError

from clary.kernel import ids
from clary.testing.hosting import Hammer, Hosting
from clary.testing.jobs import XGBOOST, training_request, upload_csv, wait_for_job
from clary.testing.transform import Transform

STEP = """
import os

def model_fn(folder):
    print("loaded as", os.environ["STEP"], flush=True)
    return os.environ["STEP"]

def transform_fn(model, data, content_type, accept, context):
    data = data.decode() if isinstance(data, bytes) else data
    if "refuse-" + model in data:
        error = ValueError("I will not"); error.status_code = 400; raise error
    if "end-" + model in data:
        os._exit(3)
    given = context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes") or ""
    if model == "2":
        context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", given + "/" + model)
    return f"{data}>{model}[{content_type} {accept}]", "text/plain"
"""
CENTRE = """
def model_fn(folder):
    return 10.0

def transform_fn(model, data, content_type, accept):
    rows = [[float(each) - model for each in line.split(",")] for line in data.split()]
    return "\\n".join(",".join(map(str, row)) for row in rows) + "\\n", "text/csv"
"""
LABEL = """
def model_fn(folder):
    return 0.5

def transform_fn(model, data, content_type, accept):
    found = ["yes" if float(each) > model else "no" for each in data.replace(",", " ").split()]
    return "\\n".join(found) + "\\n", "text/csv"
"""


@pytest.fixture(scope="module")
def hosting(clary_server):
    made = Hosting.of(clary_server.account())
    yield made
    made.close()


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(5).normal(size=(40, 4)).round(3)


@pytest.fixture(scope="module")
def trained(hosting, rows):
    """Return the artefact of a built-in model of the rows."""
    account = hosting.account
    bucket = upload_csv(account, "train/data.csv", np.column_stack([rows[:, 0] > 0, rows]))
    request = training_request(account, bucket)
    account.client("sagemaker").create_training_job(**request)
    described = wait_for_job(account, request["TrainingJobName"])
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    return described["ModelArtifacts"]["S3ModelArtifacts"]


@pytest.fixture(scope="module")
def step(hosting):
    """Return what makes the container of one step; all have the same script."""
    artefact = hosting.container(STEP)

    def make(number, **members):
        return {**artefact, "Environment": {**artefact["Environment"], "STEP": str(number)}, **members}

    return make


def several(hosting, containers, **members):
    name = f"model-{ids.short()}"
    hosting.sagemaker.create_model(
        ModelName=name, Containers=containers, ExecutionRoleArn=hosting.account.role_arn, **members
    )
    return name


def csv(rows):
    text = io.StringIO()
    np.savetxt(text, rows, delimiter=",", fmt="%.6g")
    return text.getvalue().encode()


def refused(call, **members):
    with pytest.raises(ClientError) as caught:
        call(**members)
    return caught.value.response


@pytest.fixture(scope="module")
def scored(hosting, trained):
    """Return a pipeline of script, built-in model and script, and the endpoints of each alone."""
    containers = [
        hosting.container(CENTRE),
        {"Image": XGBOOST, "ModelDataUrl": trained},
        hosting.container(LABEL),
    ]
    model = several(hosting, containers)
    alone = []
    for each in containers:
        name = f"model-{ids.short()}"
        role = hosting.account.role_arn
        hosting.sagemaker.create_model(ModelName=name, PrimaryContainer=each, ExecutionRoleArn=role)
        alone.append(hosting.endpoint(hosting.config(hosting.variant(name))))
    return model, hosting.endpoint(hosting.config(hosting.variant(model))), alone


def one_by_one(hosting, alone, body):
    for endpoint in alone:
        answer = hosting.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType="text/csv")
        body = answer["Body"].read()
    return body.decode()


def test_a_pipeline_answers_as_its_containers_do_one_by_one(hosting, scored, rows):
    _model, endpoint, alone = scored
    body = csv(rows + 10)
    answer = hosting.ask(endpoint, body, ContentType="text/csv")
    assert answer == one_by_one(hosting, alone, body)
    assert set(answer.split()) == {"yes", "no"}
    images = hosting.describe(endpoint)["ProductionVariants"][0]["DeployedImages"]
    assert len(images) == 3


def test_a_transform_job_writes_what_a_pipeline_answers(hosting, scored, rows):
    model, _endpoint, alone = scored
    body = csv(rows + 10)
    hosting.account.client("s3").put_object(Bucket=hosting.bucket, Key="in/a.csv", Body=body)
    job = Transform.create(
        hosting.account, model, f"s3://{hosting.bucket}/in/", TransformOutput={"Accept": "text/csv"}
    )
    (written,) = job.outputs().values()
    assert written.decode().split() == one_by_one(hosting, alone, body).split()


def test_fifteen_containers_stand_in_a_row(hosting, step):
    endpoint = hosting.endpoint(
        hosting.config(hosting.variant(several(hosting, [step(n) for n in range(1, 16)])))
    )
    answer = hosting.runtime.invoke_endpoint(
        EndpointName=endpoint, Body=b"x", ContentType="text/x", Accept="text/y", CustomAttributes="mine"
    )
    found = answer["Body"].read().decode()
    middle = "".join(f">{n}[text/plain application/json]" for n in range(2, 15))
    assert found == f"x>1[text/x application/json]{middle}>15[text/plain text/y]"
    assert answer["CustomAttributes"] == "mine/2"
    too_many = refused(
        hosting.sagemaker.create_model,
        ModelName="m",
        Containers=[step(n) for n in range(16)],
        ExecutionRoleArn=hosting.account.role_arn,
    )
    assert "15" in too_many["Error"]["Message"]


@pytest.fixture(scope="module")
def triple(hosting, step):
    model = several(hosting, [step(n) for n in (1, 2, 3)])
    return model, hosting.endpoint(hosting.config(hosting.variant(model)))


def invoke_refused(hosting, endpoint, body, **members):
    asked = {"EndpointName": endpoint, "Body": body, "ContentType": "text/plain", **members}
    return refused(hosting.runtime.invoke_endpoint, **asked)


def await_lines(hosting, endpoint, name, text):
    """Wait until a container's own log stream has a line."""
    logs = hosting.account.client("logs")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{endpoint}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            found = []
        lines = [each["message"] for each in found if each["logStreamName"].endswith(f"/{name}")]
        if any(text in line for line in lines):
            return lines
        time.sleep(0.05)
    raise TimeoutError(f"{name} printed no {text!r}: {found}")


def test_an_error_in_the_second_of_three_names_the_container(hosting, triple):
    _model, endpoint = triple
    wrong = invoke_refused(hosting, endpoint, b"refuse-2")
    assert wrong["Error"]["Code"] == "ModelError"
    assert wrong["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert wrong["OriginalStatusCode"] == 400
    assert 'from container-2 with message "ValueError: I will not"' in wrong["Error"]["Message"]
    lines = await_lines(hosting, endpoint, "container-2", "ValueError: I will not")
    assert lines[0] == "loaded as 2"
    assert not any("loaded as 1" in line for line in lines)
    asked = invoke_refused(hosting, endpoint, b"x", TargetContainerHostname="container-2")
    assert "is not configured for direct invocation" in asked["Error"]["Message"]


def test_a_pipeline_comes_back_when_a_process_in_its_middle_ends(hosting, triple):
    _model, endpoint = triple
    with pytest.raises(ClientError):
        hosting.ask(endpoint, b"end-2")
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = hosting.ask(endpoint, b"x")
            break
        except ClientError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert answer.startswith("x>1[")
    assert ">3[" in answer


def test_an_endpoint_goes_from_one_container_to_a_pipeline_without_a_dropped_request(hosting, triple):
    single = hosting.model("""
def transform_fn(model, data, content_type, accept):
    return data + b">single", "text/plain"

def model_fn(folder):
    return None
""")
    endpoint = hosting.endpoint(hosting.config(hosting.variant(single)))
    target = hosting.config(hosting.variant(triple[0]))
    with Hammer(lambda: hosting.ask(endpoint, b"x")[:9]) as hammer:
        hosting.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=target)
        assert hosting.settled(endpoint)["EndpointStatus"] == "InService"
        deadline = time.monotonic() + 60
        while not any(each.startswith("x>1") for each in list(hammer.answers)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert hammer.errors == []
    assert set(hammer.answers) == {"x>single", "x>1[text/"}


def test_direct_mode_asks_the_container_that_is_named(hosting, step):
    containers = [step("a", ContainerHostname="first"), step("b", ContainerHostname="second")]
    direct = {"InferenceExecutionConfig": {"Mode": "Direct"}}
    model = several(hosting, containers, **direct)
    described = hosting.sagemaker.describe_model(ModelName=model)
    assert described["InferenceExecutionConfig"] == {"Mode": "Direct"}
    assert [each["ContainerHostname"] for each in described["Containers"]] == ["first", "second"]
    endpoint = hosting.endpoint(hosting.config(hosting.variant(model)))
    for name, word in (("first", "a"), ("second", "b")):
        assert hosting.ask(endpoint, b"x", TargetContainerHostname=name).startswith(f"x>{word}[")
    unknown = invoke_refused(hosting, endpoint, b"x", TargetContainerHostname="third")
    assert unknown["Error"]["Code"] == "ValidationError"
    assert "it has: first, second" in unknown["Error"]["Message"]
    missing = invoke_refused(hosting, endpoint, b"x")
    assert "TargetContainerHostname is required" in missing["Error"]["Message"]
    wrong = invoke_refused(hosting, endpoint, b"refuse-b", TargetContainerHostname="second")
    assert wrong["OriginalStatusCode"] == 400
    await_lines(hosting, endpoint, "second", "ValueError")
    await_metric(hosting, endpoint, "second", "ContainerLatency", 2)
    await_metric(hosting, endpoint, "second", "Invocation4XXErrors", 1, "Sum")
    config = hosting.config(
        hosting.variant(model),
        AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": f"s3://{hosting.bucket}/o"}},
    )
    nobody = refused(hosting.sagemaker.create_endpoint, EndpointName="never", EndpointConfigName=config)
    assert "it must be Serial" in nobody["Error"]["Message"]
    job = refused(
        hosting.sagemaker.create_transform_job,
        TransformJobName=f"t-{ids.short()}",
        ModelName=model,
        TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/i"}}},
        TransformOutput={"S3OutputPath": "s3://b/o"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    assert "Mode must be Serial" in job["Error"]["Message"]


def test_each_container_of_a_pipeline_has_its_latency(hosting, triple):
    _model, endpoint = triple
    hosting.ask(endpoint, b"x")
    for n in (1, 2, 3):
        await_metric(hosting, endpoint, f"container-{n}", "ContainerLatency", 1)


def await_metric(hosting, endpoint, container, name, at_least, statistic="SampleCount"):
    dimensions = {"EndpointName": endpoint, "VariantName": "AllTraffic", "ContainerName": container}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = hosting.account.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=time.time() - 3600,
            EndTime=time.time() + 3600,
            Period=86_400,
            Statistics=[statistic],
        )["Datapoints"]
        if sum(each[statistic] for each in found) >= at_least:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{name} of {container}: {found}")


@pytest.mark.parametrize(
    ("hostnames", "mode", "says"),
    [
        (("a", "a"), None, "ContainerHostname 'a' is given twice"),
        (("a", None), None, "Containers.2.ContainerHostname must be given: another has one"),
        ((None, None), "Direct", "Containers.1.ContainerHostname must be given: InferenceExecutionConfig"),
    ],
    ids=["twice", "one of two", "direct"],
)
def test_names_of_containers_are_checked(hosting, step, hostnames, mode, says):
    containers = [
        step(n, **({"ContainerHostname": name} if name else {})) for n, name in enumerate(hostnames)
    ]
    members = {"InferenceExecutionConfig": {"Mode": mode}} if mode else {}
    error = refused(
        hosting.sagemaker.create_model,
        ModelName=f"m-{ids.short()}",
        Containers=containers,
        ExecutionRoleArn=hosting.account.role_arn,
        **members,
    )["Error"]
    assert error["Code"] == "ValidationException"
    assert says in error["Message"]


def test_a_pipeline_whose_second_container_cannot_load_says_so(hosting, step):
    broken = step(2, Environment={"SAGEMAKER_PROGRAM": "missing.py"})
    model = several(hosting, [step(1), broken])
    name = f"ep-{ids.short()}"
    config = hosting.config(hosting.variant(model))
    hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    described = hosting.settled(name)
    assert described["EndpointStatus"] == "Failed"
    assert "The container container-2 did not pass the ping health check" in described["FailureReason"]
    assert "missing.py" in described["FailureReason"]
    hosting.sagemaker.delete_endpoint(EndpointName=name)
