"""Placement `ray`: what it costs, whether hosts on several machines learn the same, what node kills do.

    make bench-ray       python -m bench.ray [--only overhead,equal,replicas,kills] [--jobs 40] [--kills 20]

Three Ray nodes in network namespaces of this machine, each with its own address, sandbox and folder. A job's
overhead is compared with the same job of a Clary beside it, on this machine alone, in turns. A node is killed
as a power cut does it: every process in its namespace at once; it joins again as another node.
"""

import argparse
import contextlib
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from bench._bars import Report, quantile

from clary.kernel import ids
from clary.testing.cluster import Cluster, missing, running, until
from clary.testing.hosting import Crowd, Hosting, saying
from clary.testing.jobs import (
    channel,
    new_bucket,
    script_request,
    training_request,
    upload_csv,
    upload_script,
    wait_for_job,
)
from clary.testing.server import Account, ClaryServer, end_agents

PARTS = ("overhead", "equal", "replicas", "kills")
LINEAR = "382416733822.dkr.ecr.us-east-1.amazonaws.com/linear-learner:1"
PYTORCH = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.5-cpu-py311"
SMALL = "ml.t3.medium"
LEASE_S = 5
N_STEPS, STEP_S = 160, 0.3
"""A job of the kills: 48 s, so that there are jobs on the nodes till the last of twenty kills."""
LINE = re.compile(r"step (\w+) (\d+) ([\d.]+)")
QUICK = "print('done')\n"
STEPS = f"""
import os, time
mark, folder = os.urandom(4).hex(), "/opt/ml/checkpoints"
first = max((int(name) for name in os.listdir(folder) if name.isdecimal()), default=0)
for n in range(first, {N_STEPS}):
    print("step", mark, n, time.time(), flush=True)
    time.sleep({STEP_S})
    with open(f"{{folder}}/new", "w") as file:
        file.write(str(n))
    os.replace(f"{{folder}}/new", f"{{folder}}/{{n + 1}}")
open(os.environ["SM_MODEL_DIR"] + "/end", "w").write("all")
"""
DDP = """
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
x = torch.randn(256, 8, dtype=torch.float64)
y = x @ torch.arange(8, dtype=torch.float64) + 1
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(8, 1, dtype=torch.float64))
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(50):
    optimiser.zero_grad()
    loss = ((model(x[rank::size]).squeeze() - y[rank::size]) ** 2).mean()
    loss.backward()
    optimiser.step()
whole = ((model.module(x).squeeze() - y) ** 2).mean().item()
print(f"world={size}; loss={whole:.12f};", flush=True)
dist.destroy_process_group()
"""


