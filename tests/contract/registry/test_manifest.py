"""The distribution protocol: manifests, tags, referrers. Cases of OCI's conformance suite 1.1."""

import json

import pytest

from clary.testing.registry import (
    EMPTY,
    OCI_IMAGE,
    OCI_INDEX,
    RegistryClient,
    descriptor,
    digest_of,
    index,
    manifest,
)

pytestmark = pytest.mark.documented
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture
def registry(account, request):
    name = f"m/{digest_of(request.node.name.encode())[7:19]}"
    account.client("ecr").create_repository(repositoryName=name)
    return RegistryClient.of(account, name)


def test_a_nonexistent_manifest_is_404(registry):
    for reference in ("nope", digest_of(b"nope")):
        assert registry.ask("HEAD", f"manifests/{reference}").status == 404
        assert registry.ask("GET", f"manifests/{reference}").code == "MANIFEST_UNKNOWN"


def test_a_manifest_comes_back_byte_for_byte_by_tag_and_digest(registry):
    for each in (EMPTY, b"layer"):
        registry.push_blob(each)
    text = b"  " + manifest(b"layer").replace(b'"', b'"', 1) + b"\n"
    digest = registry.push_manifest(text, "v1")
    for reference in ("v1", digest):
        head, reply = (registry.ask(method, f"manifests/{reference}") for method in ("HEAD", "GET"))
        assert (reply.status, reply.body, head.body) == (200, text, b"")
        for each in (head, reply):
            assert each.headers["docker-content-digest"] == digest
            assert each.headers["content-type"] == OCI_IMAGE
            assert each.headers["content-length"] == str(len(text))


def test_a_manifest_without_layers_is_taken(registry):
    assert registry.ask("GET", f"manifests/{registry.push_image(tag='empty')}").status == 200


def test_the_content_type_is_kept(registry):
    document = json.loads(manifest())
    text = json.dumps(document | {"mediaType": DOCKER_IMAGE}).encode()
    registry.push_blob(EMPTY)
    registry.push_manifest(text, "docker", DOCKER_IMAGE)
    assert registry.ask("GET", "manifests/docker").headers["content-type"] == DOCKER_IMAGE


def test_a_manifest_whose_layer_is_not_there_is_refused(registry):
    registry.push_blob(EMPTY)
    reply = registry.ask("PUT", "manifests/v1", manifest(b"absent"), {"content-type": OCI_IMAGE})
    assert (reply.status, reply.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert reply.json["errors"][0]["detail"] == {"digests": [digest_of(b"absent")]}
    assert registry.ask("GET", "manifests/v1").status == 404


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        (b"no json", OCI_IMAGE, "MANIFEST_INVALID"),
        (b"[]", OCI_IMAGE, "MANIFEST_INVALID"),
        (b'{"schemaVersion": 1}', "application/vnd.docker.distribution.manifest.v1+json", "MANIFEST_INVALID"),
        (b'{"schemaVersion": 2}', OCI_IMAGE, "MANIFEST_INVALID"),
        (manifest(), OCI_INDEX, "MANIFEST_INVALID"),
        (manifest(), "text/html", "MANIFEST_INVALID"),
    ],
)
def test_what_is_no_manifest_is_refused(registry, text, kind, code):
    reply = registry.ask("PUT", "manifests/v1", text, {"content-type": kind})
    assert (reply.status, reply.code) == (400, code)


def test_a_manifest_under_anothers_digest_or_a_bad_tag_is_refused(registry):
    registry.push_blob(EMPTY)
    headers = {"content-type": OCI_IMAGE}
    reply = registry.ask("PUT", f"manifests/{digest_of(b'other')}", manifest(), headers)
    assert (reply.status, reply.code) == (400, "DIGEST_INVALID")
    assert registry.ask("PUT", "manifests/-bad", manifest(), headers).code == "TAG_INVALID"
    too_long = b" " * (4 * 1024 * 1024) + manifest()
    assert registry.ask("PUT", "manifests/v1", too_long, headers).status == 413


def test_a_tag_moves_and_the_image_stays(registry):
    old, new = registry.push_image(b"old", tag="latest"), registry.push_image(b"new", tag="latest")
    assert registry.ask("GET", "manifests/latest").headers["docker-content-digest"] == new
    assert registry.ask("GET", f"manifests/{old}").status == 200


def test_an_immutable_tag_stays(account, registry):
    ecr = account.client("ecr")
    ecr.put_image_tag_mutability(repositoryName=registry.name, imageTagMutability="IMMUTABLE")
    registry.push_image(b"first", tag="v1")
    registry.push_image(b"first", tag="v1")  # the same again is no change
    registry.push_blob(b"second")
    reply = registry.ask("PUT", "manifests/v1", manifest(b"second"), {"content-type": OCI_IMAGE})
    assert (reply.status, reply.code) == (400, "TAG_INVALID")
    assert "immutable" in reply.json["errors"][0]["message"]


