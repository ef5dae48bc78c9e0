"""The distribution protocol: blobs. Cases of OCI's conformance suite 1.1, push and pull, each by its name."""

import os

import pytest

from clary.testing.registry import RegistryClient, digest_of, token_of

pytestmark = pytest.mark.documented
ABSENT = digest_of(b"nobody has this")


@pytest.fixture(scope="module")
def account(clary_server):
    owner = clary_server.account()
    for name in ("blobs", "other"):
        owner.client("ecr").create_repository(repositoryName=name)
    return owner


@pytest.fixture
def registry(account):
    return RegistryClient.of(account, "blobs")


def test_the_base_path_answers_200_to_who_is_logged_in(registry):
    assert registry.ask("GET", "/v2/").status == 200


def test_anonymous_callers_are_told_how_to_log_in(account):
    for authorization in (
        "",
        "Basic QVdTOndyb25n",
        "Basic ???",
        "Bearer x",
        f"Basic {token_of(account)[:-8]}",
    ):
        reply = RegistryClient(account.url, "blobs", authorization).ask("GET", "/v2/")
        assert (reply.status, reply.code) == (401, "UNAUTHORIZED")
        assert reply.headers["www-authenticate"].startswith("Basic realm=")


def test_head_and_get_of_a_nonexistent_blob_are_404(registry):
    assert registry.ask("HEAD", f"blobs/{ABSENT}").status == 404
    reply = registry.ask("GET", f"blobs/{ABSENT}")
    assert (reply.status, reply.code) == (404, "BLOB_UNKNOWN")


def test_head_and_get_of_an_existing_blob_are_200(registry):
    data = os.urandom(5000)
    digest = registry.push_blob(data)
    head, reply = registry.ask("HEAD", f"blobs/{digest}"), registry.ask("GET", f"blobs/{digest}")
    assert (head.status, head.headers["content-length"], head.body) == (200, "5000", b"")
    assert (reply.status, reply.body, reply.headers["docker-content-digest"]) == (200, data, digest)


def test_post_with_digest_yields_201_or_202_and_a_location(registry):
    data = os.urandom(100)
    reply = registry.ask("POST", "blobs/uploads/", data, digest=digest_of(data))
    assert reply.status == 201
    assert registry.ask("GET", reply.headers["location"]).body == data


def test_a_monolithic_put_yields_201(registry):
    assert registry.ask("GET", f"blobs/{registry.push_blob(b'put')}").body == b"put"


def test_a_stream_of_unknown_length_is_taken(registry):
    path, pieces = registry.begin(), [os.urandom(70_000) for _ in range(5)]
    assert registry.ask("PATCH", path, iter(pieces)).headers["range"] == "0-349999"
    data = b"".join(pieces)
    assert registry.ask("PUT", path, digest=digest_of(data)).status == 201
    assert registry.ask("GET", f"blobs/{digest_of(data)}").body == data


def test_chunks_continue_where_the_last_ended_and_out_of_order_ones_are_416(registry):
    path, first, second = registry.begin(), os.urandom(1000), os.urandom(500)
    out_of_order = registry.ask("PATCH", path, second, {"content-range": "1000-1499"})
    assert (out_of_order.status, out_of_order.headers["location"]) == (416, path)
    assert registry.ask("PATCH", path, first, {"content-range": "0-999"}).status == 202
    assert registry.ask("PATCH", path, first, {"content-range": "0-999"}).status == 416
    state = registry.ask("GET", path)
    assert (state.status, state.headers["range"]) == (204, "0-999")
    last = registry.ask("PUT", path, second, {"content-range": "1000-1499"}, digest=digest_of(first + second))
    assert last.status == 201
    assert registry.ask("GET", last.headers["location"]).body == first + second


def test_an_upload_of_several_segments_is_read_by_any_range(registry):
    data = os.urandom(20_000_003)
    digest = registry.push_blob(data)
    assert registry.ask("GET", f"blobs/{digest}").body == data
    for asked, first, last in (
        ("bytes=8388000-8389000", 8388000, 8389000),
        ("bytes=19999990-", 19999990, 20000002),
        ("bytes=-5", 19999998, 20000002),
        ("bytes=5-99999999", 5, 20000002),
    ):
        reply = registry.ask("GET", f"blobs/{digest}", headers={"range": asked})
        assert (reply.status, reply.body) == (206, data[first : last + 1])
        assert reply.headers["content-range"] == f"bytes {first}-{last}/20000003"
    beyond = registry.ask("GET", f"blobs/{digest}", headers={"range": "bytes=20000003-"})
    assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */20000003")


def test_an_empty_blob_is_a_blob(registry):
    assert registry.ask("GET", f"blobs/{registry.push_blob(b'')}").body == b""


