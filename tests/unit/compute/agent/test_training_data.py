"""What a training host brings in and publishes: pipes, checkpoints, models of several hosts."""

import gzip
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from clary.compute.base import Outcome
from clary.testing.jobs import unpack
from clary.testing.s3 import MemoryS3

Script = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.usefixtures("own_opt_ml")


def channel(name: str = "train", uri: str = "s3://b/data/", **members: Any) -> dict[str, Any]:
    source = {"S3Uri": uri, **members.pop("source", {})}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **members}


def test_a_pipe_channel_is_read_epoch_by_epoch(
    launch: Any, script: Script, s3: MemoryS3, receiver: Any
) -> None:
    s3.put("s3://b/data/1", gzip.compress(b"one\n"))
    s3.put("s3://b/data/2", gzip.compress(b"two\n"))
    text = (
        "for epoch in range(3):\n"
        "    print(epoch, open(f'/opt/ml/input/data/train_{epoch}').read().split(), flush=True)"
    )
    request = script(text, InputDataConfig=[channel(InputMode="Pipe", CompressionType="Gzip")])
    assert launch(launch.spec(request)).result().outcome is Outcome.SUCCEEDED
    assert receiver.lines() == [f"{epoch} ['one', 'two']" for epoch in range(3)]


def test_a_pipe_that_breaks_fails_the_job(launch: Any, script: Script, s3: MemoryS3) -> None:
    s3.put("s3://b/data/1", b"no gzip")
    request = script(
        "print(len(open('/opt/ml/input/data/train_0').read()))",
        InputDataConfig=[channel(InputMode="Pipe", CompressionType="Gzip")],
    )
    result = launch(launch.spec(request)).result()
    assert result.outcome is Outcome.FAILED
    assert result.reason.startswith("ClientError: s3://b/data/1 is not gzip")


def test_checkpoints_are_restored_and_kept(launch: Any, script: Script, s3: MemoryS3) -> None:
    s3.put("s3://b/keep/sub/epoch", b"4")
    text = (
        "import os\nhere = '/opt/ml/checkpoints/sub/epoch'\nn = int(open(here).read())\n"
        "open(here, 'w').write(str(n + 1))\nopen('/opt/ml/output/intermediate/seen', 'w').write('y')"
    )
    request = script(text, CheckpointConfig={"S3Uri": "s3://b/keep"})
    for expected in (b"5", b"6"):
        result = launch(launch.spec(request)).result()
        assert result.outcome is Outcome.SUCCEEDED, result.reason
        assert s3.get("s3://b/keep/sub/epoch") == expected
    assert s3.get("s3://b/out/job/output/intermediate/seen") == b"y"


def test_checkpoints_reach_the_store_while_the_program_runs(
    launch: Any, script: Script, s3: MemoryS3, receiver: Any
) -> None:
    text = "import time\nopen('/ckpt/1', 'w').write('one')\nwhile True: time.sleep(0.05)"
    request = script(text, CheckpointConfig={"S3Uri": "s3://b/keep/", "LocalPath": "/ckpt"})
    agent = launch(launch.spec(request))
    until = time.monotonic() + 60
    while not s3.keys("s3://b/keep/"):
        assert time.monotonic() < until, receiver.lines()
        time.sleep(0.02)
    os.kill(agent.process.pid, signal.SIGKILL)  # not even the agent's end takes them away
    assert s3.get("s3://b/keep/1") == b"one"


def test_an_uncompressed_model_keeps_its_files(launch: Any, script: Script, s3: MemoryS3) -> None:
    text = "import os\nos.mkdir('/opt/ml/model/d')\nopen('/opt/ml/model/d/f', 'w').write('x')"
    output = {"S3OutputPath": "s3://b/out/", "CompressionType": "NONE"}
    result = launch(launch.spec(script(text, OutputDataConfig=output))).result()
    assert result.artifacts == "s3://b/out/job/output/model/"
    assert s3.get("s3://b/out/job/output/model/d/f") == b"x"


def test_the_first_host_publishes_for_all(launch: Any, script: Script, s3: MemoryS3, receiver: Any) -> None:
    for n in range(4):
        s3.put(f"s3://b/data/{n}", b"x")
    text = (
        "import json, os\nhost = os.environ['SM_CURRENT_HOST']\n"
        "print(host, sorted(os.listdir('/opt/ml/input/data/train')), os.environ['SM_HOSTS'])\n"
        "open(f'/opt/ml/model/{host}', 'w').write(host)\nopen('/opt/ml/model/same', 'w').write(host)\n"
        "open(f'/opt/ml/output/data/{host}', 'w').write(host)"
    )
    sharded = channel(source={"S3DataDistributionType": "ShardedByS3Key"})
    request = script(
        text, InputDataConfig=[sharded], ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2}
    )
    spec = launch.spec(request, hosts=("algo-1", "algo-2"))
    agents = [launch(spec, host) for host in spec.hosts]
    first, second = (each.result() for each in agents)
    assert (first.outcome, second.outcome) == (Outcome.SUCCEEDED, Outcome.SUCCEEDED), (first, second)
    assert second.artifacts == ""
    assert unpack(s3.get(first.artifacts)) == {"algo-1": b"algo-1", "algo-2": b"algo-2", "same": b"algo-1"}
    assert set(unpack(s3.get("s3://b/out/job/output/output.tar.gz"))) == {"algo-1", "algo-2"}
    assert s3.keys("s3://b/out/job/output/.clary") == []
    assert receiver.lines("algo-1") == ["algo-1 ['0', '2'] [\"algo-1\",\"algo-2\"]"]
    assert receiver.lines("algo-2") == ["algo-2 ['1', '3'] [\"algo-1\",\"algo-2\"]"]
