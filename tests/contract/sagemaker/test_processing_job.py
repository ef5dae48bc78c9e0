"""ProcessingJob through boto3 against a live server: its contract inside, its verbs outside."""

import gzip
import json
import os
import re
import signal
import time

import pytest
from botocore.exceptions import ClientError

from clary.cli import agents
from clary.testing.jobs import XGBOOST, new_bucket, read_object
from clary.testing.processing import (
    INPUT,
    OUTPUT,
    ProcessingScript,
    processing_request,
    s3_input,
    s3_output,
)

LOOK = """
import json, os, pathlib, sys
root = pathlib.Path("/opt/ml/processing")
found = {
    "argv": sys.argv,
    "config": json.load(open("/opt/ml/config/processingjobconfig.json")),
    "resources": json.load(open("/opt/ml/config/resourceconfig.json")),
    "files": sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()),
    "environ": dict(os.environ),
    "folders": [os.path.isdir("/opt/ml/processing/output/out")],
}
pathlib.Path("/opt/ml/processing/output/out/deep").mkdir()
pathlib.Path("/opt/ml/processing/output/out/deep/note").write_text("n")
json.dump(found, open("/opt/ml/processing/output/out/findings.json", "w"))
pathlib.Path("/opt/ml/output").mkdir(exist_ok=True)
pathlib.Path("/opt/ml/output/message").write_text("left " + str(len(found["files"])))
print("hello from", found["resources"]["current_host"], flush=True)
"""


def put(account, bucket, files):
    for key, body in files.items():
        account.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture(scope="module")
def looked(account):
    """Return a completed job that told what it found."""
    bucket = new_bucket(account)
    put(account, bucket, {"data/a.csv": b"1\n", "data/deep/b.csv": b"2\n"})
    return ProcessingScript.create(
        account,
        LOOK,
        bucket=bucket,
        inputs=[s3_input("data", f"s3://{bucket}/data")],
        arguments=("--rows", "3"),
        Environment={"MODE": "fast"},
        Tags=[{"Key": "team", "Value": "a"}],
    )


def test_a_script_finds_its_inputs_arguments_and_configuration(looked):
    found = looked.findings()
    assert found["argv"] == [f"{INPUT}/code/script.py", "--rows", "3"]
    assert found["files"] == ["input/code/script.py", "input/data/a.csv", "input/data/deep/b.csv"]
    assert found["environ"]["MODE"] == "fast"
    assert found["environ"]["PROCESSING_JOB_NAME"] == looked.name
    assert "TRAINING_JOB_ARN" not in found["environ"]
    assert found["folders"] == [True]
    config = found["config"]
    described = looked.completed()
    assert config["ProcessingJobArn"] == described["ProcessingJobArn"]
    assert config["ProcessingInputs"][1]["S3Input"]["LocalPath"] == f"{INPUT}/data"
    assert config["ProcessingOutputConfig"]["Outputs"][0]["OutputName"] == "out"
    assert found["resources"]["hosts"] == ["algo-1"]
    assert found["resources"]["current_instance_type"] == "ml.t3.medium"


def test_a_completed_job_says_all_that_the_sdks_read(looked):
    described = looked.completed()
    assert looked.keys() == {"findings.json", "deep/note"}
    assert described["ExitMessage"] == "left 3"
    assert described["ProcessingStartTime"] <= described["ProcessingEndTime"]
    assert described["CreationTime"] <= described["LastModifiedTime"]
    assert described["StoppingCondition"] == {"MaxRuntimeInSeconds": 86_400}
    assert described["ProcessingInputs"][0]["AppManaged"] is False
    assert described["ProcessingInputs"][0]["S3Input"]["S3DataDistributionType"] == "FullyReplicated"
    assert "FailureReason" not in described
    assert looked.lines() == ["hello from algo-1"]
    streams = looked.account.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/ProcessingJobs", logStreamNamePrefix=f"{looked.name}/"
    )["logStreams"]
    assert [each["logStreamName"].startswith(f"{looked.name}/algo-1-") for each in streams] == [True]