def main() -> int:
    """Measure, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if why := missing():
        sys.exit(f"no cluster here: {why}")
    report = Report("ray")
    folder = Path(tempfile.mkdtemp(prefix="cray", dir="/tmp"))
    folder.chmod(0o711)
    try:
        with (
            running(folder / "n", cpus=8, memory_mib=16_384) as cluster,
            clary(folder / "r", cluster) as there,
        ):
            settle(there)
            if "overhead" in chosen.only:
                with clary(folder / "l") as here:
                    overhead(report, here, there, chosen.rounds)
                    hop(report, here, there)
            if "equal" in chosen.only:
                equal(report, there)
            if "replicas" in chosen.only:
                replicas(report, there, cluster)
            if "kills" in chosen.only:
                kills(report, there, cluster, chosen.jobs, chosen.kills)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report.finish(chosen.json)


@contextlib.contextmanager
def clary(data: Path, cluster: Cluster | None = None) -> Iterator[Account]:
    """Yield an account of a Clary: on a cluster, or on this machine."""
    given: dict[str, Any] = (
        {} if cluster is None else {"cluster": str(cluster.file), "cluster_lease_s": str(LEASE_S)}
    )
    host = "127.0.0.1" if cluster is None else f"{cluster.net}.254"
    server = ClaryServer.start(data, host=host, **given)
    try:
        yield server.account()
    finally:
        server.stop()
        end_agents(server.settings)


def settle(account: Account) -> None:
    """Run a job on every node, so that keepers and zygotes are there."""
    bucket = new_bucket(account)
    source = upload_script(account, bucket, QUICK)
    for _ in range(2):
        request = script_request(account, bucket, source, instance_type=SMALL)
        request["ResourceConfig"]["InstanceCount"] = 3
        ended(account, request)


def ended(account: Account, request: dict[str, Any], *, limit_s: float = 240.0) -> dict[str, Any]:
    """Run a job to its end; return what Describe says of it."""
    account.client("sagemaker").create_training_job(**request)
    described = wait_for_job(account, request["TrainingJobName"], limit_s=limit_s)
    if described["TrainingJobStatus"] != "Completed":
        raise RuntimeError(f"{request['TrainingJobName']}: {described.get('FailureReason')}")
    return described


def overhead(report: Report, here: Account, there: Account, n_rounds: int) -> None:
    """Compare the time of the same job with that of this machine's placement."""
    taken: dict[str, list[float]] = defaultdict(list)
    prepared = {}
    for name, account in (("local", here), ("ray", there)):
        bucket = new_bucket(account)
        prepared[name] = (account, bucket, upload_script(account, bucket, QUICK))
    for round_ in range(n_rounds + 1):
        for name, (account, bucket, source) in prepared.items():
            request = script_request(account, bucket, source, instance_type=SMALL)
            began = time.monotonic()
            ended(account, request)
            if round_:  # the first warms
                taken[name].append(1e3 * (time.monotonic() - began))
    rows = [(name, quantile(each, 0.5), min(each), max(each)) for name, each in taken.items()]
    report.table("One job, from Create to Completed, ms", ("placement", "median", "least", "most"), rows)
    more = quantile(taken["ray"], 0.5) - quantile(taken["local"], 0.5)
    report.facts["overhead_ms"] = dict(taken)
    report.bar("a job's overhead over the local placement", more, 2_000.0)


def endpoint(hosting: Hosting, script: str, n: int = 1) -> str:
    """Return an endpoint of so many instances, in service."""
    name = f"ep-{ids.short()}"
    config = hosting.config(hosting.variant(hosting.model(script), InitialInstanceCount=n))
    hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    hosting.endpoints.append(name)
    hosting.settled(name, limit_s=240.0)
    return name


def hop(report: Report, here: Account, there: Account) -> None:
    """Compare the time of an invocation through a node's gate with that by a socket of this machine."""
    rows = []
    for name, account in (("local", here), ("ray", there)):
        hosting = Hosting.of(account)
        asked, taken = endpoint(hosting, saying("word")), []
        for n in range(320):
            began = time.monotonic()
            hosting.ask(asked)
            taken += [1e3 * (time.monotonic() - began)] if n >= 20 else []
        rows.append((name, quantile(taken, 0.5), min(taken), quantile(taken, 0.99)))
        hosting.close()
    report.table("One invocation of a script's model, ms", ("placement", "median", "least", "p99"), rows)
    report.facts["invocation_ms"] = {name: figures for name, *figures in rows}


def replicas(report: Report, account: Account, cluster: Cluster) -> None:
    """Kill and cut off the node of a replica under load, and see what its clients notice."""
    hosting, rows = Hosting.of(account), []
    name = endpoint(hosting, saying("word", 0.05), 2)
    for how in ("killed", "cut off"):
        until(lambda: len(cluster.where(name)) == 2, "two replicas")
        node = next(each for each in cluster.where(name) if each != "n1")
        with Crowd(account.client, name) as crowd:
            until(lambda: len(crowd.heard) > 100, "clients are answered")
            gone = time.monotonic()
            cluster.cut(node) if how == "cut off" else cluster.kill(node)
            time.sleep(15.0)
        cluster.cut(node, is_cut=False)
        cluster.kill(node)
        cluster.start(node)
        after = [(at - asked, asked, found) for asked, at, found in crowd.heard if at > gone]
        troubled = [asked - gone for took, asked, found in after if took > 1.0 or found != "word"]
        n_refused = sum(found == "503" for *_, found in after)
        n_other = sum(found not in {"word", "503"} for *_, found in after)
        rows.append((how, len(after), n_refused, n_other, max(after)[0], max(troubled, default=0.0)))
    names = ("node", "answers", "503", "other", "longest, s", "last one troubled, s")
    report.table("Invocations after the node of one of two replicas was gone", names, rows)
    report.bar("traffic moves: the longest wait of a client", max(row[4] for row in rows), 2.0, "s")
    report.bar("traffic moves: the last invocation in trouble", max(row[5] for row in rows), 2.0, "s")
    report.bar(
        "answers that are neither the model's nor 503", float(sum(row[3] for row in rows)), 0.0, "answers"
    )
    hosting.close()


