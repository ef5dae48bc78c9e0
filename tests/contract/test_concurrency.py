"""Sixteen jobs at once on one machine: all complete, and one that takes too much memory harms only itself."""

import numpy as np

from clary.testing.jobs import script_request, training_request, upload_csv, upload_script, wait_for_job

N_JOBS = 16
GREEDY = """
import time
held = []
print("takes memory", flush=True)
for n in range(128):
    held.append(b"x" * (64 << 20))
    time.sleep(0.01)
raise SystemExit("8 GiB were there to be had")
"""
MODEST = """
import os
held = b"x" * (200 << 20)
with open(os.environ["SM_MODEL_DIR"] + "/size", "w") as file:
    file.write(str(len(held)))
"""


def test_sixteen_jobs_at_once_complete_but_for_the_one_over_its_memory(clary_server):
    account = clary_server.account()
    client = account.client("sagemaker")
    rows = np.random.default_rng(3).normal(size=(1_000, 8))
    bucket = upload_csv(account, "train/data.csv", np.column_stack([rows[:, 0] > 0, rows]))
    greedy, modest = (
        upload_script(account, bucket, text, key=f"{name}/sourcedir.tar.gz")
        for name, text in (("greedy", GREEDY), ("modest", MODEST))
    )
    requests = [script_request(account, bucket, greedy, instance_type="ml.t3.medium")]
    requests += [script_request(account, bucket, modest, instance_type="ml.t3.medium") for _ in range(7)]
    requests += [training_request(account, bucket) for _ in range(N_JOBS - len(requests))]
    for request in requests:
        client.create_training_job(**request)
    ends = [wait_for_job(account, each["TrainingJobName"], limit_s=240) for each in requests]
    first, *others = ends
    assert first["TrainingJobStatus"] == "Failed"
    assert "memory" in first["FailureReason"]
    assert "4096 MiB of ml.t3.medium" in first["FailureReason"]
    assert [(each["TrainingJobStatus"], each.get("FailureReason")) for each in others] == [
        ("Completed", None)
    ] * (N_JOBS - 1)
    for each in ends:
        passed = [step["Status"] for step in each["SecondaryStatusTransitions"]]
        assert len(passed) == len(set(passed)), passed  # none was started twice
    published = client.list_training_jobs(StatusEquals="Completed", MaxResults=100)["TrainingJobSummaries"]
    assert len(published) == N_JOBS - 1
