"""A processing script: payments become rows to train on, and their pipeline a model's first stage."""

import argparse

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from clary.toolkit import features

parser = argparse.ArgumentParser()
parser.add_argument("--target", default="label")
parser.add_argument("--input", default="/opt/ml/processing/input/raw")
parser.add_argument("--output", default="/opt/ml/processing/output")
arguments = parser.parse_args()

numbers = Pipeline([("fill", features.Impute()), ("scale", features.Robust())])
pipeline = Pipeline(
    [
        ("far", features.OutliersIQR(columns=["amount"], factor=3.0)),
        (
            "columns",
            ColumnTransformer(
                [
                    ("numbers", numbers, ["amount"]),
                    ("shop", features.TargetEncode(), ["shop"]),
                    ("country", features.OneHot(min_frequency=5), ["country"]),
                    ("when", features.DateParts(parts=("hour", "weekday")), ["when"]),
                ]
            ),
        ),
    ]
)
table = features.Table(arguments.input, target=arguments.target, rows=50_000)
fitted = features.fit_in_blocks(pipeline, table, progress=print)
n_rows = features.transform_in_blocks(fitted, table, f"{arguments.output}/train/train.csv", is_training=True)
features.export(fitted, f"{arguments.output}/model")
print(f"{n_rows} rows, {len(fitted.get_feature_names_out())} columns")
