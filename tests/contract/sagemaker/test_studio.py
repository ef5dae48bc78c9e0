"""Studio: domain, user, space and app, up to a JupyterLab that a person has opened."""

import json
import time
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from clary.testing.notebooks import PATIENCE_S, Visitor
from clary.testing.server import Account, ClaryServer


@pytest.fixture(scope="module")
def account(clary_server: ClaryServer) -> Account:
    return clary_server.account()


@pytest.fixture(scope="module")
def domain(account):
    settings = {"ExecutionRole": account.role_arn}
    made = account.client("sagemaker").create_domain(
        DomainName="team", AuthMode="IAM", DefaultUserSettings=settings, DefaultSpaceSettings=settings
    )
    return made["DomainId"]


@pytest.fixture(scope="module")
def profile(account, domain):
    account.client("sagemaker").create_user_profile(DomainId=domain, UserProfileName="ada")
    return "ada"


def until(account, status, **app):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = account.client("sagemaker").describe_app(AppName="default", **app)
        if found["Status"] in {status, "Failed"} or time.monotonic() > deadline:
            assert found["Status"] == status, found
            return found
        time.sleep(0.05)


def entered(url):
    """Open a presigned URL as a browser does, which looks again while the app starts."""
    visitor, parts = Visitor.of(url), urlsplit(url)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = visitor.ask("GET", f"{parts.path}?{parts.query}")
        if answer.status != 200 or time.monotonic() > deadline:
            assert answer.status == 303, answer.text
            return visitor, parts.path.rstrip("/")
        assert answer.headers["refresh"] == "1"
        time.sleep(0.05)


def refused(code, function, **members):
    with pytest.raises(ClientError) as caught:
        function(**members)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response["Error"]["Message"]


def test_domain_user_and_space_are_described_listed_and_changed(account, domain, profile):
    client = account.client("sagemaker")
    described = client.describe_domain(DomainId=domain)
    assert (described["Status"], described["DomainName"]) == ("InService", "team")
    assert described["Url"].endswith(f"/studio/{domain}")
    assert domain in {each["DomainId"] for each in client.list_domains()["Domains"]}
    user = client.describe_user_profile(DomainId=domain, UserProfileName=profile)
    assert user["UserProfileArn"].endswith(f":user-profile/{domain}/{profile}")
    listed = client.list_user_profiles(DomainIdEquals=domain, UserProfileNameContains="ad")["UserProfiles"]
    assert [each["UserProfileName"] for each in listed] == [profile]
    client.create_space(
        DomainId=domain,
        SpaceName="plans",
        OwnershipSettings={"OwnerUserProfileName": profile},
        SpaceSharingSettings={"SharingType": "Private"},
        SpaceSettings={"SpaceStorageSettings": {"EbsStorageSettings": {"EbsVolumeSizeInGb": 8}}},
    )
    summary = client.list_spaces(DomainIdEquals=domain, SpaceNameContains="plan")["Spaces"][0]
    assert summary["OwnershipSettingsSummary"] == {"OwnerUserProfileName": profile}
    smaller = {"SpaceStorageSettings": {"EbsStorageSettings": {"EbsVolumeSizeInGb": 6}}}
    text = refused(
        "ValidationException", client.update_space, DomainId=domain, SpaceName="plans", SpaceSettings=smaller
    )
    assert "can only grow; it has 8 GB" in text
    client.update_space(DomainId=domain, SpaceName="plans", SpaceDisplayName="Plans")
    assert client.describe_space(DomainId=domain, SpaceName="plans")["SpaceDisplayName"] == "Plans"
    arn = client.describe_space(DomainId=domain, SpaceName="plans")["SpaceArn"]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    text = refused("ResourceInUse", client.delete_user_profile, DomainId=domain, UserProfileName=profile)
    assert "Space 'plans' is in it" in text
    client.delete_space(DomainId=domain, SpaceName="plans")
    refused("ResourceNotFound", client.describe_space, DomainId=domain, SpaceName="plans")


