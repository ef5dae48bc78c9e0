"""Schedules by forms: a job at times is made, paused, resumed and deleted; its last calls are shown."""

import time

import pytest

from clary.kernel import ids
from clary.testing.server import Account

from .browser import Browser
from .conftest import signed_in
from .test_making import fields


@pytest.fixture
def account(clary_server) -> Account:
    account: Account = clary_server.account()
    return account


@pytest.fixture
def browser(account: Account) -> Browser:
    return signed_in(account)


def test_a_job_is_scheduled_paused_resumed_and_deleted(account: Account, browser: Browser) -> None:
    assert "Nothing is scheduled" in browser.get("/schedules").words
    form = fields(browser.get("/process/script")) | {"script": "print(1)", "name": f"nightly-{ids.short()}"}
    wrong = browser.post("/process/script", form | {"schedule": "daily"})
    assert "ScheduleExpression" in wrong.words
    assert 'value="daily"' in wrong.text
    asked = {"schedule": "rate(1 minute)", "zone": "Europe/Zurich"}
    page = browser.post("/process/script", form | asked)
    for text in (form["name"], "is scheduled", "rate(1 minute)", "Europe/Zurich", "createProcessingJob"):
        assert text in page.words
    kept = account.client("scheduler").get_schedule(Name=form["name"])["Target"]["Input"]
    assert f'"ProcessingJobName": "{form["name"]}-<aws.scheduler.execution-id>"' in kept
    assert f'{form["out:1:uri"]}<aws.scheduler.execution-id>"' in kept
    act = {"form_token": page.form_token, "name": form["name"]}
    for wish, said, state in (("DISABLED", "is paused", "DISABLED"), ("ENABLED", "goes on", "ENABLED")):
        assert said in browser.post("/schedules", act | {"do": wish}).words
        assert account.client("scheduler").get_schedule(Name=form["name"])["State"] == state
    assert "begins with this" in browser.get("/schedules?name=other").words
    assert "was deleted" in browser.post("/schedules", act | {"do": "delete"}).words
    assert account.client("scheduler").list_schedules()["Schedules"] == []


def test_what_a_schedule_called_is_beside_it(account: Account, browser: Browser) -> None:
    client = account.client("scheduler")
    client.create_schedule(
        Name="once",
        ScheduleExpression=f"at({time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(time.time() + 2))})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:sagemaker:stopProcessingJob",
            "RoleArn": f"arn:aws:iam::{account.account_id}:role/SageMakerRole",
            "Input": '{"ProcessingJobName": "nobodys"}',
        },
    )
    deadline = time.monotonic() + 60
    while "StopProcessingJob: " not in (page := browser.get("/schedules")).words:
        assert time.monotonic() < deadline, page.words
        time.sleep(0.1)
    assert "nobodys" in page.words
