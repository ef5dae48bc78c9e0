"""The peer of `bench.transform` in an environment of its own: Ray Data over a CSV file.

python _ray.py SOURCE MODEL TARGET   (prints the seconds after ray.init)
"""

import sys
import time
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import xgboost
from pyarrow import csv


class Scorer:
    """Loads the model once, then predicts batches."""

    def __init__(self, path: str) -> None:
        self.booster = xgboost.Booster(model_file=path)
        self.names = [str(n) for n in range(self.booster.num_features())]

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Predict one batch."""
        rows = np.column_stack([batch[name] for name in self.names]).astype(np.float32)
        return {"score": self.booster.inplace_predict(rows, validate_features=False)}


def main() -> None:
    """Read, predict, write."""
    source, model, target = sys.argv[1:]
    ray.init(logging_level="ERROR", log_to_driver=False, include_dashboard=False)
    began = time.perf_counter()
    names = [str(n) for n in range(xgboost.Booster(model_file=model).num_features())]
    rows = ray.data.read_csv(
        source,
        read_options=csv.ReadOptions(column_names=names),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float32())),
    )
    scored = rows.map_batches(Scorer, fn_constructor_args=(model,), concurrency=1, batch_size=65_536)
    scored.write_csv(target)
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
