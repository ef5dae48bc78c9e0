"""Who may call: signatures, keys, sessions and presigned URLs, through boto3."""

import datetime
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from clary.kernel import ids
from clary.kernel.clock import now
from clary.store import identities
from clary.store.database import Store
from clary.testing.jobs import new_bucket

CALLS = {
    "sagemaker": lambda client: client.list_training_jobs(),
    "logs": lambda client: client.describe_log_groups(),
    "cloudwatch": lambda client: client.list_metrics(),
    "sts": lambda client: client.get_caller_identity(),
    "s3": lambda client: client.list_buckets(),
    "s3-object": lambda client: client.get_object(Bucket="any-bucket-at-all", Key="k"),
    "sagemaker-runtime": lambda client: client.invoke_endpoint(EndpointName="none", Body=b""),
}
"""Codes differ by protocol. Source: Common Errors of each service's API reference."""
WRONG = {
    "sagemaker": "InvalidSignatureException",
    "logs": "InvalidSignatureException",
    "cloudwatch": ("SignatureDoesNotMatch", "InvalidSignatureException"),
    "sts": "SignatureDoesNotMatch",
    "s3": "SignatureDoesNotMatch",
    "s3-object": "SignatureDoesNotMatch",
    "sagemaker-runtime": "InvalidSignatureException",
}
UNKNOWN = {
    "sagemaker": "UnrecognizedClientException",
    "logs": "UnrecognizedClientException",
    "cloudwatch": ("InvalidClientTokenId", "UnrecognizedClientException"),
    "sts": "InvalidClientTokenId",
    "s3": "InvalidAccessKeyId",
    "s3-object": "InvalidAccessKeyId",
    "sagemaker-runtime": "UnrecognizedClientException",
}
EXPIRED = {
    "sagemaker": "ExpiredTokenException",
    "logs": "ExpiredTokenException",
    "cloudwatch": ("ExpiredToken", "ExpiredTokenException"),
    "sts": "ExpiredToken",
    "s3": "ExpiredToken",
    "s3-object": "ExpiredToken",
    "sagemaker-runtime": "ExpiredTokenException",
}


def refused(account: Any, name: Any, **keys: Any) -> Any:
    """Return code and status of a call that must be refused."""
    client = account.client(name.partition("-object")[0], **keys)
    with pytest.raises(ClientError) as error:
        CALLS[name](client)
    answer = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def expect(found: Any, wanted: Any) -> Any:
    code, status = found
    assert code in ((wanted,) if isinstance(wanted, str) else wanted)
    assert 400 <= status < 404


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_secret_is_refused(clary_server, name):
    account = clary_server.account()
    expect(refused(account, name, aws_secret_access_key="wrong" * 8), WRONG[name])


@pytest.mark.parametrize("name", CALLS)
def test_an_unknown_key_is_refused(clary_server, name):
    account = clary_server.account()
    expect(refused(account, name, aws_access_key_id="AKIANOBODYATALL00000"), UNKNOWN[name])


@pytest.fixture(scope="module")
def expired(clary_server):
    """Return an account and a session of it that has ended, stored as AssumeRole stores one."""
    account = clary_server.account()
    keys = session_of(account)
    store = Store.open(clary_server.settings.store_dsn, clary_server.data_dir / "secret.key")
    try:
        live = store.read(identities.find, keys["aws_access_key_id"])
        assert live is not None
        old = identities.Credential(
            access_key_id=ids.access_key_id(temporary=True),
            secret=live.secret,
            account=live.account,
            principal=live.principal,
            session_token=live.session_token,
            expires=now() - datetime.timedelta(seconds=1),
        )
        store.write(identities.insert, old)
    finally:
        store.close()
    return account, keys | {"aws_access_key_id": old.access_key_id}


