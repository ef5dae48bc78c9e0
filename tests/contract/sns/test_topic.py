"""Topics, subscriptions and notifications through boto3 against a live server."""

import base64
import json
import threading
import time
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from clary.kernel import ids
from clary.testing.subscriber import subscriber


@pytest.fixture
def account(clary_server):
    return clary_server.account()


@pytest.fixture
def sns(account):
    return account.client("sns")


@pytest.fixture
def topic(sns):
    return sns.create_topic(Name=f"topic-{ids.short()}")["TopicArn"]


def subscribed(sns, topic, web, **attributes):
    """Subscribe, and return the subscription's ARN once it is confirmed."""
    arn = sns.subscribe(
        TopicArn=topic, Protocol="http", Endpoint=web.url, Attributes=attributes, ReturnSubscriptionArn=True
    )["SubscriptionArn"]
    deadline = time.monotonic() + 60
    while sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["PendingConfirmation"] == "true":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return arn


def is_notification(headers, _body):
    return headers["x-amz-sns-message-type"] == "Notification"


def code_of(call, **members):
    with pytest.raises(ClientError) as caught:
        call(**members)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def lines_of(account, topic, stream):
    group = "sns/" + "/".join(topic.split(":")[3:])
    logs = account.client("logs")
    try:
        found = logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [json.loads(each["message"]) for each in found]


def test_topics_are_made_once_listed_tagged_and_deleted(sns, topic):
    name = topic.rpartition(":")[2]
    assert sns.create_topic(Name=name, Tags=[])["TopicArn"] == topic
    assert {"TopicArn": topic} in sns.list_topics()["Topics"]
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="Mine")
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert (attributes["DisplayName"], attributes["SubscriptionsConfirmed"]) == ("Mine", "0")
    sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "a", "Value": "b"}])
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "a", "Value": "b"}]
    assert code_of(sns.create_topic, Name=name, Tags=[{"Key": "a", "Value": "c"}])[0] == "InvalidParameter"
    sns.untag_resource(ResourceArn=topic, TagKeys=["a"])
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == []
    sns.delete_topic(TopicArn=topic)
    sns.delete_topic(TopicArn=topic)
    assert code_of(sns.get_topic_attributes, TopicArn=topic) == ("NotFound", "Topic does not exist")
    assert code_of(sns.publish, TopicArn=topic, Message="x")[0] == "NotFound"


def test_a_message_reaches_its_subscriber_signed(account, sns, topic):
    with subscriber() as web:
        arn = subscribed(sns, topic, web)
        (listed,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        assert (listed["SubscriptionArn"], listed["Endpoint"]) == (arn, web.url)
        assert sns.list_subscriptions()["Subscriptions"] == [listed]
        attribute = {"kind": {"DataType": "String", "StringValue": "test"}}
        sent = sns.publish(TopicArn=topic, Message="hello", Subject="About", MessageAttributes=attribute)
        headers, body = web.await_one(is_notification)
        message = json.loads(body)
        assert headers["x-amz-sns-topic-arn"] == topic
        assert headers["x-amz-sns-subscription-arn"] == arn
        assert (message["MessageId"], message["Message"]) == (sent["MessageId"], "hello")
        assert message["MessageAttributes"] == {"kind": {"Type": "String", "Value": "test"}}
        with urllib.request.urlopen(message["SigningCertURL"]) as answer:
            key = x509.load_pem_x509_certificate(answer.read()).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        names = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
        text = "".join(f"{name}\n{message[name]}\n" for name in names).encode()
        key.verify(base64.b64decode(message["Signature"]), text, padding.PKCS1v15(), hashes.SHA1())
        (line,) = lines_of(account, topic, "messages")
        assert line == {"MessageId": sent["MessageId"], "Subject": "About", "Message": "hello"}
        urllib.request.urlopen(message["UnsubscribeURL"]).close()
        assert sns.list_subscriptions()["Subscriptions"] == []


def test_an_address_that_does_not_confirm_gets_no_message(sns, topic):
    with subscriber(confirms=False) as web:
        answer = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=web.url)
        assert answer["SubscriptionArn"] == "pending confirmation"
        _, body = web.await_one(lambda headers, _: "confirm" in headers["x-amz-sns-message-type"].lower())
        sns.publish(TopicArn=topic, Message="nobody hears")
        token = json.loads(body)["Token"]
        assert code_of(sns.confirm_subscription, TopicArn=topic, Token="x")[0] == "InvalidParameter"
        arn = sns.confirm_subscription(TopicArn=topic, Token=token)["SubscriptionArn"]
        sns.publish(TopicArn=topic, Message="heard")
        _, body = web.await_one(is_notification)
        assert json.loads(body)["Message"] == "heard"
        assert len(web.notifications()) == 1
        sns.unsubscribe(SubscriptionArn=arn)
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(json.loads(body)["UnsubscribeURL"])