def equal(report: Report, account: Account) -> None:
    """Train on one host and on two; compare what came out."""
    rows = []
    for name, request_of in (("xgboost", xgboost_job), ("linear", linear_job), ("torch", torch_job)):
        found = [value_of(account, request_of(account), n) for n in (1, 2)]
        rows.append((name, *(f"{each:.8f}" for each in found)))
        print(f"  {name}: {found[0]:.8f} on one host, {found[1]:.8f} on two", flush=True)
        apart = abs(found[0] - found[1]) / max(1e-12, abs(found[0]))
        report.facts[name] = found
        report.bar(f"{name}: two hosts and one apart", apart, TOLERANCE[name], "of the value")
    report.table("On one host and on two", ("algorithm", "one", "two"), rows)


TOLERANCE = {"torch": 1e-6, "xgboost": 0.02, "linear": 0.05}
"""Of the result: gradients are averaged exactly, histograms come from sketches, passes see other rows."""


def value_of(account: Account, request: dict[str, Any], n_hosts: int) -> float:
    """Return the job's own metric, trained on so many hosts."""
    request = {**request, "TrainingJobName": f"job-{ids.short()}"}
    request["ResourceConfig"] = {**request["ResourceConfig"], "InstanceCount": n_hosts}
    described = ended(account, request)
    found = {each["MetricName"]: float(each["Value"]) for each in described["FinalMetricDataList"]}
    return next(found[name] for name in sorted(found, key=lambda name: "validation:" not in name))


def torch_job(account: Account) -> dict[str, Any]:
    """Return a job of `torch.distributed`, as the SDK's `distribution` asks for it."""
    bucket = new_bucket(account)
    request = script_request(account, bucket, upload_script(account, bucket, DDP), image=PYTORCH)
    request["HyperParameters"]["sagemaker_torch_distributed_enabled"] = "true"
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "loss", "Regex": "loss=([0-9.e-]+);"}]
    return request


def table() -> tuple[np.ndarray, np.ndarray]:
    """Return rows of four features and whether their weighted sum is positive, with noise."""
    random_ = np.random.default_rng(0)
    rows = random_.normal(size=(4_000, 4))
    label = rows @ [2.0, -1.0, 0.5, 0.0] + random_.normal(scale=0.5, size=4_000) > 0
    return np.column_stack([label, rows])[:3_000], np.column_stack([label, rows])[3_000:]


def sharded(account: Account) -> str:
    """Upload the table, its training rows in two parts; return the bucket."""
    train, validation = table()
    bucket = new_bucket(account)
    for part in (0, 1):
        upload_csv(account, f"train/{part}.csv", train[part::2], bucket=bucket)
    upload_csv(account, "validation/0.csv", validation, bucket=bucket)
    return bucket


def channels(bucket: str) -> list[dict[str, Any]]:
    """Return the channels, each host with its own half of the rows."""
    return [
        channel(bucket, "train", S3DataDistributionType="ShardedByS3Key"),
        channel(bucket, "validation", S3DataDistributionType="FullyReplicated"),
    ]


def xgboost_job(account: Account) -> dict[str, Any]:
    """Return a job of XGBoost, which reports the AUC on other rows."""
    bucket = sharded(account)
    given = {"num_round": "30", "objective": "binary:logistic", "eval_metric": "auc", "tree_method": "hist"}
    request = training_request(account, bucket, hyperparameters=given)
    return {**request, "InputDataConfig": channels(bucket)}


