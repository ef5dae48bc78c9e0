"""Stateful sessions through boto3: opened, gone on with, closed, expired, lost."""

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.testing.hosting import Hosting, saying

COUNTING = """
import uuid

sessions = {}

def model_fn(model_dir):
    return uuid.uuid4()

def transform_fn(model, data, content_type, accept, context):
    name = context.get_request_header(0, "X-Amzn-SageMaker-Session-Id")
    asked = data if isinstance(data, str) else data.decode()
    if name == "NEW_SESSION":
        name = str(uuid.uuid4())
        sessions[name] = 0
        end = "2000-01-01T00:00:00Z" if asked == "over" else "2100-01-01T00:00:00Z"
        context.set_response_header(0, "X-Amzn-SageMaker-New-Session-Id", f"{name}; Expires={end}")
    if name is None:
        return "no session", "text/plain"
    sessions[name] += 1
    n = sessions[name]
    if asked == "close":
        del sessions[name]
        context.set_response_header(0, "X-Amzn-SageMaker-Closed-Session-Id", name)
    return f"{model} {n}", "text/plain"
"""
"""A model that counts the questions of each session, in the memory of its process."""


@pytest.fixture(scope="module")
def hosting(clary_server):
    made = Hosting.of(clary_server.account())
    yield made
    made.close()


@pytest.fixture(scope="module")
def endpoint(hosting):
    return hosting.endpoint(hosting.config(hosting.variant(hosting.model(COUNTING), InitialInstanceCount=3)))


def ask(hosting, name, session, body=b"go on"):
    runtime = hosting.account.client(
        "sagemaker-runtime", config=Config(retries={"total_max_attempts": 1}, proxies={})
    )
    answer = runtime.invoke_endpoint(
        EndpointName=name, Body=body, ContentType="text/plain", **({"SessionId": session} if session else {})
    )
    process, n = answer["Body"].read().decode().split()
    return answer, process, n


@pytest.mark.documented
def test_a_session_stays_with_its_replica_until_it_is_closed(hosting, endpoint):
    opened = {}
    for _ in range(6):
        answer, process, n = ask(hosting, endpoint, "NEW_SESSION")
        name, _, rest = answer["NewSessionId"].partition(";")
        assert rest.strip() == "Expires=2100-01-01T00:00:00Z"
        assert n == "1"
        opened[name] = process
    assert len(set(opened.values())) > 1
    for n in range(2, 5):
        for name, process in opened.items():
            answer, where, counted = ask(hosting, endpoint, name)
            assert (where, counted) == (process, str(n))
            assert "NewSessionId" not in answer
    for name, process in opened.items():
        answer, where, _ = ask(hosting, endpoint, name, b"close")
        assert answer["ClosedSessionId"] == name
        assert where == process
    assert hosting.ask(endpoint) == "no session"


def test_a_session_that_is_unknown_or_over_is_refused(hosting, endpoint):
    with pytest.raises(ClientError, match="Session never-heard-of not found") as unknown:
        ask(hosting, endpoint, "never-heard-of")
    assert unknown.value.response["Error"]["Code"] == "ValidationError"
    answer, _, _ = ask(hosting, endpoint, "NEW_SESSION", b"over")
    with pytest.raises(ClientError, match="has expired"):
        ask(hosting, endpoint, answer["NewSessionId"].partition(";")[0])


def test_a_session_whose_instance_is_gone_is_refused_clearly(hosting):
    config = hosting.config(hosting.variant(hosting.model(COUNTING)))
    name = hosting.endpoint(config)
    answer, _, _ = ask(hosting, name, "NEW_SESSION")
    session = answer["NewSessionId"].partition(";")[0]
    assert ask(hosting, name, session)[2] == "2"
    other = hosting.config(hosting.variant(hosting.model(saying("other"))))
    hosting.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=other)
    hosting.settled(name)
    with pytest.raises(ClientError, match="the instance that had it is gone") as lost:
        ask(hosting, name, session)
    assert lost.value.response["Error"]["Code"] == "ValidationError"
