"""Neural Topic Model: what botocore says of 1,200 operations of AWS, in ten topics.

clary run -- .venvs/sdk2/bin/python examples/algorithms/ntm.py
"""

import tarfile
import tempfile
from pathlib import Path

import botocore.session
import numpy as np
import sagemaker
from sagemaker import NTM
from sagemaker.amazon.amazon_estimator import RecordSet
from sagemaker.parameter import IntegerParameter
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.tuner import HyperparameterTuner
from sklearn.feature_extraction.text import CountVectorizer

texts = []
for service in ("dynamodb", "ec2", "iam", "kms", "lambda", "rds", "redshift", "s3", "sagemaker", "ssm"):
    model = botocore.session.get_session().get_service_model(service)
    texts += [model.operation_model(name).documentation for name in model.operation_names[:150]]
counter = CountVectorizer(stop_words="english", token_pattern=r"(?u)\b[a-z]{3,}\b", min_df=5, max_df=0.4)
counts = counter.fit_transform(texts).toarray().astype("float32")
counts = counts[counts.sum(axis=1) > 5]
words = counter.get_feature_names_out()
order = np.random.default_rng(1).permutation(len(counts))
train, test = counts[order[100:]], counts[order[:100]]

session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/ntm"
estimator = NTM(
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    num_topics=10,
    optimizer="adam",
    learning_rate=0.01,
    epochs=40,
    output_path=f"{place}/models",
    sagemaker_session=session,
)

# Train: with the vocabulary, the log ends with the topics in words.
vocabulary = S3Uploader.upload_string_as_file_body(
    "\n".join(words), f"{place}/vocabulary/vocab.txt", sagemaker_session=session
)
channels = [
    estimator.record_set(train),
    estimator.record_set(test, channel="validation"),
    RecordSet(vocabulary, 1, 1, "S3Prefix", channel="auxiliary"),
]
estimator.fit(channels)
metrics = estimator.training_job_analytics.dataframe().groupby("metric_name").value.last()
score = metrics["validation:total_loss"]

# Tune: three sizes of the mini-batch, two at a time.
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="validation:total_loss",
    objective_type="Minimize",
    hyperparameter_ranges={"mini_batch_size": IntegerParameter(16, 256, scaling_type="Logarithmic")},
    max_jobs=3,
    max_parallel_jobs=2,
)
tuner.fit(channels, mini_batch_size=256)  # the SDK wants one for this estimator; trials have theirs
trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue")
best = tuner.best_estimator()

with tempfile.TemporaryDirectory() as folder:
    # Deploy the best, and ask it.
    predictor = best.deploy(1, "ml.m5.large")
    try:
        records = predictor.predict(test)
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()
    answers = np.array([record.label["topic_weights"].float32_tensor.values for record in records])

    # Transform a file in S3: a line of shares for every line of counts.
    np.savetxt(f"{folder}/test.csv", test, "%g", delimiter=",")
    rows = session.upload_data(f"{folder}/test.csv", key_prefix="examples/ntm/rows")
    transformer = best.transformer(
        1, "ml.m5.large", accept="text/csv", assemble_with="Line", output_path=f"{place}/answers"
    )
    transformer.transform(rows, content_type="text/csv", split_type="Line")
    S3Downloader.download(f"{place}/answers/test.csv.out", folder, sagemaker_session=session)
    transformer.delete_model()
    lines = np.loadtxt(f"{folder}/test.csv.out", delimiter=",")

    # Outside: the model is a NumPy archive (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(Path(folder) / "model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    model = np.load(f"{folder}/model/model_algo-1")
    found = np.sqrt(test / test.sum(axis=1, keepdims=True))
    for layer in range(sum(name.startswith("weight_") for name in model.files)):
        found = 1 / (1 + np.exp(-(found @ model[f"weight_{layer}"] + model[f"bias_{layer}"])))
    found = np.exp(found @ model["mean_weight"] + model["mean_bias"])
    found /= found.sum(axis=1, keepdims=True)
    topics = model["topics"]

np.testing.assert_allclose(answers, found, atol=1e-5)
np.testing.assert_allclose(lines, found, atol=1e-5)

print(f"score     validation:total_loss {score:.3f} of mini-batches of 256")
print(f"tuned     {trials[['mini_batch_size', 'FinalObjectiveValue']].to_dict('records')}")
print(f"best      mini_batch_size {trials.mini_batch_size.iloc[0]:g}")
for topic in answers.mean(axis=0).argsort()[::-1][:3]:
    print(f"first     topic {topic}: {' '.join(words[topics[topic].argsort()[::-1][:8]])}")
print(f"outside   NumPy says the same of {len(test)} documents as endpoint and transform")