def linear_job(account: Account) -> dict[str, Any]:
    """Return a job of Linear Learner, which reports its loss on other rows."""
    bucket = sharded(account)
    given = {"predictor_type": "binary_classifier", "feature_dim": "4", "mini_batch_size": "100"}
    request = training_request(account, bucket, hyperparameters=given, image=LINEAR)
    return {**request, "InputDataConfig": channels(bucket)}


def kills(report: Report, account: Account, cluster: Cluster, n_jobs: int, n_kills: int) -> None:
    """Kill nodes while jobs run, and see how each of these ends."""
    bucket = new_bucket(account)
    source = upload_script(account, bucket, STEPS)
    client = account.client("sagemaker")
    names = []
    for n in range(n_jobs):
        request = script_request(account, bucket, source, instance_type=SMALL)
        request["TrainingJobName"] = f"kill-{n}"
        request["CheckpointConfig"] = {"S3Uri": f"s3://{bucket}/checkpoints/{n}"}
        client.create_training_job(**request)
        names.append(request["TrainingJobName"])
    chosen, n_hosts = random.Random(7), 0
    began = time.monotonic()
    for n in range(1, n_kills + 1):
        time.sleep(chosen.uniform(0.5, 4.0))
        busy = until(lambda: [each for each in ("n2", "n3") if cluster.hosts(each)], "a node has a job")
        name = chosen.choice(busy)
        n_here = len(cluster.hosts(name))
        cluster.kill(name)
        n_hosts += n_here
        took_s = time.monotonic() - began
        print(f"  {took_s:5.0f} s  kill {n} of {n_kills}: {name} with {n_here} hosts", flush=True)
        cluster.start(name)
    described = [wait_for_job(account, name, limit_s=420.0) for name in names]
    report.facts["hosts killed"] = n_hosts
    judged(report, account, described, n_kills)


def judged(report: Report, account: Account, described: Sequence[dict[str, Any]], n_kills: int) -> None:
    """Count how the jobs ended, and whether any was in two places at once."""
    ends = Counter(each["TrainingJobStatus"] for each in described)
    untrue = [
        each.get("FailureReason", "")
        for each in described
        if each["TrainingJobStatus"] not in {"Completed", "Failed"}
        or (each["TrainingJobStatus"] == "Failed" and "lost" not in each.get("FailureReason", ""))
    ]
    n_restarts = sum(
        each["Status"] == "Restarting" for job in described for each in job["SecondaryStatusTransitions"]
    )
    incomplete = doubled = 0
    for job in described:
        steps = steps_of(account, job["TrainingJobName"])
        if job["TrainingJobStatus"] == "Completed":
            incomplete += {n for _, n, _ in steps} != set(range(N_STEPS))
        doubled += overlap(steps)
    rows = [(name, str(count)) for name, count in sorted(ends.items())]
    rows += [("restarts", str(n_restarts)), ("kills", str(n_kills))]
    report.table("Jobs under node kills", ("ended", "jobs"), rows)
    report.facts["kills"] = dict(ends) | {"restarts": n_restarts, "reasons": untrue}
    report.bar("jobs without a true end", float(len(untrue)), 0.0, "jobs")
    report.bar("completed jobs that lack a step", float(incomplete), 0.0, "jobs")
    report.bar("jobs that ran in two places at once", float(doubled), 0.0, "jobs")


def steps_of(account: Account, name: str) -> list[tuple[str, int, float]]:
    """Return attempt, step and moment of every line that the job printed."""
    client, group = account.client("logs"), "/aws/sagemaker/TrainingJobs"
    found: list[tuple[str, int, float]] = []
    for stream in client.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")[
        "logStreams"
    ]:
        pages = client.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )
        lines = map(LINE.search, (event["message"] for event in pages["events"]))
        found += [(line[1], int(line[2]), float(line[3])) for line in lines if line]
    return found


def overlap(steps: Sequence[tuple[str, int, float]]) -> bool:
    """Say whether an attempt printed a step after the next one had begun."""
    spans: dict[str, list[float]] = defaultdict(list)
    for mark, _, moment in steps:
        spans[mark].append(moment)
    ordered = sorted((min(each), max(each)) for each in spans.values())
    return any(later[0] < earlier[1] for earlier, later in pairwise(ordered))


if __name__ == "__main__":
    sys.exit(main())
