"""Jobs of several hosts, and what network isolation leaves of the network."""

import json

import pytest

from clary.testing.jobs import ScriptJob

MEET = """
import json, os, socket, time
me, hosts = os.environ["SM_CURRENT_HOST"], json.loads(os.environ["SM_HOSTS"])
found = {"me": me, "hosts": hosts, "name": socket.gethostname(), "address": socket.gethostbyname(me)}
other = hosts[1] if me == hosts[0] else hosts[0]
found["other"] = socket.gethostbyname(other)
found["groups"] = json.loads(os.environ["SM_RESOURCE_CONFIG"])["instance_groups"]
if me == "algo-1":
    server = socket.create_server(("algo-1", 7777))
    peer, address = server.accept()
    found["heard"] = peer.recv(100).decode()
    peer.sendall(b"from algo-1")
else:
    for _ in range(600):
        try:
            peer = socket.create_connection(("algo-1", 7777), 5)
            break
        except OSError:
            time.sleep(0.05)
    peer.sendall(b"from algo-2")
    found["heard"] = peer.recv(100).decode()
# both listen on one port, each under its own name
both = socket.create_server((me, 7778))
json.dump(found, open(f"/opt/ml/model/{me}.json", "w"))
open(f"/opt/ml/output/data/{me}.txt", "w").write(me)
print(f"{me} heard {found['heard']}")
"""


@pytest.mark.parametrize("isolated", [False, True], ids=["open", "isolated"])
def test_two_hosts_find_each_other_by_name_and_talk(clary_server, isolated):
    job = ScriptJob.create(clary_server.account(), MEET, instances=2, EnableNetworkIsolation=isolated)
    model = job.model()
    first, second = (json.loads(model[f"algo-{n}.json"]) for n in (1, 2))
    for n, found in ((1, first), (2, second)):
        assert found["me"] == found["name"] == f"algo-{n}"
        assert found["hosts"] == ["algo-1", "algo-2"]
        assert found["address"] != found["other"]
        assert found["groups"][0]["hosts"] == ["algo-1", "algo-2"]
    assert first["address"] == second["other"]
    assert first["heard"] == "from algo-2"
    assert second["heard"] == "from algo-1"
    assert {"algo-1 heard from algo-2", "algo-2 heard from algo-1"} <= set(job.lines())
    streams = job.account.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{job.name}/"
    )["logStreams"]
    assert {each["logStreamName"].split("/")[1][:6] for each in streams} == {"algo-1", "algo-2"}


def test_one_failed_host_fails_the_job_and_ends_the_other(clary_server):
    text = """
import os, time
if os.environ["SM_CURRENT_HOST"] == "algo-2":
    raise ValueError("the second host fails")
time.sleep(600)
"""
    described = ScriptJob.create(clary_server.account(), text, instances=2).wait(limit_s=30)
    assert described["TrainingJobStatus"] == "Failed"
    assert "the second host fails" in described["FailureReason"]


def test_instance_groups_give_each_host_its_group_and_its_type(clary_server):
    text = """
import json, os
names = ("SM_CURRENT_HOST", "SM_CURRENT_INSTANCE_GROUP", "SM_CURRENT_INSTANCE_TYPE", "SM_INSTANCE_GROUPS")
found = {name: os.environ[name] for name in names}
json.dump(found, open(f"/opt/ml/model/{os.environ['SM_CURRENT_HOST']}.json", "w"))
"""
    account = clary_server.account()
    groups = [
        {"InstanceGroupName": "big", "InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        {"InstanceGroupName": "small", "InstanceType": "ml.m5.large", "InstanceCount": 1},
    ]
    resources = {"InstanceGroups": groups, "VolumeSizeInGB": 5}
    job = ScriptJob.create(account, text, instances=0, ResourceConfig=resources)
    model = job.model()
    first, second = (json.loads(model[f"algo-{n}.json"]) for n in (1, 2))
    assert first["SM_CURRENT_INSTANCE_GROUP"] == "big"
    assert second["SM_CURRENT_INSTANCE_GROUP"] == "small"
    assert second["SM_CURRENT_INSTANCE_TYPE"] == "ml.m5.large"
    assert json.loads(first["SM_INSTANCE_GROUPS"]) == ["big", "small"]


REACH = """
import json, os, socket, urllib.request
def tried(work):
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
server = os.environ["AWS_ENDPOINT_URL"].rpartition("//")[2].rsplit(":", 1)
listener = socket.create_server(("127.0.0.1", 0))
found = {
    "server": tried(lambda: socket.create_connection((server[0], int(server[1])), 2)),
    "world": tried(lambda: socket.create_connection(("192.0.2.1", 443), 2)),
    "name": tried(lambda: socket.getaddrinfo("example.com", 443)),
    "own": tried(lambda: socket.create_connection(listener.getsockname(), 2)),
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
}
json.dump(found, open("/opt/ml/model/findings.json", "w"))
"""


def test_network_isolation_leaves_the_own_loopback_alone(clary_server):
    found = ScriptJob.create(clary_server.account(), REACH, EnableNetworkIsolation=True).findings()
    assert found["own"] == ""
    assert found["server"]
    assert found["world"]
    assert found["name"]
    assert found["interfaces"] == ["lo"]


def test_without_isolation_the_server_is_reached(clary_server):
    found = ScriptJob.create(clary_server.account(), REACH).findings()
    assert found["server"] == found["own"] == ""
