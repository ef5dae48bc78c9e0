"""A script with a dependency beside it, which keeps what it was given."""

import argparse
import json
import os

import joblib
import numpy as np
import toolbox  # from `dependencies`
from sklearn.linear_model import LogisticRegression

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("text", "whole", "part", "flag", "list", "map", "nothing"):
        parser.add_argument(f"--{name}")
    given = {"arguments": vars(parser.parse_args()), "SM_HPS": json.loads(os.environ["SM_HPS"])}
    given["COLOUR"] = os.environ["COLOUR"]
    given["toolbox"] = toolbox.WHERE
    given["files"] = sorted(os.listdir("."))

    rows = np.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "train.csv"), delimiter=",")
    model = LogisticRegression().fit(rows[:, 1:], rows[:, 0])
    print(f"accuracy={model.score(rows[:, 1:], rows[:, 0]):.4f}")
    joblib.dump(model, os.path.join(os.environ["SM_MODEL_DIR"], "model.joblib"))
    with open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "given.json"), "w") as file:
        json.dump(given, file)