def test_jobs_are_listed_filtered_and_tagged(looked):
    client = looked.account.client("sagemaker")
    described = looked.completed()
    listed = client.list_processing_jobs(NameContains=looked.name, StatusEquals="Completed")
    (summary,) = listed["ProcessingJobSummaries"]
    assert summary["ProcessingJobArn"] == described["ProcessingJobArn"]
    assert summary["ExitMessage"] == "left 3"
    assert summary["ProcessingEndTime"] == described["ProcessingEndTime"]
    assert not client.list_processing_jobs(NameContains=looked.name, StatusEquals="Failed")[
        "ProcessingJobSummaries"
    ]
    tags = client.list_tags(ResourceArn=described["ProcessingJobArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "a"}]


def test_two_hosts_share_by_key_and_both_leave_their_files(account):
    bucket = new_bucket(account)
    put(account, bucket, {f"data/{n}.csv": b"1\n" for n in range(5)})
    script = """
import json, os, pathlib, socket
host = json.load(open("/opt/ml/config/resourceconfig.json"))["current_host"]
names = sorted(os.listdir("/opt/ml/processing/input/data"))
pathlib.Path("/opt/ml/processing/output/out", host + ".json").write_text(json.dumps(names))
socket.gethostbyname("algo-2")
"""
    data = s3_input("data", f"s3://{bucket}/data/", S3DataDistributionType="ShardedByS3Key")
    job = ProcessingScript.create(account, script, bucket=bucket, inputs=[data], instances=2)
    job.completed()
    assert json.loads(job.read("algo-1.json")) == ["0.csv", "2.csv", "4.csv"]
    assert json.loads(job.read("algo-2.json")) == ["1.csv", "3.csv"]


def test_pipes_manifests_and_paths_of_ones_own(account):
    bucket = new_bucket(account)
    manifest = json.dumps([{"prefix": f"s3://{bucket}/data/"}, "b.csv"])
    put(
        account,
        bucket,
        {
            "zip/a.gz": gzip.compress(b"piped"),
            "data/a.csv": b"a",
            "data/b.csv": b"b",
            "list": manifest.encode(),
        },
    )
    script = """
import json, os, pathlib
found = {
    "pipe": open("/opt/ml/processing/input/zip_0").read(),
    "manifest": os.listdir("/opt/ml/processing/input/listed"),
    "own": sorted(os.listdir("/data/in")),
}
pathlib.Path("/results/far").mkdir()
pathlib.Path("/results/far/findings.json").write_text(json.dumps(found))
"""
    code = f"s3://{bucket}/code/script.py"
    put(account, bucket, {"code/script.py": script.encode()})
    request = processing_request(
        account,
        inputs=[
            s3_input("code", code),
            s3_input("zip", f"s3://{bucket}/zip", S3InputMode="Pipe", S3CompressionType="Gzip"),
            s3_input("listed", f"s3://{bucket}/list", S3DataType="ManifestFile"),
            s3_input("own", f"s3://{bucket}/data/", path="/data/in/"),
        ],
        outputs=[s3_output("out", f"s3://{bucket}/out", path="/results")],
    )
    account.client("sagemaker").create_processing_job(**request)
    ProcessingScript(account, bucket, request["ProcessingJobName"]).completed()
    found = json.loads(read_object(account, f"s3://{bucket}/out/far/findings.json"))
    assert found == {"pipe": "piped", "manifest": ["b.csv"], "own": ["a.csv", "b.csv"]}


def test_continuous_outputs_go_up_while_it_runs_and_a_stop_ends_it(account):
    script = """
import pathlib, signal, sys, time
pathlib.Path("/opt/ml/processing/output/live/first").write_text("1")
pathlib.Path("/opt/ml/processing/output/late/never").write_text("1")
def end(*_):
    pathlib.Path("/opt/ml/processing/output/live/last").write_text("2")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True: time.sleep(0.05)
"""
    job = ProcessingScript.create(account, script, outputs={"live": "Continuous", "late": "EndOfJob"})
    job.await_line("ready")
    deadline = time.monotonic() + 60
    while "first" not in job.keys("live"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    client = account.client("sagemaker")
    client.stop_processing_job(ProcessingJobName=job.name)
    assert job.describe()["ProcessingJobStatus"] in {"Stopping", "Stopped"}
    assert job.wait()["ProcessingJobStatus"] == "Stopped"
    assert job.keys("live") == {"first", "last"}
    assert job.keys("late") == set()
    with pytest.raises(ClientError, match="processing job is in status Stopped"):
        client.stop_processing_job(ProcessingJobName=job.name)


def test_time_that_is_over_stops_a_job(account):
    job = ProcessingScript.create(
        account, "import time; time.sleep(600)", StoppingCondition={"MaxRuntimeInSeconds": 1}
    )
    assert job.wait()["ProcessingJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "raise ValueError('no rows')",
            r"AlgorithmError: the program ended in phase Processing .*exit code: 1.*ValueError: no rows",
        ),
        (
            "open('/opt/ml/output/failure', 'w').write('bad rows'); raise SystemExit(7)",
            r"bad rows, exit code: 7",
        ),
    ],
)
def test_a_failed_job_says_why_and_leaves_no_output(account, script, reason):
    text = (
        "open('/opt/ml/processing/output/out/half', 'w').write('h')\n"
        "open('/opt/ml/output/message', 'w').write('half done')\n"
    )
    job = ProcessingScript.create(account, text + script)
    described = job.wait()
    assert described["ProcessingJobStatus"] == "Failed"
    assert re.search(reason, described["FailureReason"], re.DOTALL), described["FailureReason"]
    assert described["ExitMessage"] == "half done"
    assert job.keys() == set()


def test_a_missing_input_fails_the_job_with_its_uri(account):
    bucket = new_bucket(account)
    job = ProcessingScript.create(
        account, "pass", bucket=bucket, inputs=[s3_input("data", f"s3://{bucket}/nothing")]
    )
    assert f"s3://{bucket}/nothing" in job.wait()["FailureReason"]


def test_a_script_may_install_packages_for_itself(account):
    script = """
import pathlib, subprocess, sys
ask = "import numpy, sysconfig; print(sysconfig.get_path('purelib'))"
folder = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True).stdout.strip()
pathlib.Path(folder, "own_package.py").write_text("VALUE = 3")
import own_package
print("value", own_package.VALUE)
"""
    job = ProcessingScript.create(account, script)
    job.completed()
    assert job.lines() == ["value 3"]


def test_any_command_runs_and_isolation_takes_the_network_away(account):
    bucket = new_bucket(account)
    request = processing_request(
        account,
        ("/bin/bash", "-c"),
        outputs=[s3_output("out", f"s3://{bucket}/out")],
        NetworkConfig={"EnableNetworkIsolation": True},
    )
    command = f"python3 -c 'import socket; print(socket.if_nameindex())' > {OUTPUT}/out/net"
    request["AppSpecification"]["ContainerArguments"] = [command]
    account.client("sagemaker").create_processing_job(**request)
    ProcessingScript(account, bucket, request["ProcessingJobName"]).completed()
    assert read_object(account, f"s3://{bucket}/out/net").decode().count("'") == 2  # the loopback alone


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"inputs": [{"InputName": "a"}]}, "ProcessingInputs 'a' must have an S3Input"),
        (
            {
                "inputs": [
                    {
                        "InputName": "a",
                        "DatasetDefinition": {
                            "AthenaDatasetDefinition": {
                                "Catalog": "c",
                                "Database": "d",
                                "QueryString": "select",
                                "OutputS3Uri": "s3://b/o",
                                "OutputFormat": "PARQUET",
                            }
                        },
                    }
                ]
            },
            "DatasetDefinition.AthenaDatasetDefinition is not served",
        ),
        (
            {"inputs": [s3_input("a", "s3://b/a", S3CompressionType="Gzip")]},
            "S3CompressionType 'Gzip' needs S3InputMode 'Pipe'",
        ),
        ({"inputs": [s3_input("a", "s3://b/a"), s3_input("a", "s3://b/b")]}, "InputName is given twice"),
        (
            {"inputs": [s3_input("a", "s3://b/a", path="/x/y"), s3_input("b", "s3://b/b", path="/x/y/")]},
            "LocalPath '/x/y' is that of 'a'",
        ),
        ({"inputs": [s3_input("a", "s3://b/a", path="/usr/data")]}, "it hides a folder that programs need"),
        (
            {"inputs": [s3_input("a", "s3://b/a", path="/x", S3InputMode="Pipe")]},
            "needs a LocalPath below /opt/ml",
        ),
        (
            {"outputs": [{"OutputName": "o", "FeatureStoreOutput": {"FeatureGroupName": "g"}}]},
            "FeatureStoreOutput is not served",
        ),
        ({"image": XGBOOST.replace("sagemaker-xgboost", "sagemaker-spark-processing")}, "spark images"),
        ({"image": "my-registry.example.com/own:1"}, "no container engine is configured"),
    ],
)
def test_what_cannot_run_is_refused_by_name(account, members, text):
    with pytest.raises(ClientError, match=text) as raised:
        account.client("sagemaker").create_processing_job(**processing_request(account, **members))
    assert raised.value.response["Error"]["Code"] == "ValidationException"


