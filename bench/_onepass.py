"""The peer of `bench.transform`: the script that one would write instead, from S3 through XGBoost to S3.

    python -m bench._onepass SETTINGS   (a JSON file: endpoint, keys, source, target, model)

pyarrow reads the object with all threads straight into float32, the booster predicts in place with all
threads, pyarrow writes the scores. Prints the seconds after its imports.
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xgboost
from pyarrow import csv, fs


def store_of(settings: Mapping[str, Any]) -> fs.S3FileSystem:
    """Return the object store that settings name."""
    return fs.S3FileSystem(
        access_key=settings["access_key"],
        secret_key=settings["secret_key"],
        endpoint_override=settings["endpoint"],
        scheme="http",
        region="us-east-1",
    )


def main() -> None:
    """Read, predict, write."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    began = time.perf_counter()
    store = store_of(settings)
    booster = xgboost.Booster(model_file=settings["model"])
    names = [str(n) for n in range(booster.num_features())]
    with store.open_input_stream(settings["source"]) as stream:
        table = csv.read_csv(
            stream,
            read_options=csv.ReadOptions(column_names=names, block_size=8 << 20),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float32())),
        )
    rows = np.empty((table.num_rows, len(names)), np.float32)
    for place, column in enumerate(table.columns):
        rows[:, place] = column.to_numpy()
    del table
    scores = booster.inplace_predict(rows, validate_features=False)
    with store.open_output_stream(settings["target"]) as stream:
        csv.write_csv(pa.table({"score": scores}), stream, csv.WriteOptions(include_header=False))
    print(time.perf_counter() - began, len(rows))


if __name__ == "__main__":
    main()
