"""Notebook instances through boto3 and a browser, against a live server whose JupyterLab is a stand-in."""

import base64
import json
import os
import signal
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from clary.cli import agents
from clary.testing.notebooks import Visitor, create, frame, settled, stop
from clary.testing.placement_suite import until


@pytest.fixture(scope="module")
def account(clary_server):
    return clary_server.account()


@pytest.fixture(scope="module")
def lab(account):
    """An instance in service: its description, its path, and a browser in session."""
    described = create(account, "shared")
    assert described["NotebookInstanceStatus"] == "InService", described
    url = presigned(account, "shared")
    visitor = Visitor.of(url)
    assert visitor.enter(url).status == 302
    return described, urlsplit(url).path.rstrip("/"), visitor


def presigned(account, name, **members):
    client = account.client("sagemaker")
    return client.create_presigned_notebook_instance_url(NotebookInstanceName=name, **members)[
        "AuthorizedUrl"
    ]


def encoded(script):
    return [{"Content": base64.b64encode(script.encode()).decode()}]


def lines_of(account, stream):
    events = account.client("logs").get_log_events(
        logGroupName="/aws/sagemaker/NotebookInstances", logStreamName=stream, startFromHead=True
    )
    return [each["message"] for each in events["events"]]


def test_describe_shows_what_was_asked_and_what_is_usual(account, lab):
    described = lab[0]
    assert described["NotebookInstanceArn"].endswith(f"{account.account_id}:notebook-instance/shared")
    assert described["Url"].startswith("localhost:")
    assert described["VolumeSizeInGB"] == 5
    assert described["DirectInternetAccess"] == "Enabled"
    listed = account.client("sagemaker").list_notebook_instances(NameContains="share")["NotebookInstances"]
    assert [each["NotebookInstanceName"] for each in listed] == ["shared"]
    assert listed[0]["NotebookInstanceStatus"] == "InService"


def test_a_program_inside_finds_its_role_and_its_clients_without_configuration(account, lab):
    _, path, visitor = lab
    found = json.loads(
        visitor.run(
            path,
            "import json, os, boto3\n"
            "told = json.load(open('/opt/ml/metadata/resource-metadata.json'))\n"
            "name = told['ResourceName']\n"
            "client = boto3.client('sagemaker')\n"
            "role = client.describe_notebook_instance(NotebookInstanceName=name)['RoleArn']\n"
            "caller = boto3.client('sts', endpoint_url='https://sts.us-east-1.amazonaws.com')\n"
            "print(json.dumps([role, caller.get_caller_identity()['Account'], os.getcwd(), told]))",
        )
    )
    assert found[:3] == [account.role_arn, account.account_id, "/home/ec2-user/SageMaker"]
    assert found[3]["ResourceArn"] == lab[0]["NotebookInstanceArn"]


def test_a_notebook_sees_neither_the_servers_files_nor_other_processes(clary_server, lab):
    _, path, visitor = lab
    seen = visitor.run(
        path,
        "import os\n"
        f"print(os.path.exists({str(clary_server.data_dir / 'clary.db')!r}))\n"
        "print(len([each for each in os.listdir('/proc') if each.isdigit()]) < 10)",
    )
    assert seen.split() == ["False", "True"]


def test_a_websocket_carries_frames_both_ways(lab):
    _, path, visitor = lab
    connection, head = visitor.socket(f"{path}/api/channels", f"http://{visitor.host}")
    with connection:
        assert head.startswith("HTTP/1.1 101 ")
        for text in (b"first", b"second"):
            connection.sendall(frame(text))
            assert connection.recv(2 + len(text), 256)[2:] == text  # 256: MSG_WAITALL


def test_a_presigned_url_opens_once(account, lab):
    url = presigned(account, "shared")
    first, second = Visitor.of(url), Visitor.of(url)
    assert first.enter(url).status == 302
    assert second.enter(url).status == 403
    assert second.cookies == {}
    assert first.ask("GET", f"{lab[1]}/lab").status == 200


