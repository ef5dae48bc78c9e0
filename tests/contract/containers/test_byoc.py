"""Images of one's own, for real: trained on two hosts, served, transformed, stopped, refused, cleaned up."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from clary.testing.server import Account, ClaryServer

pytestmark = [pytest.mark.slow, pytest.mark.documented, pytest.mark.timeout(600)]
ROWS = "".join(f"{n},{2 * n}\n" for n in range(10))
DEADLINE_S = 240.0
RUN = {"ContainerEntrypoint": ["python3", "-c", "import os; exec(os.environ['PROGRAM'])"]}
"""Runs the text of a variable: an argument of a request is one line of 256 characters."""


@pytest.fixture(scope="module")
def account(container_server: ClaryServer) -> Account:
    made = container_server.account()
    s3 = made.client("s3")
    s3.create_bucket(Bucket="byoc")
    for n in (1, 2):
        s3.put_object(Bucket="byoc", Key=f"in/{n}.csv", Body=ROWS.encode())
    return made


def until(look: Callable[[], Any]) -> Any:
    ends_at = time.monotonic() + DEADLINE_S
    while time.monotonic() < ends_at:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come in time")


def train(
    account: Account, image: str, name: str, *, count: int = 1, size: str = "ml.m5.large", **more: Any
) -> None:
    account.client("sagemaker").create_training_job(
        TrainingJobName=name,
        RoleArn=account.role_arn,
        AlgorithmSpecification={
            "TrainingImage": image,
            "TrainingInputMode": "File",
            **more.pop("Specification", {}),
        },
        InputDataConfig=[
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://byoc/in/"}},
            }
        ],
        OutputDataConfig={"S3OutputPath": "s3://byoc/out"},
        ResourceConfig={"InstanceType": size, "InstanceCount": count, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        **more,
    )


def ended(account: Account, name: str) -> Mapping[str, Any]:
    sagemaker = account.client("sagemaker")

    def look() -> Mapping[str, Any] | None:
        found: Mapping[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        return found if found["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"} else None

    found: Mapping[str, Any] = until(look)
    return found


def lines(account: Account, name: str) -> list[str]:
    logs, group = account.client("logs"), "/aws/sagemaker/TrainingJobs"
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=name)["logStreams"]
    except logs.exceptions.ResourceNotFoundException:  # no job of this account has said anything yet
        return []
    return [
        event["message"]
        for each in streams
        for event in logs.get_log_events(logGroupName=group, logStreamName=each["logStreamName"])["events"]
    ]


def names(podman: list[str]) -> str:
    command = [*podman, "ps", "-a", "--format", "{{.Names}}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def trained(account: Account, image: str) -> str:
    definitions = [{"Name": "spread", "Regex": r"spread=(\S+)"}]
    train(account, image, "two-hosts", count=2, Specification={"MetricDefinitions": definitions})
    found = ended(account, "two-hosts")
    assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
    assert found["FinalMetricDataList"][0]["MetricName"] == "spread"
    uri: str = found["ModelArtifacts"]["S3ModelArtifacts"]
    return uri


def test_two_hosts_train_and_leave_no_container(account: Account, trained: str, podman: list[str]) -> None:
    assert sum("20 rows" in each for each in lines(account, "two-hosts")) == 2
    assert "two-hosts" not in names(podman)


def test_a_container_finds_its_peers_its_credentials_and_its_store(account: Account, image: str) -> None:
    program = (
        "import json,os,socket,urllib.request as u\n"
        "print('peers', [socket.gethostbyname(n) != '' for n in ('algo-1', 'algo-2')])\n"
        "asked = u.Request(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'],"
        " headers={'Authorization': os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']})\n"
        "print('keys', json.load(u.urlopen(asked))['AccessKeyId'][:4])\n"
    )
    train(account, image, "inside", count=2, Specification=RUN, Environment={"PROGRAM": program})
    found = ended(account, "inside")
    assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
    said = lines(account, "inside")
    assert said.count("peers [True, True]") == 2
    assert said.count("keys ASIA") == 2


def test_failures_are_told_in_the_programs_words_or_the_engines(account: Account, image: str) -> None:
    train(account, image, "bad-input", HyperParameters={"power": "much"})
    assert "could not convert string to float: 'much'" in ended(account, "bad-input")["FailureReason"]
    train(account, "registry.invalid/none:1", "no-image")
    reason = ended(account, "no-image")["FailureReason"]
    assert reason.startswith("ClientError: The image registry.invalid/none:1 could not be pulled")


def test_a_container_has_the_memory_of_its_instance_and_no_more(account: Account, image: str) -> None:
    program = (
        "import os\n"
        "s = os.statvfs('/dev/shm'); print('shared', s.f_blocks * s.f_frsize >> 20, flush=True)\n"
        "kept = [b'x' * (64 << 20) for _ in range(200)]"
    )
    train(account, image, "starved", size="ml.t3.medium", Specification=RUN, Environment={"PROGRAM": program})
    found = ended(account, "starved")
    assert found["TrainingJobStatus"] == "Failed"
    assert "The program used more than the 4096 MiB of ml.t3.medium" in found["FailureReason"]
    assert "shared 4096" in lines(account, "starved")


def test_an_isolated_container_reaches_its_own_hosts_alone(account: Account, image: str) -> None:
    program = (
        "import os, socket, time\n"
        "door = socket.create_server(('', 9999))\n"
        "def asked(where):\n"
        "    try:\n"
        "        return socket.create_connection(where, 2)\n"
        "    except OSError as error:\n"
        "        return type(error).__name__\n"
        "clary = asked(os.environ['AWS_ENDPOINT_URL'].rpartition('/')[2].split(':'))\n"
        "print('clary', clary, 'outside', asked(('192.0.2.1', 80)))\n"
        "peer = 'algo-2' if socket.gethostname() == 'algo-1' else 'algo-1'\n"
        "while isinstance(asked((peer, 9999)), str): time.sleep(0.1)\n"
        "door.accept(); print('met', peer)"
    )
    train(
        account,
        image,
        "isolated",
        count=2,
        Specification=RUN,
        Environment={"PROGRAM": program},
        EnableNetworkIsolation=True,
    )
    found = ended(account, "isolated")
    assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
    said = lines(account, "isolated")
    assert {"met algo-1", "met algo-2"} <= set(said)
    refused = re.compile(r"clary ConnectionRefusedError outside \w*Error")
    assert sum(bool(refused.fullmatch(each)) for each in said) == 2, said


def test_a_stop_is_a_sigterm_first(account: Account, image: str) -> None:
    program = (
        "import signal,sys,time\n"
        "def end(*_):\n"
        "    open('/opt/ml/model/kept','w').write('x'); print('told', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)"
    )
    train(account, image, "stopped", Specification=RUN, Environment={"PROGRAM": program})
    until(lambda: "ready" in lines(account, "stopped"))
    account.client("sagemaker").stop_training_job(TrainingJobName="stopped")
    assert ended(account, "stopped")["TrainingJobStatus"] == "Stopped"
    assert "told" in lines(account, "stopped")


def test_the_container_of_a_killed_agent_goes_with_it(
    container_server: ClaryServer, account: Account, image: str, podman: list[str]
) -> None:
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit())\n"  # a first process is not ended by it alone
        "print('ready', flush=True)\n"
        "time.sleep(600)"
    )
    train(account, image, "orphan", Specification=RUN, Environment={"PROGRAM": program})
    until(lambda: "ready" in lines(account, "orphan"))
    homes = [
        each.parent / "hosts/algo-1"
        for each in container_server.settings.runs_dir.glob("*/spec.json")
        if json.loads(each.read_text())["name"] == "orphan"
    ]
    assert "orphan" in names(podman)
    os.kill(int((homes[0] / "pid").read_text().split()[0]), signal.SIGKILL)
    container = f"clary-{homes[0].parents[1].name}-algo-1"
    until(lambda: container not in names(podman))
    until(lambda: lines(account, "orphan").count("ready") == 2)  # started again, and hears what it is told
    account.client("sagemaker").stop_training_job(TrainingJobName="orphan")
    ended(account, "orphan")


def test_an_endpoint_and_a_transform_job_ask_it_over_http(account: Account, image: str, trained: str) -> None:
    sagemaker, runtime = account.client("sagemaker"), account.client("sagemaker-runtime")
    container = {"Image": image, "ModelDataUrl": trained}
    sagemaker.create_model(ModelName="mine", ExecutionRoleArn=account.role_arn, PrimaryContainer=container)
    variant = {
        "VariantName": "v",
        "ModelName": "mine",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(EndpointConfigName="mine", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="mine", EndpointConfigName="mine")
    until(lambda: sagemaker.describe_endpoint(EndpointName="mine")["EndpointStatus"] != "Creating")
    asked = {"EndpointName": "mine", "ContentType": "text/csv"}
    assert runtime.invoke_endpoint(Body="4.5,9", **asked)["Body"].read() == b"0.000000\n"
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(Body="x,y", **asked)
    assert caught.value.response["OriginalStatusCode"] == 400
    assert "not rows of 2 numbers" in caught.value.response["OriginalMessage"]
    sagemaker.delete_endpoint(EndpointName="mine")
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://byoc/in/"}
    sagemaker.create_transform_job(
        TransformJobName="mine",
        ModelName="mine",
        TransformInput={
            "DataSource": {"S3DataSource": source},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        TransformOutput={"S3OutputPath": "s3://byoc/transformed", "AssembleWith": "Line"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    describe = sagemaker.describe_transform_job
    found = until(
        lambda: (d := describe(TransformJobName="mine"))["TransformJobStatus"] != "InProgress" and d
    )
    assert found["TransformJobStatus"] == "Completed", found.get("FailureReason")
    made = account.client("s3").get_object(Bucket="byoc", Key="transformed/1.csv.out")["Body"].read()
    assert len(made.split()) == 10
