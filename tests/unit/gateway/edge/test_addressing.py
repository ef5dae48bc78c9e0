import pytest

from clary.gateway.edge.addressing import climbs, copy_source, place_of, query_of
from clary.gateway.edge.head import Head


def head(target: str, host: str = "127.0.0.1:4747") -> Head:
    return Head("GET", target.encode(), [(b"Host", host.encode())], is_http10=False, keeps_alive=True)


@pytest.mark.parametrize(
    ("host", "target", "bucket", "key"),
    [
        ("127.0.0.1:4747", "/b/a%20b/c", "b", "a b/c"),
        ("127.0.0.1:4747", "/b", "b", ""),
        ("127.0.0.1:4747", "/", "", ""),
        ("s3.amazonaws.com", "/b/k", "b", "k"),
        ("s3.eu-west-1.amazonaws.com", "/b/k", "b", "k"),
        ("b.s3.amazonaws.com", "/k", "b", "k"),
        ("my.dotted.s3.amazonaws.com", "/k/l", "my.dotted", "k/l"),
        ("b.s3.us-gov-west-1.amazonaws.com:443", "/", "b", ""),
        ("b.s3-eu-west-1.amazonaws.com", "/k", "b", "k"),
        ("b.s3.dualstack.us-east-1.amazonaws.com", "/k", "b", "k"),
        ("b.s3.cn-north-1.amazonaws.com.cn", "/k", "b", "k"),
        ("b.s3-accelerate.amazonaws.com", "/k", "b", "k"),
        ("sts.us-east-1.amazonaws.com", "/b/k", "b", "k"),
        ("b.s3.amazonaws.com.evil.org", "/x/k", "x", "k"),
    ],
)
def test_bucket_and_key_in_every_style(host: str, target: str, bucket: str, key: str) -> None:
    place = place_of(head(target, host))
    assert (place.bucket, place.key) == (bucket, key)


def test_the_path_is_encoded_as_s3_signs_it() -> None:
    assert place_of(head("/b/a+b%3d(1)*~")).path == "/b/a%2Bb%3D%281%29%2A~"
    assert place_of(head("/b/")).path == "/b"


def test_a_path_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        place_of(head("/b/%ff"))


def test_a_presigned_query_loses_its_signature_and_yields_its_headers() -> None:
    query = query_of(
        head("/b/k?uploadId=1%2F2&X-Amz-Signature=0&X-Amz-Date=d&x-amz-acl=private&content-type=a%2Fb&acl"),
        is_presigned=True,
    )
    assert query.text == "acl=&uploadId=1%2F2"
    assert query.hoisted == {"x-amz-acl": "private", "content-type": "a/b"}


def test_a_plus_in_a_query_is_a_space_and_parameters_are_sorted() -> None:
    assert query_of(head("/b?prefix=a+b&list-type=2"), is_presigned=False).text == "list-type=2&prefix=a%20b"


def test_the_name_of_an_operation_is_no_part_of_a_bucket() -> None:
    assert not query_of(head("/b?x-id=CreateBucket"), is_presigned=False).has_subresource
    assert query_of(head("/b?acl"), is_presigned=False).has_subresource


@pytest.mark.parametrize("source", ["b/k%20l?versionId=3", "/b/k l", "b/k l?versionId="])
def test_a_copy_source_in_every_form(source: str) -> None:
    place = copy_source(source)
    assert (place.bucket, place.key) == ("b", "k l")


@pytest.mark.parametrize("text", ["..", "../x", "a/../b", "a/..", ".", "a/./b", "a\\..\\b"])
def test_keys_that_climb_are_seen(text: str) -> None:
    assert climbs(text)


@pytest.mark.parametrize("text", ["a..b", "...", ".a", "a/.b/c", "a//b", "a."])
def test_keys_with_dots_alone_do_not(text: str) -> None:
    assert not climbs(text)


@pytest.mark.parametrize("bucket", ["ab", "a/b", "", "a..b", "-abc", "a" * 256, "a b c"])
def test_names_that_no_bucket_has_are_refused(bucket: str) -> None:
    assert not place_of(head("/" + bucket.replace(" ", "%20").replace("/", "%2F"))).is_legal
