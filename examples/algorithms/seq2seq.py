"""Sequence-to-Sequence: numbers in words, as "four thousand twenty one", to their digits.

clary run -- .venvs/sdk2/bin/python examples/algorithms/seq2seq.py
"""

import io
import json
import random
import struct
import sys
import tarfile
import tempfile
from pathlib import Path

import boto3
import numpy as np
import onnxruntime
import sagemaker
from sagemaker import image_uris
from sagemaker.amazon.record_pb2 import Record
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.parameter import IntegerParameter
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import JSONSerializer
from sagemaker.tuner import HyperparameterTuner

# SageMaker trains this on GPUs: give it ml.g4dn.xlarge.
INSTANCE = sys.argv[1] if len(sys.argv) > 1 else "ml.m5.large"
ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
ONES += [f"{word}teen" for word in ("thir", "four", "fif", "six", "seven", "eigh", "nine")]
TENS = [f"{word}ty" for word in ("twen", "thir", "for", "fif", "six", "seven", "eigh", "nine")]
MARKS = ["<pad>", "<unk>", "<s>", "</s>"]
BEGIN, END = 2, 3


def spelled(number):
    """Return a number's words."""
    if number < 20:
        return [ONES[number]]
    if number < 100:
        return [TENS[number // 10 - 2], *(spelled(number % 10) if number % 10 else [])]
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    rest = spelled(number % size) if number % size else []
    return [*spelled(number // size), name, *rest]


vocabularies = {"src": [*MARKS, *ONES, *TENS, "hundred", "thousand"], "trg": [*MARKS, *"0123456789"]}
tokens = {side: {word: token for token, word in enumerate(words)} for side, words in vocabularies.items()}
numbers = random.Random(1).sample(range(100_000), 6300)


def packed(some):
    """Return records of tokens, as the service's example notebook writes them."""
    found = io.BytesIO()
    for number in some:
        record = Record()
        record.features["source"].int32_tensor.values.extend(tokens["src"][word] for word in spelled(number))
        record.features["target"].int32_tensor.values.extend(tokens["trg"][digit] for digit in str(number))
        body = record.SerializeToString()
        found.write(struct.pack("<II", 0xCED7230A, len(body)) + body + b"\0" * (-len(body) % 4))
    return found.getvalue()


session = sagemaker.Session()
bucket, prefix = session.default_bucket(), "examples/seq2seq"
place, s3 = f"s3://{bucket}/{prefix}", boto3.client("s3")
s3.put_object(Bucket=bucket, Key=f"{prefix}/train/train.rec", Body=packed(numbers[:6000]))
s3.put_object(Bucket=bucket, Key=f"{prefix}/validation/val.rec", Body=packed(numbers[6000:]))
for side, each in tokens.items():
    s3.put_object(Bucket=bucket, Key=f"{prefix}/vocab/vocab.{side}.json", Body=json.dumps(each))
channels = {name: f"{place}/{name}/" for name in ("train", "validation", "vocab")}
estimator = Estimator(
    image_uris.retrieve("seq2seq", session.boto_region_name),
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type=INSTANCE,
    output_path=f"{place}/models",
    sagemaker_session=session,
    hyperparameters={
        "rnn_num_hidden": 128,
        "num_embed_source": 32,
        "num_embed_target": 32,
        "rnn_attention_type": "dot",
        "learning_rate": 0.003,
        "checkpoint_frequency_num_batches": 94,
        "max_num_epochs": 6,
        "beam_size": 1,  # each word the likeliest: what is done outside, below
    },
)

# Train, and tune over one, two or three layers of the encoder.
estimator.fit(channels)
metrics = estimator.training_job_analytics.dataframe().groupby("metric_name").value.last()
score = metrics["validation:accuracy"]
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="validation:accuracy",
    hyperparameter_ranges={"num_layers_encoder": IntegerParameter(1, 3)},
    max_jobs=3,
)
tuner.fit(channels)
trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue", ascending=False)
best = tuner.best_estimator()

with tempfile.TemporaryDirectory() as folder:
    # Deploy the best, and ask it.
    asked = [" ".join(spelled(number)) for number in numbers[-50:]]
    predictor = best.deploy(1, "ml.m5.large", serializer=JSONSerializer(), deserializer=JSONDeserializer())
    try:
        answers = predictor.predict({"instances": [{"data": text} for text in asked]})["predictions"]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()

    # Transform a file in S3: a line of JSON for every line of JSON.
    lines = "".join(json.dumps({"source": text}) + "\n" for text in asked)
    rows = S3Uploader.upload_string_as_file_body(
        lines, f"{place}/rows/texts.jsonl", sagemaker_session=session
    )
    transformer = best.transformer(
        1, "ml.m5.large", assemble_with="Line", accept="application/jsonlines", output_path=f"{place}/answers"
    )
    transformer.transform(rows, content_type="application/jsonlines", split_type="Line")
    written = S3Downloader.read_file(f"{place}/answers/texts.jsonl.out", sagemaker_session=session)
    transformer.delete_model()

    # Outside: the model holds an ONNX file (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(Path(folder) / "model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    network = onnxruntime.InferenceSession(f"{folder}/model/model.onnx")

found = []
for text in asked:
    source, said = np.array([[tokens["src"][word] for word in text.split()]]), [BEGIN]
    while said[-1] != END and len(said) <= 100:
        [likely] = network.run(None, {"source": source, "said": np.array([said])})
        likely[0, -1, [0, BEGIN]] = -np.inf  # never said
        said.append(int(likely[0, -1].argmax()))
    found.append(" ".join(vocabularies["trg"][token] for token in said[1:-1]))
assert [each["target"] for each in answers] == found
assert [json.loads(line)["target"] for line in written.splitlines()] == found

right = np.mean(
    [text.replace(" ", "") == str(number) for text, number in zip(found, numbers[-50:], strict=True)]
)
print(f"score     validation:accuracy {score:.3f} with one layer")
print(f"tuned     {trials[['num_layers_encoder', 'FinalObjectiveValue']].to_dict('records')}")
print(f"best      num_layers_encoder {trials.num_layers_encoder.iloc[0]:g}")
print(f"first     {asked[0]}: {found[0]}; {right:.2f} of all are right")
print(f"outside   ONNX says the same of {len(asked)} numbers as endpoint and transform")
