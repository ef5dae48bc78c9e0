"""SageMaker Python SDK v2: a model of two tiers, trained, judged end to end, and served as one endpoint.

clary run -- .venvs/sdk2/bin/python examples/tiers/run.py
"""

import csv
import tempfile
from pathlib import Path

import numpy as np
import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.serializers import JSONSerializer
from sagemaker.sklearn import SKLearn

HERE = Path(__file__).parent
FEATURES = ["amount", "hour", "new_device", "distance", "country"]
KINDS = ["account", "card", "refund"]


def payments(n, rng):
    """Make payments, of which one in eight is fraud of some kind, told apart by habits that overlap."""
    fraud = rng.random(n) < 0.125
    kind = rng.choice(3, n, p=[0.25, 0.5, 0.25])
    stolen, card, refund = (fraud & (kind == k) for k in range(3))
    columns = {
        "amount": np.exp(rng.normal(3.5, 1, n) + 0.9 * stolen + 0.4 * card).round(2),
        "hour": (rng.normal(14, 4, n) + 7 * card - 4 * stolen).round().astype(int) % 24,
        "new_device": (rng.random(n) < np.where(stolen, 0.85, np.where(card, 0.4, 0.1))).astype(int),
        "distance": np.exp(rng.normal(1, 1, n) + 1.6 * card - 0.5 * refund).round(1),
        "country": rng.choice(["DE", "FR", "XX"], n, p=[0.6, 0.3, 0.1]),
        "is_fraud": fraud.astype(int),
        "fraud_kind": np.where(fraud, np.array(KINDS)[kind], ""),
    }
    lists = [values.tolist() for values in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


session = sagemaker.Session()
rng = np.random.default_rng(7)
channels = {}
with tempfile.TemporaryDirectory() as folder:
    for name, n in (("train", 8000), ("test", 4000)):
        rows = payments(n, rng)
        path = Path(folder) / f"{name}.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        channels[name] = session.upload_data(str(path), key_prefix=f"tiers/{name}")

model = SKLearn(
    entry_point="train.py",
    source_dir=str(HERE),
    framework_version="1.2-1",
    role=sagemaker.get_execution_role(),
    instance_type="ml.m5.large",
    metric_definitions=[{"Name": "expected-cost", "Regex": r"expected-cost=(\S+)"}],
    sagemaker_session=session,
)
model.fit(channels, logs=False)
described = model.latest_training_job.describe()
print(f"cost of a payment   {described['FinalMetricDataList'][0]['Value']:.2f}")
print(f"reports             {model.output_path}{model.latest_training_job.name}/output/output.tar.gz")

predictor = model.deploy(
    initial_instance_count=1,
    instance_type="ml.m5.large",
    serializer=JSONSerializer(),
    deserializer=JSONDeserializer(),
    wait=False,
)
session.wait_for_endpoint(predictor.endpoint_name, poll=1)
asked = [{name: row[name] for name in FEATURES} for row in rows]
answers = predictor.predict({"instances": asked})
truth = [f"1/{row['fraud_kind']}" if row["is_fraud"] else "0" for row in rows]
caught = sum(a["fraud"] == "1" and t != "0" for a, t in zip(answers, truth, strict=True))
frauds = sum(t != "0" for t in truth)
print(f"frauds caught       {caught} of {frauds}")
right = sum(a["path"] == t != "0" for a, t in zip(answers, truth, strict=True))
print(f"kind told right     {right} of {caught}")
print(f"one answer          {next(a for a in answers if a['fraud'] == '1')}")
predictor.delete_model()
predictor.delete_endpoint()
