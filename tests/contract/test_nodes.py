"""Several control planes over one PostgreSQL: one state, and the work of a lost node goes on elsewhere."""

import shutil
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.cli import agents, control
from clary.testing import postgres
from clary.testing.deployment import deployment
from clary.testing.hosting import Hosting, saying
from clary.testing.jobs import (
    new_bucket,
    read_object,
    script_request,
    upload_csv,
    upload_script,
    wait_for_job,
)
from clary.testing.onslaught import SCRIPT, Onslaught
from clary.testing.tuning import LEVELS, script_definition, trials_of, tuning_request, wait_for_tuning

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing()),
    pytest.mark.xdist_group("nodes"),
]

LOST_S = 25.0
"""Longer than a node takes to start on a busy machine."""
ONCE = Config(proxies={}, retries={"total_max_attempts": 1})
"""A client that asks once: what it is refused, it tells."""


@pytest.fixture(scope="module")
def made():
    home = Path(tempfile.mkdtemp(prefix="clary-nodes-"))
    home.chmod(0o711)  # jobs of other user ids pass
    try:
        with deployment(home / "nodes", node_lost_s=str(LOST_S)) as made:
            yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def account(made):
    return made.nodes[0].account()


def both(made, account, service):
    return [made.seen_by(account, node).client(service, config=ONCE) for node in made.nodes]


def within(seconds, is_true, what):
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def node_of(made, name):
    """Return the node on which a job or an endpoint runs."""
    found = [node for node in made.nodes for each in agents.alive(node.settings) if each.name == name]
    return found[0] if found else None


def seen_on(made, name):
    within(30, lambda: node_of(made, name), f"{name} runs somewhere")
    return node_of(made, name)


def script_job(account, bucket, work_s):
    source = upload_script(account, bucket, SCRIPT.format(work_s=work_s), key=f"s-{work_s}/sourcedir.tar.gz")
    request = script_request(account, bucket, source, instance_type="ml.t3.medium")
    account.client("sagemaker").create_training_job(**request)
    return request["TrainingJobName"]


def test_whatever_one_node_acknowledged_every_other_one_shows(made, account):
    here, there = both(made, account, "sagemaker")
    for n in range(20):
        (here if n % 2 else there).create_experiment(ExperimentName=f"e-{n}")
        (there if n % 2 else here).describe_experiment(ExperimentName=f"e-{n}")
    for each in (here, there):
        assert len(each.list_experiments(MaxResults=100)["ExperimentSummaries"]) == 20


def test_an_endpoint_answers_at_every_node_as_soon_as_it_is_in_service_and_at_none_after(made, account):
    hosting = Hosting.of(account)
    for _ in range(2):  # the second lands on the other node
        endpoint = hosting.endpoint(hosting.config(hosting.variant(hosting.model(saying("hello")))))
        answers = [
            each.invoke_endpoint(EndpointName=endpoint, Body=b"?")["Body"].read()
            for each in both(made, account, "sagemaker-runtime")
        ]
        assert answers == [b"hello", b"hello"]
    homes = {node_of(made, name).url for name in hosting.endpoints}
    assert len(homes) == 2
    endpoint = hosting.endpoints[0]
    there = hosting.config(hosting.variant(hosting.model(saying("goodbye"))))
    account.client("sagemaker").update_endpoint(EndpointName=endpoint, EndpointConfigName=there)
    hosting.settled(endpoint)
    for each in both(made, account, "sagemaker-runtime"):
        answered = Counter(
            each.invoke_endpoint(EndpointName=endpoint, Body=b"?")["Body"].read() for _ in range(10)
        )
        assert answered == {b"goodbye": 10}
    hosting.close()

    def is_gone(runtime):
        with pytest.raises(ClientError, match=r"not found|cannot answer now"):
            runtime.invoke_endpoint(EndpointName=endpoint, Body=b"?")
        return True

    within(20, lambda: not any(node_of(made, name) for name in hosting.endpoints), "the endpoints are gone")
    assert all(is_gone(each) for each in both(made, account, "sagemaker-runtime"))


def test_a_key_that_was_deleted_at_one_node_is_refused_by_the_edges_of_all(made, account):
    iam = account.client("iam")
    iam.create_user(UserName="leaver")
    key = iam.create_access_key(UserName="leaver")["AccessKey"]
    clients = [
        made.seen_by(account, node).client(
            "sagemaker-runtime",
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            config=ONCE,
        )
        for node in made.nodes
    ]

    def refusals():
        codes = []
        for each in clients:
            with pytest.raises(ClientError) as refused:
                each.invoke_endpoint(EndpointName="none", Body=b"")
            codes.append(refused.value.response["Error"]["Code"])
        return codes

    assert refusals() == ["ValidationError"] * 2  # known, and in both edges' caches now
    iam.delete_access_key(UserName="leaver", AccessKeyId=key["AccessKeyId"])
    within(5, lambda: "ValidationError" not in refusals(), "both edges have forgotten the key")