def test_a_digest_that_is_not_the_bytes_own_is_refused_and_ends_the_upload(registry):
    path = registry.begin()
    reply = registry.ask("PUT", path, b"bytes", digest=ABSENT)
    assert (reply.status, reply.code) == (400, "DIGEST_INVALID")
    assert registry.ask("GET", path).code == "BLOB_UPLOAD_UNKNOWN"
    assert registry.ask("HEAD", f"blobs/{ABSENT}").status == 404
    for wrong in ("md5:00", "sha256:xyz", ""):
        assert registry.ask("PUT", registry.begin(), b"x", digest=wrong).code == "DIGEST_INVALID"


def test_sha512_is_taken_whether_the_bytes_come_with_it_or_before(registry):
    data, path = b"sha512", registry.begin()
    assert registry.ask("PATCH", path, data).status == 202
    assert registry.ask("PUT", path, digest=digest_of(data, "sha512")).status == 201
    assert registry.ask("GET", f"blobs/{digest_of(data, 'sha512')}").body == data
    reply = registry.ask("POST", "blobs/uploads/", data, digest=digest_of(data, "sha512"))
    assert reply.status == 201


def test_a_cancelled_upload_is_gone(registry):
    path = registry.begin()
    assert registry.ask("DELETE", path).status == 204
    assert registry.ask("PATCH", path, b"x").status == 404


def test_a_blob_is_mounted_from_another_repository(account, registry):
    digest = registry.push_blob(b"mounted")
    other = RegistryClient.of(account, "other")
    assert other.ask("HEAD", f"blobs/{digest}").status == 404
    reply = other.ask("POST", f"blobs/uploads/?from=blobs&mount={digest}")
    assert (reply.status, reply.headers["location"]) == (201, f"/v2/other/blobs/{digest}")
    assert other.ask("GET", f"blobs/{digest}").body == b"mounted"


def test_a_blob_that_cannot_be_mounted_begins_an_upload(account):
    other = RegistryClient.of(account, "other")
    for source in ("&from=blobs", "&from=nowhere", ""):
        reply = other.ask("POST", f"blobs/uploads/?mount={ABSENT}{source}")
        assert (reply.status, "uploads" in reply.headers["location"]) == (202, True)


def test_a_deleted_blob_is_404_in_its_repository_alone(account, registry):
    digest = registry.push_blob(b"deleted")
    other = RegistryClient.of(account, "other")
    other.ask("POST", f"blobs/uploads/?from=blobs&mount={digest}")
    assert registry.ask("DELETE", f"blobs/{digest}").status == 202
    assert registry.ask("GET", f"blobs/{digest}").status == 404
    assert other.ask("GET", f"blobs/{digest}").body == b"deleted"
    assert other.ask("DELETE", f"blobs/{digest}").status == 202
    assert registry.ask("DELETE", f"blobs/{digest}").status == 404
    assert registry.push_blob(b"deleted") == digest


def test_the_layer_of_an_image_is_not_deleted_under_it(registry):
    registry.push_image(b"needed", tag="needs")
    assert registry.ask("DELETE", f"blobs/{digest_of(b'needed')}").code == "DENIED"


def test_a_push_to_a_repository_that_does_not_exist_is_refused(account):
    reply = RegistryClient.of(account, "nowhere").ask("POST", "blobs/uploads/")
    assert (reply.status, reply.code) == (404, "NAME_UNKNOWN")
    reply = RegistryClient.of(account, "UPPER").ask("POST", "blobs/uploads/")
    assert (reply.status, reply.code) == (400, "NAME_INVALID")


def test_the_host_names_account_and_region(clary_server, account):
    mine = RegistryClient.of(account, "blobs")
    digest = mine.push_blob(b"host")
    mine.host = f"{account.account_id}.dkr.ecr.us-east-1.localhost:4747"
    assert mine.ask("GET", f"blobs/{digest}").body == b"host"
    mine.host = f"{account.account_id}.dkr.ecr.eu-west-1.localhost"
    assert mine.ask("GET", f"blobs/{digest}").status == 404
    mine.host = f"{clary_server.account().account_id}.dkr.ecr.us-east-1.localhost"
    assert mine.ask("GET", "/v2/").code == "DENIED"


def test_another_account_sees_nothing(clary_server, registry):
    digest = registry.push_blob(b"mine")
    stranger = clary_server.account()
    stranger.client("ecr").create_repository(repositoryName="blobs")
    theirs = RegistryClient.of(stranger, "blobs")
    assert theirs.ask("GET", f"blobs/{digest}").status == 404
    assert theirs.ask("POST", f"blobs/uploads/?from=blobs&mount={digest}").status == 202
    assert theirs.push_blob(b"mine") == digest


def test_the_bytes_are_no_accounts_to_read_as_objects(account, registry):
    registry.push_blob(b"walled")
    s3 = account.client("s3")
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.list_objects_v2(Bucket="clary-registry")
    with pytest.raises(s3.exceptions.ClientError, match="BucketAlreadyExists"):
        s3.create_bucket(Bucket="clary-registry")
