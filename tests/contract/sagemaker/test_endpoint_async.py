"""Asynchronous inference through boto3: questions and answers in S3."""

import base64
import json
import time

import pytest
from botocore.exceptions import ClientError

from clary.kernel import ids
from clary.testing.hosting import Hosting
from clary.testing.subscriber import subscriber

ECHO = """
import time

def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    text = data if isinstance(data, str) else data.decode()
    if text == "bad":
        raise RuntimeError("a bad question")
    return "answer to " + text, "text/plain"
"""


@pytest.fixture(scope="module")
def hosting(clary_server):
    made = Hosting.of(clary_server.account())
    yield made
    made.close()


@pytest.fixture(scope="module")
def model(hosting):
    return hosting.model(ECHO)


def asynchronous(hosting, **output):
    return {
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
        "OutputConfig": {
            "S3OutputPath": f"s3://{hosting.bucket}/answers",
            "S3FailurePath": f"s3://{hosting.bucket}/failures",
            **output,
        },
    }


@pytest.fixture(scope="module")
def endpoint(hosting, model):
    config = hosting.config(hosting.variant(model), AsyncInferenceConfig=asynchronous(hosting))
    return hosting.endpoint(config)


def ask(hosting, endpoint, text, **members):
    key = f"questions/{ids.short()}"
    hosting.account.client("s3").put_object(Bucket=hosting.bucket, Key=key, Body=text.encode())
    return hosting.runtime.invoke_endpoint_async(
        EndpointName=endpoint,
        InputLocation=f"s3://{hosting.bucket}/{key}",
        ContentType="text/plain",
        **members,
    )


def read(hosting, uri, limit_s=60.0):
    s3 = hosting.account.client("s3")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        except s3.exceptions.NoSuchKey:
            time.sleep(0.05)
    raise TimeoutError(f"{uri} is not there after {limit_s} s")


def test_answers_lie_where_the_client_was_told(hosting, endpoint):
    answers = [ask(hosting, endpoint, f"question {n}", InferenceId=f"mine-{n}") for n in range(10)]
    assert [each["InferenceId"] for each in answers] == [f"mine-{n}" for n in range(10)]
    assert answers[0]["ResponseMetadata"]["HTTPStatusCode"] == 202
    for n, each in enumerate(answers):
        assert each["OutputLocation"].startswith(f"s3://{hosting.bucket}/answers/")
        assert read(hosting, each["OutputLocation"]) == f"answer to question {n}"
    assert hosting.describe(endpoint)["AsyncInferenceConfig"]["ClientConfig"] == {
        "MaxConcurrentInvocationsPerInstance": 2
    }


def test_why_there_is_no_answer_lies_beside(hosting, endpoint):
    failed = ask(hosting, endpoint, "bad")
    assert "a bad question" in read(hosting, failed["FailureLocation"])
    missing = hosting.runtime.invoke_endpoint_async(
        EndpointName=endpoint, InputLocation=f"s3://{hosting.bucket}/nowhere", ContentType="text/plain"
    )
    assert "nowhere" in read(hosting, missing["FailureLocation"])
    foreign = hosting.runtime.invoke_endpoint_async(
        EndpointName=endpoint, InputLocation="s3://somebody-elses/key", ContentType="text/plain"
    )
    assert "no such bucket in account" in read(hosting, foreign["FailureLocation"])


def test_an_invocation_wakes_an_endpoint_without_instances(hosting, endpoint):
    hosting.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint,
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 0}],
    )
    assert hosting.settled(endpoint)["ProductionVariants"][0]["CurrentInstanceCount"] == 0
    assert read(hosting, ask(hosting, endpoint, "early")["OutputLocation"]) == "answer to early"


def test_each_kind_of_endpoint_is_asked_in_its_own_way(hosting, endpoint, model):
    with pytest.raises(ClientError, match="use InvokeEndpointAsync"):
        hosting.ask(endpoint)
    plain = hosting.endpoint(hosting.config(hosting.variant(model)))
    with pytest.raises(ClientError, match="no asynchronous one"):
        ask(hosting, plain, "x")


def test_answers_and_failures_are_told_to_topics(hosting, model):
    sns = hosting.account.client("sns")
    topics = {
        member: sns.create_topic(Name=f"{member}-{ids.short()}")["TopicArn"]
        for member in ("SuccessTopic", "ErrorTopic")
    }
    including = {"IncludeInferenceResponseIn": ["SUCCESS_NOTIFICATION_TOPIC"]}
    config = hosting.config(
        hosting.variant(model),
        AsyncInferenceConfig=asynchronous(hosting, NotificationConfig={**topics, **including}),
    )
    endpoint = hosting.endpoint(config)
    with subscriber() as web:
        for topic in topics.values():
            sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=web.url)
        deadline = time.monotonic() + 60
        while len(sns.list_subscriptions()["Subscriptions"]) < 2 or any(
            each["SubscriptionArn"] == "PendingConfirmation"
            for each in sns.list_subscriptions()["Subscriptions"]
        ):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        asked = ask(hosting, endpoint, "good", InferenceId="mine")
        told = told_by(web, "Completed")
        assert told["responseParameters"] == {
            "contentType": "text/plain",
            "outputLocation": asked["OutputLocation"],
        }
        assert told["requestParameters"]["endpointName"] == endpoint
        assert told["requestParameters"]["inputLocation"].startswith(f"s3://{hosting.bucket}/questions/")
        assert (told["inferenceId"], told["eventName"]) == ("mine", "InferenceResult")
        assert base64.b64decode(told["responseBody"]["content"]) == b"answer to good"
        ask(hosting, endpoint, "bad")
        told = told_by(web, "Failed")
        assert "a bad question" in told["failureReason"]
        assert told["eventSource"] == "aws:sagemaker"
        assert "responseBody" not in told


def told_by(web, status):
    """Return what a notification of that status says, once it is there."""
    _, body = web.await_one(lambda _, body: f'\\"invocationStatus\\": \\"{status}\\"' in body)
    return json.loads(json.loads(body)["Message"])


def test_what_cannot_be_kept_is_refused_by_name(hosting, endpoint, model):
    topic = {"SuccessTopic": "arn:aws:sns:us-east-1:123456789012:topic"}
    with pytest.raises(ClientError, match="there is no such topic"):
        hosting.config(
            hosting.variant(model),
            AsyncInferenceConfig=asynchronous(hosting, NotificationConfig=topic),
        )
    with pytest.raises(ClientError, match="InputLocation"):
        hosting.runtime.invoke_endpoint_async(EndpointName=endpoint, InputLocation="https://nowhere")
