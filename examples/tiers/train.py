"""Two tiers, trained and served by one script: is a payment fraud, and if so, which."""

import argparse
import os

import pandas as pd

from clary.toolkit.tiers import Tiers
from clary.toolkit.tiers.serving import input_fn, model_fn, output_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--declaration", default="tiers.json")
    parser.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--test", default=os.environ.get("SM_CHANNEL_TEST"))
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--output-dir", default=os.environ.get("SM_OUTPUT_DATA_DIR"))
    arguments, _ = parser.parse_known_args()

    tiers = Tiers(arguments.declaration).fit(pd.read_csv(os.path.join(arguments.train, "train.csv")))
    tiers.save(arguments.model_dir)

    whole, each = tiers.evaluate(pd.read_csv(os.path.join(arguments.test, "test.csv")))
    for name, found in {"end-to-end": whole, **each}.items():
        found.write(os.path.join(arguments.output_dir, name), title=name)
        print(f"{name}: {found.verdict}")
    print(f"expected-cost={whole.metrics['expected_cost'].value:.4f}")
