"""Object2Vec: names of 1,100 operations of AWS and what botocore says of them, as pairs that belong together.

clary run -- .venvs/sdk2/bin/python examples/algorithms/object2vec.py
"""

import json
import random
import re
import tarfile
import tempfile
from pathlib import Path

import botocore.session
import numpy as np
import sagemaker
from sagemaker import image_uris
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.parameter import IntegerParameter
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import JSONSerializer
from sagemaker.tuner import HyperparameterTuner

pairs, tokens = [], {}
for service in ("dynamodb", "ec2", "iam", "kms", "lambda", "rds", "s3", "sagemaker", "ssm"):
    model = botocore.session.get_session().get_service_model(service)
    for name in model.operation_names[:150]:
        text = re.sub(r"<[^>]+>", " ", model.operation_model(name).documentation).lower()
        sides = (re.findall("[A-Z][a-z]+", name), re.findall("[a-z]+", text)[:20])
        if all(sides):
            pairs.append([[tokens.setdefault(word.lower(), len(tokens)) for word in side] for side in sides])
random.Random(1).shuffle(pairs)
rows = []
for name, text in pairs:
    rows.append({"label": 1, "in0": name, "in1": text})
    rows.append({"label": 0, "in0": name, "in1": random.Random(len(rows)).choice(pairs)[1]})
train, test = rows[:-200], rows[-200:]

session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/object2vec"
channels = {
    channel: S3Uploader.upload_string_as_file_body(
        "".join(json.dumps(row) + "\n" for row in part), f"{place}/{channel}.jsonl", sagemaker_session=session
    )
    for channel, part in (("train", train), ("validation", test))
}
estimator = Estimator(
    image_uris.retrieve("object2vec", session.boto_region_name),
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    output_path=f"{place}/models",
    sagemaker_session=session,
    hyperparameters={
        "enc0_max_seq_len": 20,
        "enc0_vocab_size": len(tokens),
        "enc0_network": "pooled_embedding",
        "enc0_token_embedding_dim": 32,
        "tied_token_embedding_weight": "true",
        "mlp_activation": "relu",
        "mlp_dim": 32,
        "mlp_layers": 1,
        "mini_batch_size": 32,
        "learning_rate": 0.003,
        "epochs": 15,
    },
)

# Train: pairs that belong together, and as many that do not.
estimator.fit(channels)
metrics = estimator.training_job_analytics.dataframe().groupby("metric_name").value.last()
score = metrics["validation:accuracy"]

# Tune: three widths of the layer behind the comparison, two at a time.
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="validation:accuracy",
    hyperparameter_ranges={"mlp_dim": IntegerParameter(16, 128)},
    max_jobs=3,
    max_parallel_jobs=2,
)
tuner.fit(channels)
trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue", ascending=False)
best = tuner.best_estimator()

with tempfile.TemporaryDirectory() as folder:
    # Deploy the best, and ask it.
    asked = [{"in0": row["in0"], "in1": row["in1"]} for row in test]
    predictor = best.deploy(1, "ml.m5.large", serializer=JSONSerializer(), deserializer=JSONDeserializer())
    try:
        answers = [each["scores"] for each in predictor.predict({"instances": asked})["predictions"]]
        [vector] = predictor.predict({"instances": [{"in0": test[0]["in0"]}]})["predictions"]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()

    # Transform a file in S3: a line of JSON for every line of JSON.
    lines = "".join(json.dumps(pair) + "\n" for pair in asked)
    source = S3Uploader.upload_string_as_file_body(
        lines, f"{place}/rows/pairs.jsonl", sagemaker_session=session
    )
    transformer = best.transformer(
        1, "ml.m5.large", assemble_with="Line", accept="application/jsonlines", output_path=f"{place}/answers"
    )
    transformer.transform(source, content_type="application/jsonlines", split_type="Line")
    written = S3Downloader.read_file(f"{place}/answers/pairs.jsonl.out", sagemaker_session=session)
    transformer.delete_model()

    # Outside: the model is a NumPy archive (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(Path(folder) / "model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    model = dict(np.load(f"{folder}/model/model_algo-1"))

a, b = (np.array([model["enc0_tokens"][row[side]].mean(axis=0) for row in test]) for side in ("in0", "in1"))
said = np.hstack([a * b, a, b, abs(a - b)])  # comparator_list: hadamard, concat, abs_diff
said = np.maximum(said @ model["weight_0"] + model["bias_0"], 0) @ model["last_weight"] + model["last_bias"]
found = np.exp(said) / np.exp(said).sum(axis=1, keepdims=True)
np.testing.assert_allclose(answers, found, atol=1e-5)
np.testing.assert_allclose([json.loads(line)["scores"] for line in written.splitlines()], found, atol=1e-5)
np.testing.assert_allclose(vector["embeddings"], a[0], atol=1e-5)

print(f"score     validation:accuracy {score:.3f} with mlp_dim 32")
print(f"tuned     {trials[['mlp_dim', 'FinalObjectiveValue']].to_dict('records')}")
print(f"best      mlp_dim {trials.mlp_dim.iloc[0]:g}")
print(
    f"first     {answers[0][1]:.2f} that the first pair belongs together, {answers[1][1]:.2f} for the second"
)
print(f"outside   NumPy says the same of {len(test)} pairs as endpoint and transform")
