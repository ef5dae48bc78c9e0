"""IP Insights: which country was an address given to? What the five registries say, from the package iptocc.

clary run -- .venvs/sdk2/bin/python examples/algorithms/ipinsights.py
"""

import hashlib
import ipaddress
import json
import tarfile
import tempfile
from collections import Counter

import numpy as np
import pandas as pd
import sagemaker
from iptocc import country_code
from sagemaker import image_uris
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.parameter import ContinuousParameter
from sagemaker.s3 import S3Downloader
from sagemaker.serializers import CSVSerializer
from sagemaker.tuner import HyperparameterTuner
from sklearn.metrics import roc_auc_score


def pairs(some):
    """Return countries and addresses, a tuple each."""
    return list(zip(some.country, some.address, strict=True))


# Whose an address is, is real; which ones are looked up is drawn, of each country 2,000 at most.
draw = np.random.default_rng(7)
given = pd.DataFrame({"number": draw.integers(1 << 24, 224 << 24, 400_000)})
given["address"] = [str(ipaddress.IPv4Address(each)) for each in given.number.tolist()]
given["country"] = country_code(given.address.tolist())
given = given.dropna()
given = given[given.groupby("country").cumcount() < 2000]
# Whole networks of 4,096 addresses are held back, a twentieth for validation and one to ask.
network = np.unique(given.number // 4096, return_inverse=True)[1]
part = draw.random(network.max() + 1)[network]
train, validation, test = given[part < 0.9], given[(part >= 0.9) & (part < 0.95)], given[part >= 0.95]
claims = test.assign(country=draw.permutation(test.country))
claims = pd.concat([test, claims[claims.country != test.country]])
asked = pairs(claims)
is_true = np.arange(len(asked)) < len(test)


def share(length):
    """Return which share of training addresses on the same network had the country that is claimed."""
    size = 2 ** (32 - length)
    every = Counter(train.number // size)
    of = Counter(zip(train.country, train.number // size, strict=True))
    pairs = zip(claims.country, claims.number // size, strict=True)
    return np.array([of[country, at] / max(1, every[at]) for country, at in pairs])


session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/ipinsights"
estimator = Estimator(
    image_uris.retrieve("ipinsights", session.boto_region_name),
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    hyperparameters={
        "num_entity_vectors": 1000,
        "vector_dim": 32,
        "mini_batch_size": 1000,
        "epochs": 5,
        "random_negative_sampling_rate": 0,  # the question is which country's, not whether it is anybody's
        "shuffled_negative_sampling_rate": 2,
    },
    output_path=f"{place}/models",
    sagemaker_session=session,
)


def score(model, entity, address):
    """Return how well an address goes with an entity: above 0, as always; below 0, never from there."""
    digest = hashlib.blake2b(entity.encode(), digest_size=8).digest()
    vector = model["entity_vectors"][int.from_bytes(digest, "little") % len(model["entity_vectors"])]
    number = int(ipaddress.IPv4Address(address))
    found = (2.0 * np.array([number >> bit & 1 for bit in range(31, -1, -1)]) - 1) @ model["bit_weight"]
    keys = [length << 32 | number >> 32 - length for length in (8, 12, 16, 20, 24)]
    found = found + model["prefix_vectors"][np.isin(model["prefixes"], keys)].sum(axis=0)
    for layer in range(sum(name.startswith("weight_") for name in model)):
        found = np.tanh(found) @ model[f"weight_{layer}"] + model[f"bias_{layer}"]
    return float(vector @ found)


with tempfile.TemporaryDirectory() as folder:

    def uploaded(name, some):
        with open(f"{folder}/{name}.csv", "w") as file:
            file.writelines(f"{who},{at}\n" for who, at in some)
        return session.upload_data(f"{folder}/{name}.csv", key_prefix=f"examples/ipinsights/{name}")

    # Train; learning_rate's default is for tens of millions of events.
    channels = {
        "train": TrainingInput(uploaded("train", pairs(train)), content_type="text/csv"),
        "validation": TrainingInput(uploaded("validation", pairs(validation)), content_type="text/csv"),
    }
    estimator.fit(channels)
    metrics = estimator.training_job_analytics.dataframe().set_index("metric_name").value
    first_auc = metrics["validation:discriminator_auc"]

    # Tune: three step sizes.
    tuner = HyperparameterTuner(
        estimator,
        objective_metric_name="validation:discriminator_auc",
        objective_type="Maximize",
        hyperparameter_ranges={"learning_rate": ContinuousParameter(1e-3, 0.1, scaling_type="Logarithmic")},
        max_jobs=3,
        max_parallel_jobs=2,
    )
    tuner.fit(channels)
    trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue", ascending=False)
    best = tuner.best_estimator()

    # Deploy the best, and ask it.
    predictor = best.deploy(1, "ml.m5.large", serializer=CSVSerializer(), deserializer=JSONDeserializer())
    try:
        said = [each["dot_product"] for each in predictor.predict(asked)["predictions"]]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()

    # Transform a file in S3: a line of answers for every event.
    transformer = best.transformer(
        1, "ml.m5.large", accept="application/jsonlines", assemble_with="Line", output_path=f"{place}/answers"
    )
    transformer.transform(uploaded("asked", asked), content_type="text/csv", split_type="Line")
    transformer.delete_model()
    S3Downloader.download(f"{place}/answers/asked.csv.out", folder, sagemaker_session=session)
    with open(f"{folder}/asked.csv.out") as file:
        lines = [json.loads(line)["dot_product"] for line in file]

    # Outside: the model is a NumPy archive (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(f"{folder}/model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    model = dict(np.load(f"{folder}/model/model_algo-1"))

outside = [score(model, *each) for each in asked[::9]]
np.testing.assert_allclose(outside, said[::9], rtol=1e-3, atol=1e-3)
np.testing.assert_allclose(lines, said, rtol=1e-3, atol=1e-3)

shares = {length: share(length) for length in (8, 12, 16)}
single = max(roc_auc_score(is_true, each) for each in shares.values())
together = roc_auc_score(is_true, shares[8] + 10 * shares[12] + 100 * shares[16])
print(f"score     validation:discriminator_auc {first_auc:.3f} with the default step size")
print(f"best      learning_rate {trials.learning_rate.iloc[0]:.4f}: {trials.FinalObjectiveValue.iloc[0]:.3f}")
print(f"first     {asked[0]} {said[0]:.2f}; AUC of {len(asked)} claims {roc_auc_score(is_true, said):.3f}")
print(f"          counts on networks of one length: {single:.3f}; of the longest known: {together:.3f}")
print(f"outside   NumPy says the same of {len(outside)} claims as endpoint and transform")