def test_jobs_spread_over_the_nodes_and_each_is_described_and_stopped_at_any(made, account):
    bucket = new_bucket(account)
    names = [script_job(account, bucket, 60) for _ in range(4)]
    homes = Counter(seen_on(made, name).url for name in names)
    assert len(homes) == 2
    clients = both(made, account, "sagemaker")
    for n, name in enumerate(names):
        clients[n % 2].stop_training_job(TrainingJobName=name)
        assert wait_for_job(account, name)["TrainingJobStatus"] == "Stopped"


def test_many_clients_at_two_nodes_leave_a_consistent_state(made, account):
    """Creates, deletes and associations of the same few names, all at once: issue 4's races."""
    clients = both(made, account, "sagemaker")
    clients[0].create_experiment(ExperimentName="race")
    faults = []

    def race(n):
        client, name = clients[n % 2], f"t-{n % 5}"
        steps = (
            lambda: client.create_trial(TrialName=name, ExperimentName="race"),
            lambda: client.create_trial_component(TrialComponentName=f"c-{n % 7}"),
            lambda: client.associate_trial_component(TrialName=name, TrialComponentName=f"c-{n % 7}"),
            lambda: client.update_trial_component(
                TrialComponentName=f"c-{n % 7}", Parameters={f"p{n}": {"NumberValue": n}}
            ),
            lambda: client.disassociate_trial_component(TrialName=name, TrialComponentName=f"c-{n % 7}"),
            lambda: client.delete_trial(TrialName=name),
            lambda: client.delete_trial_component(TrialComponentName=f"c-{n % 7}"),
        )
        for turn in range(3 * len(steps)):
            try:
                steps[(turn * (n + 1)) % len(steps)]()
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                    faults.append(str(error))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(race, range(32)))
    assert faults == []
    here, there = clients
    trials = {each["TrialName"] for each in here.list_trials(ExperimentName="race")["TrialSummaries"]}
    assert trials == {each["TrialName"] for each in there.list_trials()["TrialSummaries"]}
    components = {
        each["TrialComponentName"] for each in here.list_trial_components()["TrialComponentSummaries"]
    }
    for trial in trials:
        linked = there.list_trial_components(TrialName=trial)["TrialComponentSummaries"]
        assert {each["TrialComponentName"] for each in linked} <= components
    for trial in trials:  # whatever is left can be taken apart, and then is gone
        for each in here.list_trial_components(TrialName=trial)["TrialComponentSummaries"]:
            name = each["TrialComponentName"]
            there.disassociate_trial_component(TrialName=trial, TrialComponentName=name)
        here.delete_trial(TrialName=trial)
    for name in components:
        there.delete_trial_component(TrialComponentName=name)
    here.delete_experiment(ExperimentName="race")
    assert there.list_experiments()["ExperimentSummaries"] == []


def test_of_two_creates_of_one_name_at_two_nodes_one_is_acknowledged(made, account):
    bucket = new_bucket(account)
    source = upload_script(account, bucket, SCRIPT.format(work_s=0))
    clients, barrier = both(made, account, "sagemaker"), threading.Barrier(2)

    def create(client, request):
        barrier.wait()
        try:
            client.create_training_job(**request)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "made"

    for _ in range(5):
        request = script_request(account, bucket, source, instance_type="ml.t3.medium")
        with ThreadPoolExecutor(2) as pool:
            said = sorted(pool.map(create, clients, [request] * 2))
        assert said == ["ResourceInUse", "made"]
        assert wait_for_job(account, request["TrainingJobName"])["TrainingJobStatus"] == "Completed"


