"""An XGBoost script with all its inference functions; it knows nothing of Clary."""

import argparse
import json
import os

import numpy as np
import xgboost


def model_fn(model_dir):
    booster = xgboost.Booster()
    booster.load_model(os.path.join(model_dir, "model.ubj"))
    return booster


def input_fn(body, content_type):
    text = body.decode() if isinstance(body, bytes | bytearray) else body
    if content_type.startswith("text/csv"):
        rows = [[float(value) for value in line.split(",")] for line in text.strip().splitlines()]
    elif content_type.startswith("application/json"):
        rows = json.loads(text)["instances"]
    else:
        raise ValueError(f"text/csv or application/json, not {content_type}")
    return xgboost.DMatrix(np.array(rows))


def predict_fn(data, model):
    return model.predict(data)


def output_fn(prediction, accept):
    if accept.startswith("application/json"):
        return json.dumps({"predictions": [float(value) for value in prediction]}), accept
    return "\n".join(str(value) for value in prediction), "text/csv"


def load(folder):
    files = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    rows = np.concatenate([np.loadtxt(path, delimiter=",", ndmin=2) for path in files])
    return xgboost.DMatrix(rows[:, 1:], label=rows[:, 0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--num-round", type=int, default=50)
    parser.add_argument("--max-depth", type=int, default=4)
    parser.add_argument("--eta", type=float, default=0.2)
    parser.add_argument("--objective", default="binary:logistic")
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN"))
    arguments, _ = parser.parse_known_args()

    train = load(arguments.train)
    booster = xgboost.train(
        {"max_depth": arguments.max_depth, "eta": arguments.eta, "objective": arguments.objective, "seed": 7},
        train,
        num_boost_round=arguments.num_round,
        evals=[(train, "train")],
        verbose_eval=10,
    )
    booster.save_model(os.path.join(arguments.model_dir, "model.ubj"))
