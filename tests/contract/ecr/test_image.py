"""ECR through boto3: images and layers."""

import os
import urllib.request

import pytest

from clary.testing.registry import (
    EMPTY,
    OCI_IMAGE,
    OCI_INDEX,
    RegistryClient,
    digest_of,
    index,
    manifest,
)

pytestmark = pytest.mark.documented


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture
def ecr(account):
    return account.client("ecr")


@pytest.fixture
def name(account, request):
    name = f"i/{digest_of(request.node.name.encode())[7:19]}"
    account.client("ecr").create_repository(repositoryName=name)
    return name


@pytest.fixture
def registry(account, name):
    return RegistryClient.of(account, name)


def test_what_is_pushed_is_described(account, ecr, name, registry):
    digest = registry.push_image(b"layer", tag="v1")
    registry.push_manifest(manifest(b"layer"), "latest")
    (found,) = ecr.describe_images(repositoryName=name)["imageDetails"]
    assert found.pop("imagePushedAt")
    assert found == {
        "registryId": account.account_id,
        "repositoryName": name,
        "imageDigest": digest,
        "imageTags": ["latest", "v1"],
        "imageSizeInBytes": len(b"layer") + len(EMPTY),
        "imageManifestMediaType": OCI_IMAGE,
        "artifactMediaType": "application/vnd.oci.empty.v1+json",
    }
    by_tag = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "v1"}, {"imageDigest": digest}])
    assert [each["imageDigest"] for each in by_tag["imageDetails"]] == [digest]
    with pytest.raises(ecr.exceptions.ImageNotFoundException, match="imageTag:'v9'"):
        ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "v9"}])


def test_images_are_listed_with_and_without_tags_by_page(ecr, name, registry):
    tagged = {registry.push_image(str(n).encode(), tag=f"v{n}"): f"v{n}" for n in range(3)}
    bare = registry.push_image(b"bare")
    pages = ecr.get_paginator("list_images").paginate(repositoryName=name, PaginationConfig={"PageSize": 2})
    found = [each for page in pages for each in page["imageIds"]]
    assert {each["imageDigest"]: each.get("imageTag") for each in found} == {**tagged, bare: None}
    only = ecr.list_images(repositoryName=name, filter={"tagStatus": "UNTAGGED"})["imageIds"]
    assert only == [{"imageDigest": bare}]
    only = ecr.list_images(repositoryName=name, filter={"tagStatus": "TAGGED"})["imageIds"]
    assert {each["imageTag"] for each in only} == {"v0", "v1", "v2"}


def test_manifests_come_by_batch_with_what_failed(ecr, name, registry):
    digest = registry.push_image(b"layer", tag="v1")
    asked = [{"imageTag": "v1"}, {"imageTag": "nope"}, {"imageDigest": "wrong"}, {}]
    found = ecr.batch_get_image(repositoryName=name, imageIds=asked)
    (image,) = found["images"]
    assert image["imageId"] == {"imageTag": "v1", "imageDigest": digest}
    assert digest_of(image["imageManifest"].encode()) == digest
    codes = [each["failureCode"] for each in found["failures"]]
    assert codes == ["ImageNotFound", "InvalidImageDigest", "MissingDigestAndTag"]


def test_images_are_deleted_by_tag_by_digest_and_not_under_an_index(ecr, name, registry):
    digest = registry.push_image(b"layer", tag="v1")
    registry.push_manifest(manifest(b"layer"), "v2")
    gone = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])
    assert gone["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]
    assert registry.ask("GET", f"manifests/{digest}").status == 200
    parent = registry.push_manifest(index(manifest(b"layer")), "multi", OCI_INDEX)
    kept = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": digest}])
    assert [each["failureCode"] for each in kept["failures"]] == ["ImageReferencedByManifestList"]
    ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": parent}])
    gone = ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "v2"}])
    assert (gone["imageIds"], gone["failures"]) == ([{"imageDigest": digest, "imageTag": "v2"}], [])
    assert ecr.list_images(repositoryName=name)["imageIds"] == []