def test_a_session_lasts_as_long_as_asked(account, lab):
    url = presigned(account, "shared", SessionExpirationDurationInSeconds=1800)
    parts = urlsplit(url)
    answer = Visitor.of(url).ask("GET", f"{parts.path}?{parts.query}")
    assert "Max-Age=1800; HttpOnly; SameSite=Lax" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    ("method", "below"),
    [
        ("GET", "/lab"),
        ("GET", "/api/head"),
        ("POST", "/api/run"),
        ("GET", "/?authToken=guessed"),
        ("GET", "/..%2f..%2fapi/status"),
    ],
)
def test_nobody_gets_in_without_a_session(lab, method, below):
    _, path, visitor = lab
    stranger = Visitor(visitor.port, visitor.host)
    assert stranger.ask(method, f"{path}{below}", "print(1)" if method == "POST" else "").status == 403
    forged = Visitor(visitor.port, visitor.host, {"clary-notebook": f"99999999999.{'0' * 64}"})
    assert forged.ask(method, f"{path}{below}").status == 403


def test_another_accounts_session_opens_nothing_here(clary_server, lab):
    _, path, visitor = lab
    other = clary_server.account()
    with pytest.raises(ClientError, match="RecordNotFound"):
        presigned(other, "shared")
    create(other, "shared")
    url = presigned(other, "shared")
    theirs = Visitor.of(url)
    theirs.enter(url)
    assert theirs.ask("GET", f"{urlsplit(url).path}lab").status == 200
    assert theirs.ask("GET", f"{path}/lab").status == 403
    token = urlsplit(presigned(other, "shared")).query
    assert theirs.ask("GET", f"{path}/?{token}").status == 403
    connection, head = theirs.socket(f"{path}/api/channels", f"http://{visitor.host}")
    with connection:
        assert head.startswith("HTTP/1.1 403 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_what_comes_from_another_sites_page_is_refused(lab, headers):
    _, path, visitor = lab
    assert visitor.ask("POST", f"{path}/api/run", "print(1)", headers).status == 403
    assert visitor.ask("GET", f"{path}/api/head", headers=headers).status == 403


def test_a_websocket_of_another_sites_page_is_refused(lab):
    _, path, visitor = lab
    connection, head = visitor.socket(f"{path}/api/channels", "http://evil.example")
    with connection:
        assert head.startswith("HTTP/1.1 403 ")


def test_the_session_does_not_reach_the_notebook(lab):
    _, path, visitor = lab
    head = json.loads(visitor.ask("GET", f"{path}/api/head", headers={"X-Clary-Peer": "me"}).text)
    assert "clary-notebook" not in head.get("cookie", "")
    assert "x-clary-peer" not in head


def test_notebooks_and_console_have_different_host_names(lab):
    _, path, visitor = lab
    console = Visitor(visitor.port, f"127.0.0.1:{visitor.port}", dict(visitor.cookies))
    answer = console.ask("GET", f"{path}/lab")
    assert (answer.status, answer.headers["location"]) == (303, f"//{visitor.host}{path}/lab")
    assert console.ask("POST", f"{path}/api/run", "print(1)").status == 421
    answer = visitor.ask("GET", "/_clary/console/sign-in")
    assert answer.headers["location"] == f"//127.0.0.1:{visitor.port}/_clary/console/sign-in"


def test_files_below_sagemaker_outlive_a_stop_and_nothing_else_does(clary_server):
    account = clary_server.account()
    name = "kept"
    create(account, name)
    url = presigned(account, name)
    path, visitor = urlsplit(url).path.rstrip("/"), Visitor.of(url)
    visitor.enter(url)
    visitor.run(path, "open('work.txt', 'w').write('1'); open('/home/ec2-user/lost.txt', 'w').write('2')")
    assert stop(account, name)["NotebookInstanceStatus"] == "Stopped"
    assert visitor.ask("GET", f"{path}/lab").status == 403
    with pytest.raises(ClientError, match=r"Status \(Stopped\) not in \(\[InService\]\)"):
        presigned(account, name)
    client = account.client("sagemaker")
    client.update_notebook_instance(NotebookInstanceName=name, VolumeSizeInGB=7, InstanceType="ml.m5.xlarge")
    assert settled(account, name)["VolumeSizeInGB"] == 7
    with pytest.raises(ClientError, match="a volume can only grow"):
        client.update_notebook_instance(NotebookInstanceName=name, VolumeSizeInGB=6)
    client.start_notebook_instance(NotebookInstanceName=name)
    assert settled(account, name)["InstanceType"] == "ml.m5.xlarge"
    text = visitor.run(
        path,
        "import os; print(open('work.txt').read(), os.path.exists('/home/ec2-user/lost.txt'))",
    )
    assert text.split() == ["1", "False"]
    with pytest.raises(ClientError, match=r"Status \(InService\) not in \(\[Stopped, Failed\]\)"):
        client.delete_notebook_instance(NotebookInstanceName=name)
    stop(account, name)
    client.delete_notebook_instance(NotebookInstanceName=name)
    client.get_waiter("notebook_instance_deleted").wait(
        NotebookInstanceName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


FILL = """
import os
for name in ("one", "two"):
    with open(name, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 3 << 30)
print("filled")
"""
WRITE = """
try:
    with open("more", "wb") as file:
        file.write(b"x" * 100)
    print("written")
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.slow
def test_a_full_volume_takes_no_more_and_the_instance_goes_on(clary_server):
    account = clary_server.account()
    create(account, "full")
    url = presigned(account, "full")
    path, visitor = urlsplit(url).path.rstrip("/"), Visitor.of(url)
    visitor.enter(url)
    assert visitor.run(path, FILL).strip() == "filled"
    until(lambda: visitor.run(path, WRITE).strip() == "File too large", "nothing is written")
    assert any("The volume is full: 6.0 GiB" in line for line in lines_of(account, "full/jupyter.log"))
    visitor.run(path, "import os; os.remove('one')")
    until(lambda: visitor.run(path, WRITE).strip() == "written", "it is written again")
    stop(account, "full")


def test_a_lost_instance_is_started_again_with_its_files(clary_server, account, lab):
    _, path, visitor = lab
    visitor.run(path, "open('before.txt', 'w').write('here')")

    def agent_of_shared():
        for each in agents.alive(clary_server.settings):
            spec = each.folder.parents[1].joinpath("spec.json")
            if each.name == "shared" and account.account_id in spec.read_text():
                return each.pid
        return None

    killed = agent_of_shared()
    os.kill(killed, signal.SIGKILL)
    until(lambda: agent_of_shared() not in {None, killed}, "another agent takes its place", within_s=60)
    assert settled(account, "shared")["NotebookInstanceStatus"] == "InService"
    assert visitor.run(path, "print(open('before.txt').read())").strip() == "here"


def test_lifecycle_scripts_run_and_their_output_is_logged(clary_server):
    account = clary_server.account()
    client = account.client("sagemaker")
    client.create_notebook_instance_lifecycle_config(
        NotebookInstanceLifecycleConfigName="both",
        OnCreate=encoded("#!/bin/bash\nset -e\necho created > /home/ec2-user/SageMaker/log\necho made it"),
        OnStart=encoded(
            "set -e\nsudo -u ec2-user -i <<'EOF'\n"
            "source /home/ec2-user/anaconda3/bin/activate python3\n"
            "echo started >> SageMaker/log\nsource deactivate 2>/dev/null || deactivate\nEOF\n"
            "sudo systemctl restart jupyter-server\ncat /home/ec2-user/SageMaker/log"
        ),
    )
    described = create(account, "scripted", LifecycleConfigName="both")
    assert described["NotebookInstanceStatus"] == "InService", described
    assert described["NotebookInstanceLifecycleConfigName"] == "both"
    with pytest.raises(ClientError, match="notebook instance 'scripted' has it"):
        client.delete_notebook_instance_lifecycle_config(NotebookInstanceLifecycleConfigName="both")
    stop(account, "scripted")
    client.start_notebook_instance(NotebookInstanceName="scripted")
    settled(account, "scripted")
    assert lines_of(account, "scripted/LifecycleConfigOnCreate") == ["made it"]
    started = lines_of(account, "scripted/LifecycleConfigOnStart")
    assert started == ["created", "started", "created", "started", "started"]
    stop(account, "scripted")
    client.update_notebook_instance(NotebookInstanceName="scripted", DisassociateLifecycleConfig=True)
    assert "NotebookInstanceLifecycleConfigName" not in settled(account, "scripted")
    client.delete_notebook_instance(NotebookInstanceName="scripted")
    client.delete_notebook_instance_lifecycle_config(NotebookInstanceLifecycleConfigName="both")


def test_a_script_that_fails_says_why(clary_server):
    account = clary_server.account()
    client = account.client("sagemaker")
    client.create_notebook_instance_lifecycle_config(
        NotebookInstanceLifecycleConfigName="broken", OnStart=encoded("echo no such thing >&2\nexit 3")
    )
    described = create(account, "failing", LifecycleConfigName="broken")
    assert described["NotebookInstanceStatus"] == "Failed"
    assert "lifecycle-config/broken" in described["FailureReason"]
    assert "exit code: 3" in described["FailureReason"]
    assert "no such thing" in described["FailureReason"]
    assert lines_of(account, "failing/LifecycleConfigOnStart") == ["no such thing"]
    client.update_notebook_instance_lifecycle_config(
        NotebookInstanceLifecycleConfigName="broken", OnStart=encoded("exit 0")
    )
    client.start_notebook_instance(NotebookInstanceName="failing")
    assert settled(account, "failing")["NotebookInstanceStatus"] == "InService"
    stop(account, "failing")
    client.delete_notebook_instance(NotebookInstanceName="failing")


def test_scripts_must_be_base64(account):
    with pytest.raises(ClientError, match=r"OnStart\.Content must be a shell script in base64"):
        account.client("sagemaker").create_notebook_instance_lifecycle_config(
            NotebookInstanceLifecycleConfigName="plain", OnStart=[{"Content": "#!/bin/bash"}]
        )


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"DirectInternetAccess": "Disabled"}, "DirectInternetAccess 'Disabled' is not served"),
        ({"AcceleratorTypes": ["ml.eia2.medium"]}, "AcceleratorTypes"),
        ({"LifecycleConfigName": "none-such"}, "none-such"),
        ({"DefaultCodeRepository": "none-such"}, "Cannot find CodeRepository"),
        ({"InstanceType": "ml.p3.2xlarge"}, "for notebook instance usage"),
        ({"RoleArn": "arn:aws:iam::999999999999:role/Theirs"}, "Cross-account"),
        ({"NotebookInstanceName": "shared"}, "duplicate Notebook Instance"),
    ],
)
def test_what_cannot_be_is_refused_by_name(account, lab, members, text):
    with pytest.raises(ClientError, match=text):
        create(account, "refused", **members)


def test_an_account_has_a_quota(clary_server):
    account = clary_server.account()
    client = account.client("sagemaker")
    given = {"InstanceType": "ml.t3.medium", "RoleArn": account.role_arn}
    for name in ("one", "two", "three"):
        client.create_notebook_instance(NotebookInstanceName=name, **given)
    with pytest.raises(ClientError, match="current utilization of 3 Instances") as refused:
        client.create_notebook_instance(NotebookInstanceName="four", **given)
    assert refused.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    for name in ("one", "two", "three"):
        settled(account, name)


def test_the_sdks_waiter_sees_an_instance_in_service(account, lab):
    client = account.client("sagemaker")
    client.get_waiter("notebook_instance_in_service").wait(NotebookInstanceName="shared")
    client.add_tags(ResourceArn=lab[0]["NotebookInstanceArn"], Tags=[{"Key": "team", "Value": "a"}])
    tags = client.list_tags(ResourceArn=lab[0]["NotebookInstanceArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "a"}]


def test_a_notebook_job_without_nbclient_is_refused_with_what_helps(account):
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}
    with pytest.raises(ClientError, match=r"pip install 'clary\[notebooks\]'"):
        account.client("sagemaker").create_processing_job(
            ProcessingJobName="notebook",
            RoleArn=account.role_arn,
            AppSpecification={"ImageUri": "clary-notebook:latest"},
            ProcessingResources={"ClusterConfig": cluster},
        )