def test_an_app_of_a_space_is_opened_deleted_and_finds_its_files_again(account, domain, profile):
    client = account.client("sagemaker")
    client.create_space(DomainId=domain, SpaceName="shared")
    app = {"DomainId": domain, "SpaceName": "shared", "AppType": "JupyterLab"}
    arn = client.create_app(AppName="default", **app)["AppArn"]
    assert arn.endswith(f":app/{domain}/shared/JupyterLab/default")
    refused("ResourceInUse", client.create_app, AppName="default", **app)
    until(account, "InService", **app)
    opening = {"DomainId": domain, "UserProfileName": profile, "SpaceName": "shared"}
    url = client.create_presigned_domain_url(**opening)["AuthorizedUrl"]
    visitor, path = entered(url)
    assert Visitor.of(url).ask("GET", f"{urlsplit(url).path}?{urlsplit(url).query}").status == 403
    told = json.loads(visitor.run(path, "print(open('/opt/ml/metadata/resource-metadata.json').read())"))
    assert (told["DomainId"], told["SpaceName"]) == (domain, "shared")
    assert told["ExecutionRoleArn"] == account.role_arn, "what get_execution_role() returns"
    visitor.run(path, "open('kept.txt', 'w').write('words')")
    client.delete_app(AppName="default", **app)
    until(account, "Deleted", **app)
    assert visitor.ask("GET", f"{path}/lab").status == 403
    visitor, path = entered(client.create_presigned_domain_url(**opening)["AuthorizedUrl"])
    assert visitor.run(path, "print(open('kept.txt').read())") == "words\n"
    client.delete_app(AppName="default", **app)
    until(account, "Deleted", **app)
    client.delete_space(DomainId=domain, SpaceName="shared")


def test_a_users_own_url_starts_their_jupyter(clary_server, account, domain, profile):
    client = account.client("sagemaker")
    url = client.create_presigned_domain_url(DomainId=domain, UserProfileName=profile)["AuthorizedUrl"]
    visitor, path = entered(url)
    assert visitor.ask("GET", f"{path}/lab").status == 200
    apps = client.list_apps(DomainIdEquals=domain, UserProfileNameEquals=profile)["Apps"]
    assert [(each["AppType"], each["Status"]) for each in apps] == [("JupyterServer", "InService")]
    streams = account.client("logs").describe_log_streams(logGroupName="/aws/sagemaker/studio")["logStreams"]
    assert f"{domain}/{profile}/JupyterServer/default/jupyter.log" in {e["logStreamName"] for e in streams}
    other = clary_server.account().client("sagemaker")
    opening = {"DomainId": domain, "UserProfileName": profile}
    refused("ResourceNotFound", other.create_presigned_domain_url, **opening)
    refused("ResourceInUse", client.delete_domain, DomainId=domain)
    app = {"DomainId": domain, "UserProfileName": profile, "AppType": "JupyterServer"}
    client.delete_app(AppName="default", **app)
    until(account, "Deleted", **app)


def test_what_is_not_built_is_refused_by_name(account, domain, profile):
    client, owner = account.client("sagemaker"), {"DomainId": domain, "UserProfileName": profile}
    text = refused("ValidationException", client.create_app, AppType="Canvas", AppName="default", **owner)
    assert "AppType 'Canvas' is not served" in text
    text = refused("ValidationException", client.create_app, AppType="JupyterLab", AppName="default", **owner)
    assert "needs SpaceName" in text
    settings = {"JupyterLabAppSettings": {"CustomImages": [{"ImageName": "a", "AppImageConfigName": "b"}]}}
    text = refused("ValidationException", client.update_user_profile, UserSettings=settings, **owner)
    assert "UserSettings.JupyterLabAppSettings.CustomImages is not served" in text
    plain = {"DomainName": "x", "DefaultUserSettings": {}}
    assert "It must be 'IAM'" in refused("ValidationException", client.create_domain, AuthMode="SSO", **plain)
    stranger = {"ExecutionRole": "arn:aws:iam::000000000001:role/Any"}
    plain["DefaultUserSettings"] = stranger
    refused("AccessDeniedException", client.create_domain, AuthMode="IAM", **plain)