def session_of(account: Any) -> Any:
    """Return a session of the account's own role, as boto3's arguments."""
    answer = account.client("sts").assume_role(RoleArn=account.role_arn, RoleSessionName="test")
    given = answer["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


@pytest.mark.parametrize("name", CALLS)
def test_an_expired_session_is_refused(expired, name):
    account, keys = expired
    expect(refused(account, name, **keys), EXPIRED[name])


def test_a_session_works_and_not_without_its_token_nor_with_anothers(clary_server):
    account = clary_server.account()
    keys = session_of(account)
    assert account.client("sagemaker", **keys).list_training_jobs()["TrainingJobSummaries"] == []
    other = session_of(account)["aws_session_token"]
    for token in (None, other):
        for name in ("sagemaker", "s3", "s3-object"):
            _code, status = refused(account, name, **(keys | {"aws_session_token": token}))
            assert 400 <= status < 404


def test_a_role_of_another_account_is_not_assumed(clary_server):
    account, other = clary_server.account(), clary_server.account()
    with pytest.raises(ClientError, match="AssumeRole") as error:
        account.client("sts").assume_role(RoleArn=other.role_arn, RoleSessionName="test")
    assert error.value.response["Error"]["Code"] == "AccessDenied"


def send(
    account: Any,
    method: Any,
    path: Any,
    *,
    service: Any,
    body: Any = b"",
    headers: Any = None,
    tamper: Any = None,
) -> Any:
    """Send a request signed by botocore for `service`; return status and body."""
    request = AWSRequest(method, account.url + path, headers=headers or {}, data=body)
    credentials = Credentials(account.access_key_id, account.secret_access_key)
    SigV4Auth(credentials, service, account.region).add_auth(request)
    sent = dict(request.headers)
    if tamper:
        method, path, body = tamper(method, path, body)
    plain = urllib.request.Request(account.url + path, data=body or None, method=method, headers=sent)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(plain, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


JSON = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "SageMaker.ListTrainingJobs"}


def test_a_signature_for_another_service_is_refused(clary_server):
    account = clary_server.account()
    assert send(account, "POST", "/", service="sagemaker", body=b"{}", headers=JSON)[0] == 200
    for service in ("logs", "sts", "iam"):
        status, text = send(account, "POST", "/", service=service, body=b"{}", headers=JSON)
        assert status == 403
        assert b"scoped to correct service" in text


def test_a_body_other_than_the_signed_one_is_refused(clary_server):
    account = clary_server.account()
    status, text = send(
        account,
        "POST",
        "/",
        service="sagemaker",
        body=b'{"MaxResults":1}',
        headers=JSON,
        tamper=lambda method, path, _body: (method, path, b'{"MaxResults":2}'),
    )
    assert status == 403
    assert b"InvalidSignature" in text


def test_an_old_signature_is_refused(clary_server):
    account = clary_server.account()
    client = account.client("sagemaker", verify=False)

    def age(request: Any, **_: Any) -> Any:
        request.headers["X-Amz-Date"] = "20200101T000000Z"

    client.meta.events.register("before-send", lambda request, **_: age(request))
    with pytest.raises(ClientError) as error:
        client.list_training_jobs()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def fetch(url: Any) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_presigned_url_works_ends_and_opens_nothing_else(clary_server):
    account = clary_server.account()
    bucket = new_bucket(account)
    s3 = account.client("s3")
    for key in ("mine", "other"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    made = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "mine"}, ExpiresIn=60)
    assert fetch(made) == (200, b"mine")
    assert fetch(made.replace("mine", "other"))[0] == 403
    assert fetch(made.replace("Expires=", "Expires=9"))[0] == 403
    ended = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "mine"}, ExpiresIn=0)
    status = 200
    for _ in range(40):
        status, text = fetch(ended)
        if status != 200:
            break
    assert status == 403
    assert b"expired" in text.lower()


def test_nothing_is_served_without_a_signature(clary_server):
    account = clary_server.account()
    bucket = new_bucket(account)
    account.client("s3").put_object(Bucket=bucket, Key="k", Body=b"v")
    assert fetch(f"{account.url}/{bucket}/k")[0] == 403
    assert fetch(f"{account.url}/")[0] == 403
    request = urllib.request.Request(account.url + "/", data=b"{}", headers=JSON, method="POST")
    status, text = fetch(request)
    assert status == 403
    assert b"MissingAuthenticationToken" in text


def test_operations_that_need_no_signature_are_refused_while_they_are_not_served(clary_server):
    account = clary_server.account()
    client = account.client("sts")
    with pytest.raises(ClientError) as error:
        client.assume_role_with_web_identity(
            RoleArn=account.role_arn, RoleSessionName="someone", WebIdentityToken="token"
        )
    assert 400 <= error.value.response["ResponseMetadata"]["HTTPStatusCode"] < 500
