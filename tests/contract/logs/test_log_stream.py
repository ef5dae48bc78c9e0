"""CloudWatch Logs through boto3: streams, events, tokens, patterns, and what is refused."""

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

GROUP = "/app"


def now_ms():
    return int(time.time() * 1000)


@pytest.fixture
def account(clary_server):
    return clary_server.account()


@pytest.fixture
def client(account):
    """A client of logs, with one group of two streams: ten lines in `a`, three in `b`."""
    client = account.client("logs")
    client.create_log_group(logGroupName=GROUP)
    for stream, n, age in (("a", 10, 5_000), ("b", 3, 60_000)):
        client.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        events = [{"timestamp": now_ms() - age + i, "message": f"{stream} line {i}"} for i in range(n)]
        client.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)
    return client


def messages(answer):
    return [each["message"] for each in answer["events"]]


def read(client, **request):
    return client.get_log_events(**{"logGroupName": GROUP, "logStreamName": "a", **request})


def code_of(call, **request):
    with pytest.raises(ClientError) as refused:
        call(**request)
    return refused.value.response["Error"]["Code"]


def test_events_come_from_the_tail_unless_asked_from_the_head(client):
    assert messages(read(client, limit=3)) == ["a line 7", "a line 8", "a line 9"]
    assert messages(read(client, limit=3, startFromHead=True)) == ["a line 0", "a line 1", "a line 2"]


def test_tokens_lead_both_ways_and_repeat_at_the_ends(client):
    tail = read(client, limit=4)
    before = read(client, limit=4, nextToken=tail["nextBackwardToken"])
    assert messages(before) == [f"a line {n}" for n in (2, 3, 4, 5)]
    assert messages(read(client, limit=4, nextToken=before["nextForwardToken"])) == messages(tail)
    end = read(client, nextToken=tail["nextForwardToken"])
    assert end["events"] == []
    assert end["nextForwardToken"] == tail["nextForwardToken"]
    late = [{"timestamp": now_ms(), "message": "late"}]
    client.put_log_events(logGroupName=GROUP, logStreamName="a", logEvents=late)
    assert messages(read(client, nextToken=end["nextForwardToken"])) == ["late"]


def test_a_time_range_begins_with_its_start_and_ends_before_its_end(client):
    (first, *_, last) = read(client)["events"]
    found = read(client, startTime=first["timestamp"], endTime=last["timestamp"])
    assert messages(found) == [f"a line {n}" for n in range(9)]


def test_streams_in_order_of_their_last_event_or_their_name(client):
    def names(**request):
        return [
            each["logStreamName"]
            for each in client.describe_log_streams(logGroupName=GROUP, **request)["logStreams"]
        ]

    assert names() == ["a", "b"]
    assert names(orderBy="LastEventTime") == ["b", "a"]
    assert names(orderBy="LastEventTime", descending=True, limit=1) == ["a"]
    assert names(logStreamNamePrefix="b") == ["b"]
    paginate = client.get_paginator("describe_log_streams").paginate
    for order in ("LogStreamName", "LastEventTime"):
        found = paginate(logGroupName=GROUP, orderBy=order, PaginationConfig={"PageSize": 1})
        assert sorted(each["logStreamName"] for page in found for each in page["logStreams"]) == ["a", "b"]


def test_all_streams_on_one_page_give_no_token(client):
    assert "nextToken" not in client.describe_log_streams(logGroupName=GROUP)
    assert "nextToken" not in client.describe_log_streams(logGroupName=GROUP, limit=2)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("", 13),
        ("line", 13),
        ('"line 2"', 2),
        ("a -line", 0),
        ("?7 ?8", 2),
        ("line 1", 2),
    ],
    ids=["all", "term", "phrase", "excluded", "either", "both"],
)
def test_filter_patterns(client, pattern, wanted):
    found = client.filter_log_events(logGroupName=GROUP, filterPattern=pattern)
    assert len(found["events"]) == wanted
    assert "nextToken" not in found


def test_filtered_pages_hold_every_event_once(client):
    paged = client.get_paginator("filter_log_events").paginate(
        logGroupName=GROUP, PaginationConfig={"PageSize": 5}
    )
    sizes, lines = [], []
    for page in paged:
        sizes.append(len(page["events"]))
        lines += messages(page)
    assert sizes == [5, 5, 3]
    assert sorted(lines) == sorted([f"a line {n}" for n in range(10)] + [f"b line {n}" for n in range(3)])
    assert "nextToken" not in client.filter_log_events(logGroupName=GROUP, limit=13)


def test_events_too_old_or_too_far_ahead_are_left_out_and_said_to_be(client):
    ahead, day = 3 * 3_600_000, 86_400_000
    times = [now_ms() - 15 * day, now_ms(), now_ms() + ahead]
    answer = client.put_log_events(
        logGroupName=GROUP,
        logStreamName="b",
        logEvents=[{"timestamp": ms, "message": f"at {n}"} for n, ms in enumerate(times)],
    )
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2}
    assert messages(read(client, logStreamName="b"))[-1] == "at 1"


