"""Linear Learner: is a tumour benign? 569 measured cells of breast cancer Wisconsin, from scikit-learn.

clary run -- .venvs/sdk2/bin/python examples/algorithms/linear_learner.py
"""

import json
import tarfile
import tempfile

import numpy as np
import sagemaker
from sagemaker import LinearLearner
from sagemaker.parameter import ContinuousParameter
from sagemaker.s3 import S3Downloader
from sagemaker.tuner import HyperparameterTuner
from sklearn.datasets import load_breast_cancer

rows, labels = (each.astype("float32") for each in load_breast_cancer(return_X_y=True))
train, validation, test = slice(0, 350), slice(350, 450), slice(450, None)

session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/linear-learner"
estimator = LinearLearner(
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    predictor_type="binary_classifier",
    binary_classifier_model_selection_criteria="f_beta",
    output_path=f"{place}/models",
    sagemaker_session=session,
)

# Train: models of several step sizes and penalties at once, of which validation rows choose one.
channels = [
    estimator.record_set(rows[train], labels[train]),
    estimator.record_set(rows[validation], labels[validation], channel="validation"),
    estimator.record_set(rows[test], labels[test], channel="test"),
]
estimator.fit(channels, mini_batch_size=50)
metrics = estimator.training_job_analytics.dataframe().set_index("metric_name").value

# Tune: three values of the penalty.
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="validation:objective_loss",
    objective_type="Minimize",
    hyperparameter_ranges={"wd": ContinuousParameter(1e-6, 1e-2, scaling_type="Logarithmic")},
    max_jobs=3,
    max_parallel_jobs=2,
)
tuner.fit(channels, mini_batch_size=50)
trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue")
best = tuner.best_estimator()

with tempfile.TemporaryDirectory() as folder:
    # Deploy the best, and ask it.
    predictor = best.deploy(1, "ml.m5.large")
    try:
        records = predictor.predict(rows[test])
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()
    scores = [record.label["score"].float32_tensor.values[0] for record in records]
    predicted = [record.label["predicted_label"].float32_tensor.values[0] for record in records]

    # Transform a file in S3: a line of answers for every line of rows.
    np.savetxt(f"{folder}/test.csv", rows[test], "%.9g", delimiter=",")
    uploaded = session.upload_data(f"{folder}/test.csv", key_prefix="examples/linear-learner/rows")
    transformer = best.transformer(
        1, "ml.m5.large", accept="application/jsonlines", assemble_with="Line", output_path=f"{place}/answers"
    )
    transformer.transform(uploaded, content_type="text/csv", split_type="Line")
    transformer.delete_model()
    S3Downloader.download(f"{place}/answers/test.csv.out", folder, sagemaker_session=session)
    with open(f"{folder}/test.csv.out") as file:
        lines = [json.loads(line) for line in file]

    # Outside: the model is a NumPy archive (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(f"{folder}/model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    with np.load(f"{folder}/model/model_algo-1") as model:
        outside = 1 / (1 + np.exp(-(rows[test] @ model["weight"].T + model["bias"])[:, 0]))
        benign = outside >= model["threshold"]

np.testing.assert_allclose(outside, scores, atol=1e-5)
np.testing.assert_allclose(outside, [line["score"] for line in lines], atol=1e-5)
np.testing.assert_array_equal(benign, predicted)
np.testing.assert_array_equal(benign, [line["predicted_label"] for line in lines])

print(f"score     test F1 {metrics['test:binary_f_beta']:.3f}, AUC {metrics['test:roc_auc_score']:.3f}")
print(f"best      wd {trials.wd.iloc[0]:.2g}: validation loss {trials.FinalObjectiveValue.iloc[0]:.4f}")
print(f"first     benign with {np.round(scores[:5], 3)}; {np.mean(benign == labels[test]):.3f} are right")
print(f"outside   NumPy says the same of {len(scores)} tumours as endpoint and transform")