def test_tags_come_in_their_order_page_by_page(registry):
    registry.push_image(tag="t0")
    for tag in ("test3", "TEST1", "test2", "a.b"):
        registry.push_manifest(manifest(), tag)
    expected = ["TEST1", "a.b", "t0", "test2", "test3"]
    assert registry.ask("GET", "tags/list").json == {"name": registry.name, "tags": expected}
    page = registry.ask("GET", "tags/list", n="2")
    assert page.json["tags"] == expected[:2]
    found, path = list(page.json["tags"]), page.headers["link"]
    while path:
        page = registry.ask("GET", path[1 : path.index(">")])
        found += page.json["tags"]
        path = page.headers.get("link", "")
    assert found == expected
    assert registry.ask("GET", "tags/list", last="a.b", n="1").json["tags"] == ["t0"]
    assert registry.ask("GET", "tags/list", n="0").json["tags"] == []
    assert registry.ask("GET", "tags/list", n="x").code == "PAGINATION_NUMBER_INVALID"
    assert (
        RegistryClient(registry.url, "nowhere", registry.authorization).ask("GET", "tags/list").status == 404
    )


def test_a_deleted_tag_leaves_the_image_and_a_deleted_image_no_tag(registry):
    digest = registry.push_image(tag="v1")
    registry.push_manifest(manifest(), "v2")
    assert registry.ask("DELETE", "manifests/v1").status == 202
    assert registry.ask("GET", "manifests/v1").status == 404
    assert registry.ask("GET", f"manifests/{digest}").status == 200
    assert registry.ask("DELETE", f"manifests/{digest}").status == 202
    assert registry.ask("GET", f"manifests/{digest}").status == 404
    assert registry.ask("GET", "tags/list").json["tags"] == []
    assert registry.ask("DELETE", f"manifests/{digest}").status == 404


def test_an_index_needs_its_images_and_keeps_them(registry):
    text = index(manifest(b"amd64"))
    reply = registry.ask("PUT", "manifests/multi", text, {"content-type": OCI_INDEX})
    assert (reply.status, reply.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    child = registry.push_image(b"amd64")
    parent = registry.push_manifest(text, "multi", OCI_INDEX)
    assert registry.ask("GET", "manifests/multi").headers["content-type"] == OCI_INDEX
    assert registry.ask("DELETE", f"manifests/{child}").code == "DENIED"
    assert registry.ask("DELETE", f"manifests/{parent}").status == 202
    assert registry.ask("DELETE", f"manifests/{child}").status == 202


def test_referrers_are_found_whether_their_subject_is_there_or_not(registry):
    subject = digest_of(manifest(b"subject"))
    assert registry.ask("GET", f"referrers/{subject}").json["manifests"] == []
    signature = registry.push_image(b"s", subject=subject, artifact_type="application/x.sig", note="n")
    listing = registry.push_image(b"b", subject=subject)
    assert registry.push_image(b"subject") == subject
    reply = registry.ask("GET", f"referrers/{subject}")
    assert reply.headers["content-type"] == OCI_INDEX
    found = {each["digest"]: each for each in reply.json["manifests"]}
    assert set(found) == {signature, listing}
    expected = manifest(b"s", subject=subject, artifact_type="application/x.sig", note="n")
    assert found[signature] == descriptor(expected, OCI_IMAGE) | {
        "artifactType": "application/x.sig",
        "annotations": {"org.example.note": "n"},
    }
    assert found[listing]["artifactType"] == "application/vnd.oci.empty.v1+json"
    reply = registry.ask("GET", f"referrers/{subject}", artifactType="application/x.sig")
    assert [each["digest"] for each in reply.json["manifests"]] == [signature]
    assert reply.headers["oci-filters-applied"] == "artifactType"
    assert registry.ask("GET", "referrers/nonsense:1").code == "DIGEST_INVALID"


def test_the_answer_to_a_referrer_names_its_subject(registry):
    registry.push_blob(EMPTY)
    subject = digest_of(b"anything")
    text = manifest(subject=subject)
    reply = registry.ask("PUT", f"manifests/{digest_of(text)}", text, {"content-type": OCI_IMAGE})
    assert reply.headers["oci-subject"] == subject


def test_the_catalog_and_unknown_paths_are_refused(registry):
    reply = registry.ask("GET", "/v2/_catalog")
    assert (reply.status, reply.code) == (405, "UNSUPPORTED")
    assert "describe-repositories" in reply.json["errors"][0]["message"]
    assert registry.ask("GET", "nothing/here").status == 404
