"""StartLiveTail through boto3: lines arrive while the stream is open."""

import threading
import time

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError


@pytest.fixture
def account(clary_server):
    return clary_server.account()


@pytest.fixture
def client(account):
    """A client as `clary env` makes them: host names stay as they are."""
    return account.client("logs", config=Config(inject_host_prefix=False, proxies={}))


@pytest.fixture
def arn(account, client):
    client.create_log_group(logGroupName="/app")
    for stream in ("a", "b"):
        client.create_log_stream(logGroupName="/app", logStreamName=stream)
    put(client, "a", "before the session")
    return f"arn:aws:logs:{account.region}:{account.account_id}:log-group:/app"


def put(client, stream, *lines):
    events = [{"timestamp": int(time.time() * 1000), "message": line} for line in lines]
    client.put_log_events(logGroupName="/app", logStreamName=stream, logEvents=events)


def follow(client, write, wanted, **request):
    """Open a session, write, and return the first `wanted` lines and the session's start."""
    stream = client.start_live_tail(**request)["responseStream"]
    start, lines = None, []
    try:
        for event in stream:
            if "sessionStart" in event:
                start = event["sessionStart"]
                write()
            else:
                assert event["sessionUpdate"]["sessionMetadata"] == {"sampled": False}
                lines += [
                    (line["logStreamName"], line["message"])
                    for line in event["sessionUpdate"]["sessionResults"]
                ]
            if len(lines) >= wanted:
                break
    finally:
        stream.close()
    return start, lines


def test_lines_arrive_as_they_are_written_and_older_ones_do_not(client, arn):
    def write():
        put(client, "a", "one", "two")
        put(client, "b", "three")

    start, lines = follow(client, write, 3, logGroupIdentifiers=[arn])
    assert start["logGroupIdentifiers"] == [arn]
    assert lines == [("a", "one"), ("a", "two"), ("b", "three")]


@pytest.mark.parametrize(
    "chosen",
    [
        {"logEventFilterPattern": "keep"},
        {"logStreamNames": ["b"]},
        {"logStreamNamePrefixes": ["b", "bb"]},
    ],
    ids=["pattern", "names", "prefixes"],
)
def test_a_session_has_only_what_was_chosen(client, arn, chosen):
    def write():
        put(client, "a", "drop")
        put(client, "b", "keep")

    assert follow(client, write, 1, logGroupIdentifiers=[arn], **chosen)[1] == [("b", "keep")]


def test_many_sessions_leave_room_for_calls(client, arn):
    streams = [client.start_live_tail(logGroupIdentifiers=[arn])["responseStream"] for _ in range(8)]
    try:
        opened = [next(iter(stream)) for stream in streams]
        assert all("sessionStart" in each for each in opened)
        assert client.describe_log_groups()["logGroups"]
    finally:
        for stream in streams:
            stream.close()


def test_more_lines_than_a_message_may_hold_are_sampled(client, arn):
    stream = client.start_live_tail(logGroupIdentifiers=[arn])["responseStream"]
    writer = threading.Thread(target=put, args=(client, "a", *map(str, range(700))))
    updates = []
    for event in stream:
        if "sessionStart" in event:
            writer.start()
            continue
        updates.append(event["sessionUpdate"])
        if updates[-1]["sessionResults"]:
            break
    stream.close()
    writer.join()
    assert updates[-1]["sessionMetadata"]["sampled"]
    assert len(updates[-1]["sessionResults"]) == 500


def test_what_makes_no_sense_is_refused_before_the_stream_opens(client, arn, clary_server, account):
    def code_of(caller, **request):
        with pytest.raises(ClientError) as refused:
            caller.start_live_tail(**{"logGroupIdentifiers": [arn], **request})
        return refused.value.response["Error"]["Code"]

    config = Config(inject_host_prefix=False, proxies={})
    client.create_log_group(logGroupName="/other")
    two = [arn, arn.replace("/app", "/other")]
    assert code_of(client, logGroupIdentifiers=[f"{arn}-none"]) == "ResourceNotFoundException"
    for stranger in (
        clary_server.account().client("logs", config=config),
        account.client("logs", region="eu-west-1", config=config),
    ):
        assert code_of(stranger) == "ResourceNotFoundException"
    for request in (
        {"logStreamNames": ["a"], "logStreamNamePrefixes": ["a"]},
        {"logGroupIdentifiers": two, "logStreamNames": ["a"]},
        {"logEventFilterPattern": "{ $.a = 1 }"},
    ):
        assert code_of(client, **request) == "InvalidParameterException"
