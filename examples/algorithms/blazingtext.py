"""BlazingText: what botocore says of 900 operations of AWS, and the service that each is of.

clary run -- .venvs/sdk2/bin/python examples/algorithms/blazingtext.py
"""

import json
import random
import re
import tarfile
import tempfile
from pathlib import Path

import botocore.session
import fasttext
import numpy as np
import sagemaker
from sagemaker import image_uris
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.parameter import IntegerParameter
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import JSONSerializer
from sagemaker.tuner import HyperparameterTuner

SERVICES = ("dynamodb", "ec2", "iam", "lambda", "rds", "s3", "sagemaker", "ssm")
texts = []
for service in SERVICES:
    model = botocore.session.get_session().get_service_model(service)
    for name in model.operation_names[:150]:
        words = re.findall(
            r"[a-z0-9]+", re.sub(r"<[^>]+>", " ", model.operation_model(name).documentation.lower())
        )
        texts.append((service, " ".join(words[:40])))
random.Random(1).shuffle(texts)
train, test = texts[:-120], texts[-120:]

session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/blazingtext"
channels = {}
for channel, part in (("train", train), ("validation", test)):
    lines = "".join(f"__label__{service} {text}\n" for service, text in part)
    channels[channel] = S3Uploader.upload_string_as_file_body(
        lines, f"{place}/{channel}/texts.txt", sagemaker_session=session
    )
estimator = Estimator(
    image_uris.retrieve("blazingtext", session.boto_region_name),
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    output_path=f"{place}/models",
    sagemaker_session=session,
    hyperparameters={
        "mode": "supervised",
        "epochs": 15,
        "learning_rate": 0.5,
        "min_count": 2,
        "vector_dim": 20,
        "buckets": 50_000,
    },
)

# Train: words of a text are learned with the label before them.
estimator.fit(channels)
metrics = estimator.training_job_analytics.dataframe().groupby("metric_name").value.last()
score = metrics["validation:accuracy"]

# Tune: single words, or runs of two or three as well.
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="validation:accuracy",
    hyperparameter_ranges={"word_ngrams": IntegerParameter(1, 3)},
    max_jobs=3,
    max_parallel_jobs=2,
)
tuner.fit(channels)
trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue", ascending=False)
best = tuner.best_estimator()

with tempfile.TemporaryDirectory() as folder:
    # Deploy the best, and ask it for two labels of each text.
    asked = [text for _, text in test]
    predictor = best.deploy(1, "ml.m5.large", serializer=JSONSerializer(), deserializer=JSONDeserializer())
    try:
        answers = predictor.predict({"instances": asked, "configuration": {"k": 2}})
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()

    # Transform a file in S3: a line of JSON for every line of JSON.
    rows = S3Uploader.upload_string_as_file_body(
        "".join(json.dumps({"source": text, "k": 2}) + "\n" for text in asked),
        f"{place}/rows/texts.jsonl",
        sagemaker_session=session,
    )
    transformer = best.transformer(
        1, "ml.m5.large", assemble_with="Line", accept="application/jsonlines", output_path=f"{place}/answers"
    )
    transformer.transform(rows, content_type="application/jsonlines", split_type="Line")
    written = S3Downloader.read_file(f"{place}/answers/texts.jsonl.out", sagemaker_session=session)
    transformer.delete_model()
    lines = [json.loads(line) for line in written.splitlines()]

    # Outside: the model is a binary of fastText (`clary model unpack model.tar.gz` says so).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(Path(folder) / "model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    model = fasttext.load_model(f"{folder}/model/model.bin")
    outside = [model.f.predict(f"{text}\n", 2, 0.0, "strict") for text in asked]  # predict() needs NumPy 1

for found in (answers, lines):
    assert [each["label"] for each in found] == [[label for _, label in each] for each in outside]
    shares = [[share for share, _ in each] for each in outside]
    np.testing.assert_allclose([each["prob"] for each in found], shares, atol=1e-4)

right = np.mean(
    [each["label"][0] == f"__label__{service}" for each, (service, _) in zip(answers, test, strict=True)]
)
print(f"score     validation:accuracy {score:.3f} of two words in a run")
print(f"tuned     {trials[['word_ngrams', 'FinalObjectiveValue']].to_dict('records')}")
print(f"best      word_ngrams {trials.word_ngrams.iloc[0]:g}")
print(
    f"first     {answers[0]['label'][0]} {answers[0]['prob'][0]:.2f}: {asked[0][:60]}; {right:.3f} are right"
)
print(f"outside   fastText says the same of {len(test)} texts as endpoint and transform")
