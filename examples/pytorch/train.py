"""A PyTorch script with its inference functions; it knows nothing of Clary."""

import argparse
import json
import os

import numpy as np
import torch
from torch import nn


def network(n_features):
    return nn.Sequential(nn.Linear(n_features, 16), nn.ReLU(), nn.Linear(16, 1))


def model_fn(model_dir):
    state = torch.load(os.path.join(model_dir, "model.pt"), weights_only=True)
    model = network(state["0.weight"].shape[1])
    model.load_state_dict(state)
    return model.eval()


def input_fn(body, content_type):
    if not content_type.startswith("application/json"):
        raise ValueError(f"application/json, not {content_type}")
    return torch.tensor(json.loads(body)["instances"], dtype=torch.float32)


def predict_fn(data, model):
    with torch.no_grad():
        return torch.sigmoid(model(data)).squeeze(1)


def output_fn(prediction, accept):
    return json.dumps({"predictions": prediction.tolist()}), "application/json"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN"))
    arguments, _ = parser.parse_known_args()

    torch.manual_seed(7)
    files = sorted(os.path.join(arguments.train, name) for name in os.listdir(arguments.train))
    rows = np.concatenate([np.loadtxt(path, delimiter=",", ndmin=2) for path in files]).astype("float32")
    labels, features = torch.from_numpy(rows[:, 0]), torch.from_numpy(rows[:, 1:])
    model = network(features.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=arguments.learning_rate)
    loss_of = nn.BCEWithLogitsLoss()
    for epoch in range(arguments.epochs):
        optimizer.zero_grad()
        loss = loss_of(model(features).squeeze(1), labels)
        loss.backward()
        optimizer.step()
        print(f"epoch={epoch} train-loss={loss.item():.4f}")
    torch.save(model.state_dict(), os.path.join(arguments.model_dir, "model.pt"))