def test_a_batch_out_of_order_or_too_large_is_refused(client):
    put = {"logGroupName": GROUP, "logStreamName": "b"}
    unordered = [{"timestamp": now_ms() - n, "message": "x"} for n in range(2)]
    large = [{"timestamp": now_ms(), "message": "x" * 600_000}] * 2
    for events in (unordered, large):
        assert code_of(client.put_log_events, **put, logEvents=events) == "InvalidParameterException"
    assert len(read(client, logStreamName="b")["events"]) == 3


def test_what_is_not_there_is_not_found(client):
    missing = {"logGroupName": "/none", "logStreamName": "a"}
    event = [{"timestamp": now_ms(), "message": "x"}]
    group = {"logGroupName": "/none"}
    stream = {"logGroupName": GROUP, "logStreamName": "none"}
    for call, request in (
        (client.get_log_events, missing),
        (client.get_log_events, stream),
        (client.put_log_events, {**stream, "logEvents": event}),
        (client.describe_log_streams, group),
        (client.filter_log_events, group),
        (client.filter_log_events, {"logGroupName": GROUP, "logStreamNames": ["a", "none"]}),
        (client.delete_log_group, group),
        (client.delete_log_stream, stream),
        (client.create_log_stream, missing),
    ):
        assert code_of(call, **request) == "ResourceNotFoundException", (call, request)


def test_what_exists_is_not_made_again(client):
    taken = "ResourceAlreadyExistsException"
    assert code_of(client.create_log_group, logGroupName=GROUP) == taken
    assert code_of(client.create_log_stream, logGroupName=GROUP, logStreamName="a") == taken


def test_what_makes_no_sense_is_refused(client):
    group = {"logGroupName": GROUP}
    stream = {**group, "logStreamName": "a"}
    ordered = {**group, "orderBy": "LastEventTime", "logStreamNamePrefix": "a"}
    wrong: tuple[tuple[Any, dict[str, Any]], ...] = (
        (client.describe_log_streams, ordered),
        (client.describe_log_streams, {}),
        (client.describe_log_streams, {**group, "logGroupIdentifier": GROUP}),
        (client.describe_log_streams, {"logGroupIdentifier": "arn:aws:s3:::x"}),
        *(
            (client.describe_log_streams, {**group, "nextToken": token})
            for token in ("x", "WzEsMl0=", "MQ==")
        ),
        *((client.get_log_events, {**stream, "nextToken": token}) for token in ("x", "f/x", "f/" + "9" * 56)),
        *((client.filter_log_events, {**group, "nextToken": token}) for token in ("x", "WzEsMl0=", "Ii0i")),
        (client.filter_log_events, {**group, "logStreamNames": ["a"], "logStreamNamePrefix": "a"}),
        (client.filter_log_events, {**group, "filterPattern": "{ $.a = 1 }"}),
        (client.describe_log_groups, {"logGroupNamePrefix": "/", "logGroupNamePattern": "a"}),
        (client.describe_log_groups, {"nextToken": "MQ=="}),
    )
    for call, request in wrong:
        assert code_of(call, **request) == "InvalidParameterException", (call, request)


def test_groups_come_in_pages_by_name(account):
    client = account.client("logs")
    names = [f"/g/{n}" for n in range(5)]
    for name in names:
        client.create_log_group(logGroupName=name)
    paged = client.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 2})
    found = [[each["logGroupName"] for each in page["logGroups"]] for page in paged]
    assert found == [names[:2], names[2:4], names[4:]]


def test_groups_belong_to_an_account_and_a_region(client, account, clary_server):
    arn = client.describe_log_groups()["logGroups"][0]["arn"].removesuffix(":*")
    other, far = clary_server.account().client("logs"), account.client("logs", region="eu-west-1")
    for stranger in (other, far):
        stranger.create_log_group(logGroupName=GROUP)
        assert stranger.describe_log_streams(logGroupName=GROUP)["logStreams"] == []
        assert code_of(stranger.describe_log_streams, logGroupIdentifier=arn) == "ResourceNotFoundException"
        stranger.delete_log_group(logGroupName=GROUP)
    assert len(client.describe_log_streams(logGroupIdentifier=arn)["logStreams"]) == 2


def test_what_is_deleted_is_gone_with_its_events(client):
    client.delete_log_stream(logGroupName=GROUP, logStreamName="a")
    assert len(client.filter_log_events(logGroupName=GROUP)["events"]) == 3
    client.delete_log_group(logGroupName=GROUP)
    client.create_log_group(logGroupName=GROUP)
    client.create_log_stream(logGroupName=GROUP, logStreamName="b")
    assert read(client, logStreamName="b")["events"] == []