def test_raw_messages_and_texts_by_protocol(sns, topic):
    with subscriber() as web:
        subscribed(sns, topic, web, RawMessageDelivery="true")
        text = json.dumps({"default": "all", "http": "web only"})
        sns.publish(TopicArn=topic, Message=text, MessageStructure="json")
        headers, body = web.await_one(is_notification)
        assert (headers["x-amz-sns-rawdelivery"], body) == ("true", "web only")


def test_a_delivery_that_fails_is_tried_again_and_a_refused_one_is_told(account, sns, topic):
    policy = {"healthyRetryPolicy": {"numRetries": 2, "minDelayTarget": 1, "maxDelayTarget": 1}}
    with subscriber(statuses=[500, 200, 403]) as web:
        subscribed(sns, topic, web, DeliveryPolicy=json.dumps(policy))
        sns.publish(TopicArn=topic, Message="first")
        deadline = time.monotonic() + 60
        while len(web.notifications()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        sns.publish(TopicArn=topic, Message="second")
        while not (failures := lines_of(account, topic, "failures")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [json.loads(each)["Message"] for each in web.notifications()] == ["first", "first", "second"]
        assert failures[0]["attempts"] == 1
        assert failures[0]["providerResponse"].startswith("403")


def test_a_slow_subscriber_holds_up_nobody_else(sns, topic):
    gate = threading.Event()
    with subscriber(held=gate) as slow, subscriber() as quick:
        subscribed(sns, topic, slow)
        subscribed(sns, topic, quick)
        for n in range(10):
            sns.publish(TopicArn=topic, Message=str(n))
        quick.await_one(lambda headers, body: is_notification(headers, body) and '"9"' in body)
        assert len(slow.notifications()) <= 1
        gate.set()
        slow.await_one(lambda headers, body: is_notification(headers, body) and '"9"' in body)


def test_batches_and_what_is_refused(sns, topic):
    done = sns.publish_batch(
        TopicArn=topic,
        PublishBatchRequestEntries=[
            {"Id": "a", "Message": "x"},
            {"Id": "b", "Message": "x", "Subject": "s" * 101},
        ],
    )
    assert [each["Id"] for each in done["Successful"]] == ["a"]
    assert [(each["Id"], each["Code"]) for each in done["Failed"]] == [("b", "InvalidParameter")]
    refused = [
        (sns.create_topic, {"Name": "a.fifo"}, "FIFO"),
        (sns.create_topic, {"Name": "a b"}, "letters, digits"),
        (sns.subscribe, {"TopicArn": topic, "Protocol": "sqs", "Endpoint": "x"}, "'sqs' is not served"),
        (
            sns.subscribe,
            {"TopicArn": topic, "Protocol": "http", "Endpoint": "https://x"},
            "begins with http://",
        ),
        (sns.publish, {"PhoneNumber": "+1", "Message": "x"}, "text messages are not served"),
        (sns.publish, {"TopicArn": topic, "Message": "x" * 262_145}, "too long"),
        (sns.set_topic_attributes, {"TopicArn": topic, "AttributeName": "KmsMasterKeyId"}, "not served"),
    ]
    for call, members, says in refused:
        code, message = code_of(call, **members)
        assert code == "InvalidParameter"
        assert says in message
    other = topic.replace(topic.split(":")[4], "123456789012")
    assert code_of(sns.publish, TopicArn=other, Message="x")[0] == "AuthorizationError"


def test_an_alarm_tells_its_topics(account, sns, topic):
    with subscriber() as web:
        subscribed(sns, topic, web)
        cloudwatch = account.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName="too-slow",
            MetricName="Latency",
            Namespace="Mine",
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="GreaterThanThreshold",
            AlarmActions=[topic],
        )
        cloudwatch.set_alarm_state(AlarmName="too-slow", StateValue="ALARM", StateReason="a test")
        _, body = web.await_one(is_notification)
        message = json.loads(body)
        assert message["Subject"] == 'ALARM: "too-slow" in us-east-1'
        told = json.loads(message["Message"])
        assert (told["NewStateValue"], told["NewStateReason"]) == ("ALARM", "a test")
        assert told["Trigger"]["MetricName"] == "Latency"
        cloudwatch.delete_alarms(AlarmNames=["too-slow"])