def test_missing_taken_and_misplaced_jobs_answer_as_the_service_does(account, looked):
    client = account.client("sagemaker")
    with pytest.raises(ClientError, match="Could not find requested job with name: nobody"):
        client.describe_processing_job(ProcessingJobName="nobody")
    request = processing_request(account, ProcessingJobName=looked.name)
    with pytest.raises(client.exceptions.ResourceInUse, match="must be unique"):
        client.create_processing_job(**request)
    request = processing_request(account)
    del request["AppSpecification"]["ContainerEntrypoint"]
    with pytest.raises(ClientError, match="ContainerEntrypoint is required"):
        client.create_processing_job(**request)
    preferred = processing_request(account)
    cluster = preferred["ProcessingResources"]["ClusterConfig"]
    cluster["InstancePreferences"] = [{"InstanceType": "ml.m5.large", "InstanceCount": 1}]
    with pytest.raises(ClientError, match="not both"):
        client.create_processing_job(**preferred)
    del cluster["InstanceType"]
    preferred["AppSpecification"]["ContainerEntrypoint"] = ["/bin/true"]
    client.create_processing_job(**preferred)
    described = ProcessingScript(account, "", preferred["ProcessingJobName"]).completed()
    assert described["ProcessingResources"]["ClusterConfig"]["SelectedInstanceType"] == "ml.m5.large"


def test_a_killed_agent_costs_an_attempt_and_no_job(account, clary_server):
    script = """
import pathlib, time
print("ready", flush=True)
time.sleep(1.5)
pathlib.Path("/opt/ml/processing/output/out/done").write_text("1")
"""
    job = ProcessingScript.create(account, script)
    job.await_line("ready")
    agent = next(each for each in agents.alive(clary_server.settings) if each.name == job.name)
    os.kill(agent.pid, signal.SIGKILL)
    job.completed()
    assert job.keys() == {"done"}
    assert job.lines().count("ready") == 2
