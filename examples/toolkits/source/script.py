"""A training script as the toolkit runs it."""

import argparse
import json
import os
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--power", type=float, default=1.0)
chosen = parser.parse_args()

channel = Path(os.environ["SM_CHANNEL_TRAIN"])
n_rows = sum(len(path.read_text().split()) for path in channel.iterdir())
print(f"rows={n_rows} on {os.environ['SM_CURRENT_HOST']} of {os.environ['SM_HOSTS']}")
if os.environ["SM_CURRENT_HOST"] == json.loads(os.environ["SM_HOSTS"])[0]:
    model = {"power": chosen.power, "n_rows": n_rows}
    (Path(os.environ["SM_MODEL_DIR"]) / "model.json").write_text(json.dumps(model))
