"""First container of a pipeline: takes the mean that stands in the model off each column."""

import json
import os


def model_fn(model_dir):
    return float(os.environ["MEAN"])


def input_fn(body, content_type):
    assert content_type == "text/csv", content_type
    return [[float(each) for each in line.split(",")] for line in body.split()]


def predict_fn(rows, mean):
    return [[each - mean for each in row] for row in rows]


def output_fn(rows, accept):
    if accept == "text/csv":
        return "\n".join(",".join(map(str, row)) for row in rows), accept
    return json.dumps({"instances": [{"features": row} for row in rows]}), "application/json"
