"""Random Cut Forest: faults among 49,097 readings of a space shuttle's sensors (UCI, in the package river).

clary run -- .venvs/sdk2/bin/python examples/algorithms/randomcutforest.py
"""

import tarfile
import tempfile

import numpy as np
import sagemaker
from river.datasets import Shuttle
from sagemaker import image_uris
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.parameter import IntegerParameter
from sagemaker.s3 import S3Downloader
from sagemaker.serializers import CSVSerializer
from sagemaker.tuner import HyperparameterTuner
from sklearn.metrics import roc_auc_score

# Every fifth fault only: what is three deviations above the mean is called one, so that they have to be rare.
draw = np.random.default_rng(7)
readings = np.array([[fault, *row.values()] for row, fault in Shuttle()], "float32")
readings = draw.permutation(readings[(readings[:, 0] == 0) | (draw.random(len(readings)) < 0.2)])
train, test, asked = readings[:20_000, 1:], readings[20_000:25_000], readings[25_000:30_000]

session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/randomcutforest"
estimator = Estimator(
    image_uris.retrieve("randomcutforest", session.boto_region_name),
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    hyperparameters={"feature_dim": 9, "num_trees": 50, "num_samples_per_tree": 256},
    output_path=f"{place}/models",
    sagemaker_session=session,
)


def score(model, row):
    """Return what a forest says of one row: in each tree, how soon a cut would part it from all others."""
    total = 0.0
    for nodes, cuts, masses, points, boxes in zip(*(model[name] for name in FOREST), strict=True):
        at, depth, rest, n_inner = 0, 0, 1.0, len(nodes)
        while at < n_inner:
            low, high = boxes[at]
            away = np.maximum(np.maximum(low - row, row - high), 0).sum()
            share = away / (away + (high - low).sum()) if away > 0 else 0.0
            depth += 1
            total += np.log2(masses[0] + 1) * rest * share / depth
            rest *= 1 - share
            at = nodes[at, 1] if row[nodes[at, 0]] <= cuts[at] else nodes[at, 2]
        seen = (points[at - n_inner] == row).all()
        mass = masses[at]
        known = (1 - 0.5 * mass / masses[0]) / (depth + np.log2(mass + 1)) if seen else 1 / (depth + 1)
        total += np.log2(masses[0] + 1) * rest * known
    return total / len(model["nodes"])


def boxes_of(nodes, points, masses):
    """Return the corners of the box around the rows below every inner node of a tree."""
    n_inner = len(nodes)
    boxes = np.zeros((n_inner, 2, points.shape[1]), "float32")
    for node in range(n_inner - 1, -1, -1):
        if masses[node]:
            below = [
                boxes[each] if each < n_inner else points[[each - n_inner] * 2] for each in nodes[node, 1:]
            ]
            boxes[node] = np.minimum(below[0][0], below[1][0]), np.maximum(below[0][1], below[1][1])
    return boxes


FOREST = ("nodes", "cuts", "masses", "points", "boxes")
with tempfile.TemporaryDirectory() as folder:
    # Train on rows without labels; the test channel has them in its first column.
    channels = {}
    for name, part, labels in (("train", train, 0), ("test", test, 1)):
        np.savetxt(f"{folder}/{name}.csv", part, "%g", delimiter=",")
        channels[name] = TrainingInput(
            session.upload_data(f"{folder}/{name}.csv", key_prefix="examples/randomcutforest"),
            content_type=f"text/csv;label_size={labels}",
            distribution="FullyReplicated" if labels else "ShardedByS3Key",
        )
    estimator.fit(channels)
    metrics = estimator.training_job_analytics.dataframe().set_index("metric_name").value

    # Tune: three numbers of rows that a tree has.
    tuner = HyperparameterTuner(
        estimator,
        objective_metric_name="test:f1",
        objective_type="Maximize",
        hyperparameter_ranges={"num_samples_per_tree": IntegerParameter(64, 1024)},
        max_jobs=3,
        max_parallel_jobs=2,
    )
    tuner.fit(channels)
    trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue", ascending=False)
    best = tuner.best_estimator()

    # Deploy the best, and ask it.
    predictor = best.deploy(1, "ml.m5.large", serializer=CSVSerializer(), deserializer=JSONDeserializer())
    try:
        said = [each["score"] for each in predictor.predict(asked[:20, 1:])["scores"]]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()

    # Transform a file in S3: a line of answers for every line of rows.
    np.savetxt(f"{folder}/asked.csv", asked[:, 1:], "%g", delimiter=",")
    rows = session.upload_data(f"{folder}/asked.csv", key_prefix="examples/randomcutforest/rows")
    transformer = best.transformer(
        1, "ml.m5.large", accept="text/csv", assemble_with="Line", output_path=f"{place}/answers"
    )
    transformer.transform(rows, content_type="text/csv", split_type="Line")
    transformer.delete_model()
    S3Downloader.download(f"{place}/answers/asked.csv.out", folder, sagemaker_session=session)
    lines = np.loadtxt(f"{folder}/asked.csv.out")

    # Outside: the model is a NumPy archive (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(f"{folder}/model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    model = dict(np.load(f"{folder}/model/model_algo-1"))

trees = zip(model["nodes"], model["points"], model["masses"], strict=True)
model["boxes"] = np.stack([boxes_of(*tree) for tree in trees])
outside = [score(model, row) for row in asked[:20, 1:]]
np.testing.assert_allclose(outside, said, rtol=1e-4)
np.testing.assert_allclose(outside, lines[:20], rtol=1e-4)

print(f"score     test F1 {metrics['test:f1']:.3f}, AUC of the best {roc_auc_score(asked[:, 0], lines):.3f}")
best_f1 = trials.FinalObjectiveValue.iloc[0]
print(f"best      num_samples_per_tree {trials.num_samples_per_tree.iloc[0]:g}: {best_f1:.3f}")
print(f"first     {np.round(said[:5], 2)}; a fault has {lines[asked[:, 0] == 1].mean():.2f} in the mean")
print("outside   NumPy says the same of 20 readings as endpoint and transform")
