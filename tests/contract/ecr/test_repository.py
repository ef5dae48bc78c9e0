"""ECR through boto3: repositories, their policies, tags and lifecycle policies."""

import base64
import json

import pytest

pytestmark = pytest.mark.documented


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture
def ecr(account):
    return account.client("ecr")


def test_a_repository_is_made_described_and_deleted(account, ecr):
    made = ecr.create_repository(repositoryName="team/a-1", tags=[{"Key": "k", "Value": "v"}])["repository"]
    assert made["repositoryArn"] == f"arn:aws:ecr:us-east-1:{account.account_id}:repository/team/a-1"
    assert made["repositoryUri"] == f"{account.url.removeprefix('http://')}/team/a-1"
    assert (made["imageTagMutability"], made["registryId"]) == ("MUTABLE", account.account_id)
    assert ecr.describe_repositories(repositoryNames=["team/a-1"])["repositories"] == [made]
    assert ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"] == [
        {"Key": "k", "Value": "v"}
    ]
    with pytest.raises(ecr.exceptions.RepositoryAlreadyExistsException, match="'team/a-1' already exists"):
        ecr.create_repository(repositoryName="team/a-1")
    assert ecr.delete_repository(repositoryName="team/a-1")["repository"] == made
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException, match="'team/a-1' does not exist"):
        ecr.describe_repositories(repositoryNames=["team/a-1"])


@pytest.mark.parametrize("name", ["Upper", "a//b", "a.-b", "-a", "a/"])
def test_a_name_that_cannot_be_is_refused(ecr, name):
    with pytest.raises(ecr.exceptions.InvalidParameterException, match="repositoryName"):
        ecr.create_repository(repositoryName=name)


def test_repositories_are_listed_by_page_within_their_region(clary_server):
    account = clary_server.account()
    ecr, elsewhere = account.client("ecr"), account.client("ecr", region="eu-west-1")
    for name in ("cc", "aa", "bb"):
        ecr.create_repository(repositoryName=name)
    elsewhere.create_repository(repositoryName="far")
    pages = list(ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2}))
    assert [[each["repositoryName"] for each in page["repositories"]] for page in pages] == [
        ["aa", "bb"],
        ["cc"],
    ]
    assert [each["repositoryName"] for each in elsewhere.describe_repositories()["repositories"]] == ["far"]


def test_the_token_is_of_the_user_aws_and_lasts_twelve_hours(account, ecr):
    (found,) = ecr.get_authorization_token()["authorizationData"]
    assert base64.b64decode(found["authorizationToken"]).startswith(b"AWS:")
    assert found["proxyEndpoint"] == account.url


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("imageScanningConfiguration", {"scanOnPush": True}),
        ("encryptionConfiguration", {"encryptionType": "KMS"}),
        ("imageTagMutabilityExclusionFilters", [{"filterType": "WILDCARD", "filter": "dev*"}]),
    ],
)
def test_what_is_not_served_is_refused_by_its_name(ecr, member, value):
    with pytest.raises(ecr.exceptions.InvalidParameterException, match=member):
        ecr.create_repository(repositoryName="refused", **{member: value})


def test_another_accounts_registry_is_walled_off(ecr):
    with pytest.raises(ecr.exceptions.ClientError, match=r"AccessDeniedException.*not authorized"):
        ecr.describe_repositories(registryId="999999999999")
    ecr.create_repository(repositoryName="walled")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "pull",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::999999999999:root"},
                "Action": "ecr:*",
            }
        ],
    }
    with pytest.raises(ecr.exceptions.InvalidParameterException, match="999999999999"):
        ecr.set_repository_policy(repositoryName="walled", policyText=json.dumps(policy))


def test_a_policy_is_kept_word_for_word(account, ecr):
    ecr.create_repository(repositoryName="policed")
    with pytest.raises(ecr.exceptions.RepositoryPolicyNotFoundException):
        ecr.get_repository_policy(repositoryName="policed")
    principals = {"AWS": account.account_id, "Service": "sagemaker.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": principals, "Action": ["ecr:BatchGetImage"]}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=1)
    ecr.set_repository_policy(repositoryName="policed", policyText=text)
    assert ecr.get_repository_policy(repositoryName="policed")["policyText"] == text
    assert ecr.delete_repository_policy(repositoryName="policed")["policyText"] == text
    with pytest.raises(ecr.exceptions.RepositoryPolicyNotFoundException):
        ecr.delete_repository_policy(repositoryName="policed")


def test_a_lifecycle_policy_is_checked_kept_and_taken_away(ecr):
    ecr.create_repository(repositoryName="cycle")
    with pytest.raises(ecr.exceptions.LifecyclePolicyNotFoundException):
        ecr.get_lifecycle_policy(repositoryName="cycle")
    selection = {"tagStatus": "any", "countType": "never", "countNumber": 1}
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    text = json.dumps({"rules": [rule]})
    with pytest.raises(ecr.exceptions.InvalidParameterException, match="validation failure: countType"):
        ecr.put_lifecycle_policy(repositoryName="cycle", lifecyclePolicyText=text)
    selection = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": 14,
    }
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    text = json.dumps({"rules": [rule]})
    ecr.put_lifecycle_policy(repositoryName="cycle", lifecyclePolicyText=text)
    assert json.loads(ecr.get_lifecycle_policy(repositoryName="cycle")["lifecyclePolicyText"]) == json.loads(
        text
    )
    ecr.delete_lifecycle_policy(repositoryName="cycle")
    with pytest.raises(ecr.exceptions.LifecyclePolicyNotFoundException):
        ecr.delete_lifecycle_policy(repositoryName="cycle")


def test_tags_of_a_repository_come_and_go(ecr):
    arn = ecr.create_repository(repositoryName="tagged")["repository"]["repositoryArn"]
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    ecr.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "b", "Value": "2"}]
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.tag_resource(resourceArn=arn + "x", tags=[{"Key": "a", "Value": "1"}])


def test_the_scan_of_images_can_be_off_alone(ecr):
    ecr.create_repository(repositoryName="scan")
    off = {"scanOnPush": False}
    found = ecr.put_image_scanning_configuration(repositoryName="scan", imageScanningConfiguration=off)
    assert found["imageScanningConfiguration"] == off
    with pytest.raises(ecr.exceptions.InvalidParameterException, match="scanOnPush"):
        ecr.put_image_scanning_configuration(
            repositoryName="scan", imageScanningConfiguration={"scanOnPush": True}
        )
