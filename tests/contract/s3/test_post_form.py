"""Uploads by POST form, as browsers send what `generate_presigned_post` returns."""

import re
import urllib.error
import urllib.request

import pytest
from botocore.config import Config

from clary.kernel import ids

NOBODY = "AKIANOBODY/20260101/us-east-1/s3/aws4_request"


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture(scope="module")
def bucket(account):
    name = f"forms-{ids.short()}"
    account.client("s3").create_bucket(Bucket=name)
    return name


class Unredirected(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args):
        return None


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), Unredirected)


def post(form, body=b"hello", *, filename="a file.txt", without=(), **changes):
    """Send a form as a browser does; return status, headers, text."""
    fields = {name: value for name, value in {**form["fields"], **changes}.items() if name not in without}
    lines = [
        f'--b0\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = f'--b0\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    data = "".join(lines).encode() + head.encode() + body + b"\r\n--b0--\r\n"
    request = urllib.request.Request(
        form["url"], data, {"Content-Type": "multipart/form-data; boundary=b0"}, method="POST"
    )
    try:
        with OPENER.open(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def code_of(text):
    return re.findall("<Code>(.*?)</Code>", text)[0]


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_presigned_form_uploads_its_file(account, bucket, version):
    s3 = account.client("s3", config=Config(signature_version=version))
    fields = {"Content-Type": "text/x", "x-amz-meta-who": "me"}
    form = s3.generate_presigned_post(
        bucket,
        "up/${filename}",
        Fields=fields,
        Conditions=[*({name: value} for name, value in fields.items()), ["content-length-range", 1, 1 << 22]],
    )
    status, headers, text = post(form)
    assert (status, text) == (204, "")
    answer = s3.get_object(Bucket=bucket, Key="up/a file.txt")
    assert answer["Body"].read() == b"hello"
    assert (answer["ContentType"], answer["Metadata"]) == ("text/x", {"who": "me"})
    assert headers["ETag"] == answer["ETag"]
    large = bytes(range(256)) * (1 << 13) + b"\r\n--b\r\n--b"
    assert post(form, large, filename="large")[0] == 204
    assert s3.get_object(Bucket=bucket, Key="up/large")["Body"].read() == large


def test_a_form_says_how_it_wants_to_be_answered(account, bucket):
    s3 = account.client("s3")
    wants = {"success_action_status": "201"}
    form = s3.generate_presigned_post(bucket, "k 1", Fields=wants, Conditions=[wants])
    status, _headers, text = post(form)
    assert status == 201
    assert f"<Bucket>{bucket}</Bucket><Key>k 1</Key><ETag>" in text
    wants = {"success_action_redirect": "https://example.com/done?a=1"}
    form = s3.generate_presigned_post(bucket, "k 1", Fields=wants, Conditions=[wants])
    status, headers, _text = post(form)
    assert status == 303
    assert headers["Location"].startswith(f"https://example.com/done?a=1&bucket={bucket}&key=k%201&etag=%22")


def test_a_temporary_key_signs_forms_too(account, bucket):
    keys = account.client("sts").get_session_token()["Credentials"]
    s3 = account.client(
        "s3",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    form = s3.generate_presigned_post(bucket, "by-role")
    assert post(form)[0] == 204
    status, _headers, text = post(form, **{"x-amz-security-token": "another"})
    assert (status, code_of(text)) == (400, "InvalidToken")


@pytest.mark.parametrize(
    ("given", "body", "without", "changes", "wanted"),
    [
        ({}, b"x", (), {"key": "other"}, (403, "AccessDenied")),
        ({}, b"x", (), {"acl": "public-read"}, (403, "AccessDenied")),
        ({}, b"x", (), {"policy": "e30="}, (403, "SignatureDoesNotMatch")),
        ({}, b"x", (), {"x-amz-signature": "0" * 64}, (403, "SignatureDoesNotMatch")),
        ({}, b"x", (), {"x-amz-credential": NOBODY}, (403, "InvalidAccessKeyId")),
        ({}, b"x", ("policy",), {}, (403, "AccessDenied")),
        ({}, b"x", ("key",), {}, (400, "InvalidArgument")),
        ({"ExpiresIn": -10}, b"x", (), {}, (403, "AccessDenied")),
        ({"Conditions": [["content-length-range", 2, 5]]}, b"x", (), {}, (400, "EntityTooSmall")),
        ({"Conditions": [["content-length-range", 2, 5]]}, b"x" * 6, (), {}, (400, "EntityTooLarge")),
        ({"Conditions": [["starts-with", "$acl", "b"]]}, b"x", (), {"acl": "c"}, (403, "AccessDenied")),
        ({"Conditions": [["eq", "$nonsense"]]}, b"x", (), {}, (400, "MalformedPOSTRequest")),
    ],
    ids=[
        "another key", "a field too many", "another policy", "another signature", "nobody", "no policy",
        "no key", "expired", "too small", "too large", "a condition", "no condition",
    ],
)  # fmt: skip
def test_what_the_policy_does_not_allow_is_refused(account, bucket, given, body, without, changes, wanted):
    s3 = account.client("s3", config=Config(signature_version="s3v4"))
    form = s3.generate_presigned_post(bucket, "only-this", **given)
    status, _headers, text = post(form, body, without=without, **changes)
    assert (status, code_of(text)) == wanted, text
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="only-this")


def test_a_form_for_another_accounts_bucket_or_out_of_the_bucket_is_refused(clary_server, account, bucket):
    theirs = clary_server.account().client("s3")
    status, _headers, text = post(theirs.generate_presigned_post(bucket, "k"))
    assert (status, code_of(text)) == (403, "AccessDenied")
    status, _headers, text = post(account.client("s3").generate_presigned_post(bucket, "../k"))
    assert (status, code_of(text)) == (400, "InvalidArgument")
    form = account.client("s3").generate_presigned_post(bucket, "k")
    status, _headers, text = post({**form, "url": form["url"].replace(bucket, f"{bucket}-2")})
    assert status in {403, 404}


def test_a_form_that_breaks_off_stores_nothing(account, bucket):
    form = account.client("s3").generate_presigned_post(bucket, "broken")
    lines = [
        f'--b0\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form["fields"].items()
    ]
    data = "".join(lines) + '--b0\r\nContent-Disposition: form-data; name="file"\r\n\r\nhalf'
    kind = {"Content-Type": "multipart/form-data; boundary=b0"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        OPENER.open(urllib.request.Request(form["url"], data.encode(), kind, method="POST"), timeout=60)
    assert refused.value.code == 400
    assert code_of(refused.value.read().decode()) == "MalformedPOSTRequest"
    assert "Contents" not in account.client("s3").list_objects_v2(Bucket=bucket, Prefix="broken")