def test_tuning_jobs_created_and_stopped_at_both_nodes_have_each_trial_once(made, account):
    bucket = upload_csv(account, "train/data.csv", [[1, 2], [0, 1]])
    definition = script_definition(account, bucket, epochs="3", pause="0.05")
    clients = both(made, account, "sagemaker")
    asked: dict[str, Any] = {"n": 4, "metric": "loss", "goal": "Minimize"}
    asked |= {"ranges": LEVELS, "definition": definition}
    requests = [tuning_request(account, bucket, **asked) for _ in range(3)]

    def create(turn):
        try:
            clients[turn % 2].create_hyper_parameter_tuning_job(**requests[turn // 2])
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "made"

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(create, range(6))) == ["ResourceInUse"] * 3 + ["made"] * 3
    names = [each["HyperParameterTuningJobName"] for each in requests]
    clients[1].stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=names[2])
    for name, end in zip(names, ("Completed", "Completed", "Stopped"), strict=True):
        described = wait_for_tuning(account, name)
        assert described["HyperParameterTuningJobStatus"] == end
        seen = [trials_of(made.seen_by(account, node), name) for node in made.nodes]
        assert seen[0] == seen[1]
        assert len({each["TrainingJobName"] for each in seen[0]}) == len(seen[0])
        assert sum(described["TrainingJobStatusCounters"].values()) == len(seen[0])
        if end == "Completed":
            assert len(seen[0]) == 4


def test_a_lost_nodes_jobs_and_replicas_start_on_another_and_say_so(made, account):
    hosting = Hosting.of(account)
    bucket = hosting.bucket
    for n in range(2):
        hosting.endpoint(hosting.config(hosting.variant(hosting.model(saying(f"word {n}")))))
    jobs = [script_job(account, bucket, 12) for _ in range(2)]
    first, second = made.nodes
    lost_jobs = [name for name in jobs if seen_on(made, name) is second]
    lost_endpoints = [name for name in hosting.endpoints if seen_on(made, name) is second]
    assert lost_jobs
    assert lost_endpoints
    for name in lost_jobs:
        wait_for_job(account, name, until={"Training"})
    made.kill_node(second, with_hosts=True)
    here = made.seen_by(account, first).client("sagemaker-runtime", config=ONCE)
    for name in jobs:
        described = wait_for_job(account, name, limit_s=120)
        assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
        told = [each["StatusMessage"] for each in described["SecondaryStatusTransitions"]]
        assert ("Restarting: the host was lost" in told) is (name in lost_jobs)
        assert read_object(account, described["ModelArtifacts"]["S3ModelArtifacts"])

    def answer(name):
        try:
            return here.invoke_endpoint(EndpointName=name, Body=b"?")["Body"].read().decode()
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 503:
                raise
            return ""

    for n, name in enumerate(hosting.endpoints):
        within(90, lambda name=name, n=n: answer(name) == f"word {n}", f"{name} answers again")
    made.again(second)
    known = control.ask(first.settings, "GET", "/internal/nodes")["nodes"]
    assert sorted(each["is_own"] for each in known) == [False, True]
    assert not any(each["is_silent"] for each in known)
    hosting.close()


def test_a_node_that_comes_back_ends_the_runs_that_others_have_taken_over(made, account):
    bucket = new_bucket(account)
    jobs = [script_job(account, bucket, 45) for _ in range(2)]
    second = made.nodes[1]
    (name,) = [each for each in jobs if seen_on(made, each) is second]
    wait_for_job(account, name, until={"Training"})
    (agent,) = [each for each in agents.alive(second.settings) if each.name == name]
    made.kill_node(second)  # its hosts go on
    wait_for_job(account, name, until={"Restarting", "Starting"}, limit_s=90)
    assert agent.pid in {each.pid for each in agents.alive(second.settings)}
    second = made.again(second)
    within(20, lambda: agent.pid not in {each.pid for each in agents.alive(second.settings)}, "it is ended")
    for each in jobs:
        described = wait_for_job(account, each, limit_s=200)
        assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")


def test_a_node_that_restarts_in_time_keeps_its_jobs(made, account):
    bucket = new_bucket(account)
    jobs = [script_job(account, bucket, 10) for _ in range(2)]
    second = made.nodes[1]
    (name,) = [each for each in jobs if seen_on(made, each) is second]
    made.kill_node(second)
    made.again(second)
    for each in jobs:
        described = wait_for_job(account, each, limit_s=90)
        seen = (each == name, described.get("FailureReason"), described["SecondaryStatusTransitions"])
        assert described["TrainingJobStatus"] == "Completed", seen
        assert "Restarting" not in [step["Status"] for step in described["SecondaryStatusTransitions"]], seen


def test_control_planes_killed_again_and_again_lose_and_double_nothing(made, account):
    attack = Onslaught(made, account).prepare()
    attack.run(60, kill_every_s=10)
    assert attack.check() == []
    assert len(attack.kills) >= 5
    assert len(attack.promised) > 100
    assert attack.jobs
