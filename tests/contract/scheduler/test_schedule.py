"""EventBridge Scheduler through boto3: schedules that really call."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

OFF = {"Mode": "OFF"}


@pytest.fixture
def account(clary_server):
    return clary_server.account()


def target(account, operation="createExperiment", given=None):
    return {
        "Arn": f"arn:aws:scheduler:::aws-sdk:sagemaker:{operation}",
        "RoleArn": account.role_arn,
        "Input": json.dumps(given or {"ExperimentName": "at-<aws.scheduler.execution-id>"}),
    }


def soon(seconds):
    return f"at({datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S})"


def eventually(found):
    deadline = time.monotonic() + 60
    while not (seen := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return seen


def lines_of(account, name):
    try:
        events = account.client("logs").get_log_events(logGroupName="/aws/scheduler", logStreamName=name)
    except ClientError:
        return []
    return [each["message"] for each in events["events"]]


def test_what_is_scheduled_is_called_once(account):
    client = account.client("scheduler")
    given = {"ScheduleExpression": soon(2), "FlexibleTimeWindow": OFF, "Target": target(account)}
    client.create_schedule(Name="once", ActionAfterCompletion="DELETE", **given)
    sagemaker = account.client("sagemaker")
    made = eventually(lambda: sagemaker.list_experiments()["ExperimentSummaries"])
    assert len(made) == 1
    assert made[0]["ExperimentName"].startswith("at-")
    eventually(lambda: not client.list_schedules()["Schedules"])
    assert len(lines_of(account, "once")) == 1


def test_what_is_refused_is_in_the_log(account):
    wrong = target(account, "createProcessingJob", {"ProcessingJobName": "x"})
    account.client("scheduler").create_schedule(
        Name="wrong", ScheduleExpression=soon(1), FlexibleTimeWindow=OFF, Target=wrong
    )
    said = eventually(lambda: lines_of(account, "wrong"))
    assert said[0].startswith("CreateProcessingJob: ValidationException")


def test_a_schedule_is_described_changed_listed_and_deleted(account):
    client = account.client("scheduler")
    given = {"ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": OFF, "Target": target(account)}
    arn = client.create_schedule(Name="a", Description="d", **given)["ScheduleArn"]
    assert arn.endswith(":schedule/default/a")
    described = client.get_schedule(Name="a")
    assert (described["Arn"], described["State"], described["Description"]) == (arn, "ENABLED", "d")
    given["ScheduleExpression"] = "cron(0 6 * * ? *)"
    client.update_schedule(Name="a", State="DISABLED", ScheduleExpressionTimezone="Europe/Zurich", **given)
    described = client.get_schedule(Name="a")
    assert (described["ScheduleExpression"], described["State"]) == ("cron(0 6 * * ? *)", "DISABLED")
    assert "Description" not in described
    client.create_schedule(Name="b", **given)
    pages = client.get_paginator("list_schedules").paginate(PaginationConfig={"PageSize": 1})
    assert [each["Name"] for page in pages for each in page["Schedules"]] == ["a", "b"]
    assert [each["Name"] for each in client.list_schedules(State="ENABLED")["Schedules"]] == ["b"]
    with pytest.raises(client.exceptions.ConflictException):
        client.create_schedule(Name="a", **given)
    client.delete_schedule(Name="a")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_schedule(Name="a")
    client.delete_schedule(Name="b")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ScheduleExpression": "every morning"}, "ScheduleExpression"),
        ({"Arn": "arn:aws:lambda:us-east-1:1:function:f"}, r"Target\.Arn"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:sagemaker:flyToTheMoon"}, "no operation FlyToTheMoon"),
        ({"RoleArn": "arn:aws:iam::999999999999:role/Theirs"}, "not authorized"),
        ({"Input": "[1]"}, "must be a JSON object"),
        ({"GroupName": "mine"}, "does not exist"),
    ],
)
def test_what_cannot_be_is_refused(account, changes, text):
    inside = {name: value for name, value in changes.items() if name in {"Arn", "RoleArn", "Input"}}
    outside = {name: value for name, value in changes.items() if name not in inside}
    given = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": OFF, **outside}
    with pytest.raises(ClientError, match=text):
        account.client("scheduler").create_schedule(Name="x", Target=target(account) | inside, **given)
