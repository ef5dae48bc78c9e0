"""What a lifecycle policy would expire is told before it is put."""

import json

import pytest
from botocore.exceptions import ClientError

from clary.testing.registry import RegistryClient, manifest


@pytest.fixture
def account(clary_server):
    return clary_server.account()


@pytest.fixture
def ecr(account):
    account.client("ecr").create_repository(repositoryName="cycle")
    return account.client("ecr")


def policy(keep):
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep}
    rule = {"rulePriority": 7, "selection": selection, "action": {"type": "expire"}}
    return json.dumps({"rules": [rule]})


@pytest.mark.documented
def test_a_preview_names_the_images_and_expires_none(account, ecr):
    registry = RegistryClient.of(account, "cycle")
    registry.push_blob(b"{}")
    digests = [registry.push_manifest(manifest(note=str(n)), tag) for n, tag in enumerate(("a", "b", ""))]
    begun = ecr.start_lifecycle_policy_preview(repositoryName="cycle", lifecyclePolicyText=policy(1))
    assert begun["status"] == "IN_PROGRESS"
    waiter = ecr.get_waiter("lifecycle_policy_preview_complete")
    waiter.wait(repositoryName="cycle", WaiterConfig={"Delay": 1, "MaxAttempts": 5})
    found = ecr.get_lifecycle_policy_preview(repositoryName="cycle")
    assert found["summary"] == {"expiringImageTotalCount": 2}
    assert {each["imageDigest"] for each in found["previewResults"]} == set(digests[:2])
    for each in found["previewResults"]:
        assert (each["action"], each["appliedRulePriority"]) == ({"type": "EXPIRE"}, 7)
    one = {"repositoryName": "cycle", "imageIds": [{"imageTag": "b"}]}
    assert [each["imageTags"] for each in ecr.get_lifecycle_policy_preview(**one)["previewResults"]] == [
        ["b"]
    ]
    none = {"repositoryName": "cycle", "filter": {"tagStatus": "UNTAGGED"}}
    assert ecr.get_lifecycle_policy_preview(**none)["previewResults"] == []
    pages = ecr.get_paginator("get_lifecycle_policy_preview").paginate(
        repositoryName="cycle", PaginationConfig={"PageSize": 1}
    )
    assert [len(page["previewResults"]) for page in pages] == [1, 1]
    assert len(ecr.list_images(repositoryName="cycle")["imageIds"]) == 3


@pytest.mark.documented
def test_a_preview_takes_the_repositorys_own_policy_where_none_is_given(ecr):
    with pytest.raises(ecr.exceptions.LifecyclePolicyPreviewNotFoundException):
        ecr.get_lifecycle_policy_preview(repositoryName="cycle")
    with pytest.raises(ecr.exceptions.LifecyclePolicyNotFoundException):
        ecr.start_lifecycle_policy_preview(repositoryName="cycle")
    ecr.put_lifecycle_policy(repositoryName="cycle", lifecyclePolicyText=policy(5))
    assert ecr.start_lifecycle_policy_preview(repositoryName="cycle")["lifecyclePolicyText"]
    assert ecr.get_lifecycle_policy_preview(repositoryName="cycle")["status"] == "COMPLETE"
    with pytest.raises(ClientError, match="Lifecycle policy validation failure"):
        ecr.start_lifecycle_policy_preview(repositoryName="cycle", lifecyclePolicyText="x" * 200)
    ecr.delete_repository(repositoryName="cycle")
    ecr.create_repository(repositoryName="cycle")
    with pytest.raises(ecr.exceptions.LifecyclePolicyPreviewNotFoundException):
        ecr.get_lifecycle_policy_preview(repositoryName="cycle")
