"""All four functions; each leaves a trace in the answer."""

import io
import json
import os

import joblib
import numpy as np


def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))


def input_fn(body, content_type):
    if content_type == "application/json":
        return np.array(json.loads(body)["instances"])
    if content_type == "text/csv":
        return np.loadtxt(io.StringIO(body), delimiter=",", ndmin=2)
    if content_type == "application/x-npy":
        return np.load(io.BytesIO(body))
    raise ValueError(f"cannot read {content_type}")


def predict_fn(rows, model):
    return model.predict_proba(rows)[:, 1]


def output_fn(scores, accept):
    if accept == "application/json":
        return json.dumps({"scores": scores.tolist(), "by": "output_fn"}), accept
    if accept == "application/x-npy":
        file = io.BytesIO()
        np.save(file, scores)
        return file.getvalue(), accept
    return "\n".join(map(str, scores)), "text/csv"