def test_an_image_is_put_through_the_api_alone(ecr, name):
    layer = os.urandom(6_000_000)
    for data in (EMPTY, layer):
        begun = ecr.initiate_layer_upload(repositoryName=name)
        upload = {"repositoryName": name, "uploadId": begun["uploadId"]}
        for first in range(0, len(data), 5_000_000):
            part = data[first : first + 5_000_000]
            where = {"partFirstByte": first, "partLastByte": first + len(part) - 1}
            told = ecr.upload_layer_part(**upload, **where, layerPartBlob=part)
            assert told["lastByteReceived"] == where["partLastByte"]
        with pytest.raises(ecr.exceptions.InvalidLayerPartException) as refused:
            ecr.upload_layer_part(**upload, partFirstByte=0, partLastByte=0, layerPartBlob=b"x")
        assert refused.value.response["lastValidByteReceived"] == len(data) - 1
        with pytest.raises(ecr.exceptions.InvalidLayerException):
            ecr.complete_layer_upload(**upload, layerDigests=[digest_of(b"other")])
        done = ecr.complete_layer_upload(**upload, layerDigests=[digest_of(data)])
        assert done["layerDigest"] == digest_of(data)
    with pytest.raises(ecr.exceptions.LayersNotFoundException, match=digest_of(b"absent")):
        ecr.put_image(repositoryName=name, imageManifest=manifest(b"absent").decode())
    put = ecr.put_image(repositoryName=name, imageManifest=manifest(layer).decode(), imageTag="v1")
    assert put["image"]["imageId"] == {"imageDigest": digest_of(manifest(layer)), "imageTag": "v1"}
    with pytest.raises(ecr.exceptions.ImageAlreadyExistsException):
        ecr.put_image(repositoryName=name, imageManifest=manifest(layer).decode(), imageTag="v1")
    url = ecr.get_download_url_for_layer(repositoryName=name, layerDigest=digest_of(layer))["downloadUrl"]
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
        assert answer.read() == layer
    base, _, rest = url.partition("/v2/")
    bare, path = RegistryClient(base, name), f"/v2/{rest}"
    assert bare.ask("DELETE", path).status == 401, "it can be read, and nothing else"
    assert bare.ask("GET", path.replace("token=", "token=x")).status == 401


def test_layers_are_looked_for(ecr, name, registry):
    registry.push_blob(b"here")
    asked = [digest_of(b"here"), digest_of(b"absent"), "nonsense"]
    found = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=asked)
    shown = [(each["layerAvailability"], each.get("layerSize")) for each in found["layers"]]
    assert shown == [("AVAILABLE", 4), ("UNAVAILABLE", None)]
    assert [each["failureCode"] for each in found["failures"]] == ["InvalidLayerDigest"]
    with pytest.raises(ecr.exceptions.LayerInaccessibleException):
        ecr.get_download_url_for_layer(repositoryName=name, layerDigest=digest_of(b"absent"))


def test_an_immutable_tag_is_kept_but_for_those_excluded(ecr, name, registry):
    ecr.put_image_tag_mutability(
        repositoryName=name,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev-*"}],
    )
    for data in (b"one", b"two"):
        registry.push_image(data, tag="dev-1")
    registry.push_image(b"one", tag="v1")
    with pytest.raises(ecr.exceptions.ImageTagAlreadyExistsException, match="'v1' already exists"):
        ecr.put_image(repositoryName=name, imageManifest=manifest(b"two").decode(), imageTag="v1")


def test_a_repository_with_images_is_deleted_where_that_is_forced(ecr, name, registry):
    digest = registry.push_image(b"layer", tag="v1")
    with pytest.raises(ecr.exceptions.RepositoryNotEmptyException):
        ecr.delete_repository(repositoryName=name)
    ecr.delete_repository(repositoryName=name, force=True)
    assert registry.ask("GET", f"manifests/{digest}").code == "NAME_UNKNOWN"
    ecr.create_repository(repositoryName=name)
    assert ecr.list_images(repositoryName=name)["imageIds"] == []


def test_referrers_are_listed(ecr, name, registry):
    subject = registry.push_image(b"layer")
    signature = registry.push_image(b"s", subject=subject, artifact_type="application/x.sig")
    wanted = {"repositoryName": name, "subjectId": {"imageDigest": subject}}
    (found,) = ecr.list_image_referrers(**wanted)["referrers"]
    assert (found["digest"], found["artifactType"]) == (signature, "application/x.sig")
    assert ecr.list_image_referrers(**wanted, filter={"artifactTypes": ["other"]})["referrers"] == []
