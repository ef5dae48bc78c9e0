"""The console's notebooks: made, opened, stopped and deleted by forms and links, as a person does."""

import base64
import time

import pytest

from clary.testing.notebooks import Visitor, create, settled
from clary.testing.server import Account

from .browser import BASE, Browser
from .conftest import signed_in


@pytest.fixture
def account(clary_server) -> Account:
    account: Account = clary_server.account()
    return account


@pytest.fixture
def browser(account: Account) -> Browser:
    return signed_in(account)


def tell_idle(account: Account, name: str, minutes: float) -> None:
    """Tell what an instance itself would, half a minute after its start."""
    account.client("cloudwatch").put_metric_data(
        Namespace="/aws/sagemaker/NotebookInstances",
        MetricData=[
            {
                "MetricName": "IdleMinutes",
                "Dimensions": [{"Name": "NotebookInstanceName", "Value": name}],
                "Value": minutes,
            }
        ],
    )


def test_an_instance_is_created_opened_stopped_and_deleted(account: Account, browser: Browser) -> None:
    page = browser.get("/notebooks")
    assert "No notebook instance is here." in page.words
    form = {"do": "create", "form_token": page.form_token, "name": "mine", "type": "ml.t3.medium"}
    asked = form | {"volume": "5", "config": "", "repository": "", "idle": "45"}
    page = browser.post("/notebooks", asked)
    assert "It is being started." in page.words
    assert 'name="idle" min="0" max="10080" value="45"' in page.text
    kept = {"do": "idle", "form_token": page.form_token}
    assert "stops after 90 idle" in browser.post("/notebooks/mine", kept | {"idle": "90"}).words
    assert "this Clary stops idle" in browser.post("/notebooks/mine", kept | {"idle": ""}).words
    settled(account, "mine")
    page = browser.get("/notebooks")
    assert "Those in service cost $0.050 an hour." in page.words
    assert "0.05" in browser.get("/").words
    tell_idle(account, "mine", 75)
    assert (
        "mine : nobody has used this notebook for 1 h 15 min; it costs $0.05 an hour."
        in browser.get("/").words
    )
    answer = browser.once("GET", "/notebooks/mine/open")
    url = answer.headers["location"]
    assert url.startswith("http://localhost:")
    visitor = Visitor.of(url)
    visitor.enter(url)
    assert visitor.ask("GET", url.partition("?")[0].partition(visitor.host)[2] + "lab").status == 200
    page = browser.post("/notebooks/mine", {"do": "Delete", "form_token": browser.get("/").form_token})
    assert "Status (InService) not in ([Stopped, Failed])" in page.words
    browser.post("/notebooks/mine", {"do": "Stop", "form_token": browser.get("/").form_token})
    settled(account, "mine")
    assert "ml.t3.medium" in browser.get("/notebooks/mine").words
    assert "Unable to create a presigned URL" in browser.get("/notebooks/mine/open").words
    change = {"do": "Update", "type": "ml.t3.large", "volume": "7"}
    change["form_token"] = browser.get("/").form_token
    assert "It is being changed" in browser.post("/notebooks/mine", change).words
    found = settled(account, "mine")
    assert (found["InstanceType"], found["VolumeSizeInGB"]) == ("ml.t3.large", 7)
    assert "whole number" in browser.post("/notebooks/mine", change | {"volume": "much"}).words
    assert "can only grow" in browser.post("/notebooks/mine", change | {"volume": "6"}).words
    browser.post("/notebooks/mine", {"do": "Delete", "form_token": browser.get("/").form_token})
    deadline = time.monotonic() + 60
    while "No notebook instance is here." not in browser.get("/notebooks").words:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_forms_of_other_sites_change_nothing(account: Account, browser: Browser) -> None:
    for path in ("/notebooks", "/notebooks/any"):
        assert browser.post(path, {"do": "create", "name": "forged"}).status == 403
        token = browser.get("/notebooks").form_token
        page = browser.post(path, {"do": "create", "form_token": token}, Origin="http://localhost:1")
        assert page.status == 403
    assert account.client("sagemaker").list_notebook_instances()["NotebookInstances"] == []


def test_what_a_notebook_prints_is_text_on_the_page(account: Account, browser: Browser) -> None:
    script = base64.b64encode(b"echo '<script>alert(1)</script>'; exit 1").decode()
    account.client("sagemaker").create_notebook_instance_lifecycle_config(
        NotebookInstanceLifecycleConfigName="loud", OnStart=[{"Content": script}]
    )
    assert create(account, "loud", LifecycleConfigName="loud")["NotebookInstanceStatus"] == "Failed"
    page = browser.get("/notebooks/loud")
    assert page.words.count("<script>alert(1)</script>") >= 2, "the reason and the log"
    assert "<script>alert(1)" not in page.text
    assert "script-src" in page.headers["content-security-policy"]
    account.client("sagemaker").delete_notebook_instance(NotebookInstanceName="loud")


def test_another_account_sees_nothing_of_it(clary_server, account: Account, browser: Browser) -> None:
    create(account, "private")
    other = signed_in(clary_server.account())
    assert "private" not in other.get("/notebooks").words
    for path in ("/notebooks/private", "/notebooks/private/open"):
        page = other.get(path)
        assert (page.status, "RecordNotFound" in page.words) == (404, True)
    stranger = Browser(browser.url)
    assert stranger.once("GET", "/notebooks/private/open").headers["location"].startswith(f"{BASE}/sign-in")
    account.client("sagemaker").stop_notebook_instance(NotebookInstanceName="private")
