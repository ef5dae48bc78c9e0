"""A scikit-learn script as SageMaker's documentation writes them; it knows nothing of Clary."""

import argparse
import os

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier


def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--n-estimators", type=int, default=100)
    parser.add_argument("--max-depth", type=int, default=None)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN"))
    arguments, _ = parser.parse_known_args()

    files = sorted(os.path.join(arguments.train, name) for name in os.listdir(arguments.train))
    rows = np.concatenate([np.loadtxt(path, delimiter=",", ndmin=2) for path in files])
    labels, features = rows[:, 0].astype(int), rows[:, 1:]
    model = RandomForestClassifier(
        n_estimators=arguments.n_estimators, max_depth=arguments.max_depth, random_state=7
    ).fit(features, labels)
    print(f"train-accuracy={model.score(features, labels):.4f}")
    joblib.dump(model, os.path.join(arguments.model_dir, "model.joblib"))
