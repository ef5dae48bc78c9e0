"""A scikit-learn script of the older kind: the environment and answers of `sagemaker_containers`."""

import json
import os

import joblib
import numpy as np
import sagemaker_containers
from sagemaker_containers.beta.framework import content_types, encoders, env, modules, transformer, worker
from sagemaker_training import environment
from sklearn.preprocessing import StandardScaler


def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))


def input_fn(input_data, content_type):
    return encoders.decode(input_data, content_type)


def predict_fn(input_data, model):
    return model.transform(np.atleast_2d(input_data))


def output_fn(prediction, accept):
    if accept == content_types.JSON:
        rows = [{"features": row.tolist()} for row in prediction]
        return worker.Response(json.dumps({"instances": rows}), mimetype=accept)
    if accept == "text/csv":
        return worker.Response(encoders.encode(prediction, accept), mimetype=accept)
    raise RuntimeError(f"{accept} accept type is not supported by this script.")


if __name__ == "__main__":
    training = sagemaker_containers.training_env()
    rows = np.loadtxt(os.path.join(env.channel_path("train"), "train.csv"), delimiter=",")
    joblib.dump(StandardScaler().fit(rows[:, 1:]), os.path.join(training.model_dir, "model.joblib"))
    refusals = []
    for module, name in ((modules, "download_and_install"), (transformer, "Transformer")):
        try:
            getattr(module, name)
        except ImportError as error:
            refusals.append(str(error))
    seen = {
        "hosts": training.hosts,
        "hyperparameters": training.hyperparameters,
        "read": environment.read_hyperparameters(),
        "job": environment.Environment()["job_name"],
        "refusals": refusals,
    }
    with open(os.path.join(training.output_data_dir, "seen.json"), "w") as file:
        json.dump(seen, file)
