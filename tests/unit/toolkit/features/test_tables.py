"""Tables larger than memory: read in blocks, fitted, written, exported."""

import importlib
import json
import sys
import tarfile

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from clary.kernel.errors import CustomerError
from clary.toolkit import features
from clary.toolkit.features import Table

N = 3_000


def rows_of(n=N, seed=2):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "fraud": rng.integers(0, 2, n),
            "amount": np.where(rng.random(n) < 0.1, np.nan, np.exp(rng.normal(size=n))),
            "shop": rng.choice(["007", "8", "9"], n),
            "city": rng.choice(["x", "y"], n),
        }
    )


def pipeline():
    numbers = Pipeline([("fill", features.Impute()), ("scale", features.Standardise())])
    columns = ColumnTransformer(
        [
            ("numbers", numbers, ["amount"]),
            ("shop", features.TargetEncode(), ["shop"]),
            ("city", features.OneHot(), ["city"]),
        ]
    )
    return Pipeline([("far", features.OutliersZScore(columns=["amount"])), ("columns", columns)])


@pytest.fixture(params=["csv", "parquet", "csv.gz"])
def table(request, tmp_path):
    rows = rows_of()
    for n, part in enumerate(np.array_split(np.arange(N), 2)):
        path = tmp_path / "in" / f"{n}.{request.param}"
        path.parent.mkdir(exist_ok=True)
        if request.param == "parquet":
            rows.iloc[part].to_parquet(path, index=False)
        else:
            rows.iloc[part].to_csv(path, index=False)
    return Table(tmp_path / "in", target="fraud", rows=400, dtype={"shop": str})


@pytest.mark.parametrize("into", ["train.csv", "train.parquet"])
def test_a_pipeline_fitted_in_blocks_is_that_of_memory(table, into, tmp_path):
    rows = rows_of()
    X, y = rows.drop(columns="fraud"), rows["fraud"].to_numpy()
    whole, kept, labels = features.fit_transform(pipeline(), X, y)
    told: list[str] = []
    parts = features.fit_in_blocks(pipeline(), table, progress=told.append)
    assert told[-1] == f"fit: pass {len(told)} done, {N:,} rows"
    np.testing.assert_allclose(parts.transform(X), whole.transform(X), rtol=1e-9)
    assert list(parts.get_feature_names_out()) == list(whole.get_feature_names_out())
    n = features.transform_in_blocks(parts, table, tmp_path / into, is_training=True)
    assert n == len(kept) < N
    if into.endswith("csv"):
        written = pd.read_csv(tmp_path / into, header=None)
    else:
        written = pd.read_parquet(tmp_path / into)
        assert next(iter(written.columns)) == "fraud"
    np.testing.assert_array_equal(written.iloc[:, 0], labels)
    np.testing.assert_allclose(written.iloc[:, 1:].to_numpy(), kept, rtol=1e-9)
    n = features.transform_in_blocks(parts, table, tmp_path / f"new-{into}")
    assert n == N, "rows that are not for training all pass"


def test_a_column_that_is_text_only_later_is_named(tmp_path):
    pd.DataFrame({"zip": ["1"] * 5 + ["A7"] * 5}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(
        CustomerError, match=r"column 'zip' is numbers in some blocks .* dtype=\{'zip': str\}"
    ):
        list(Table(tmp_path, rows=5))


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(CustomerError, match="neither a file nor a folder"):
        Table(tmp_path / "gone")
    with pytest.raises(CustomerError, match=r"ends with \.csv"):
        Table(tmp_path)
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(CustomerError, match="no column 'b'; there are"):
        list(Table(tmp_path, target="b"))


def test_an_exported_pipeline_is_script_mode(tmp_path, monkeypatch):
    rows = rows_of(200)
    fitted = features.fit(pipeline(), rows.drop(columns="fraud"), rows["fraud"].to_numpy())
    archive = features.export(fitted, tmp_path / "model")
    with tarfile.open(archive) as tar:
        assert set(tar.getnames()) == {"features.joblib", "columns.json", "code/inference.py"}
    assert json.loads((tmp_path / "model/columns.json").read_text())["names"] == ["amount", "shop", "city"]
    monkeypatch.syspath_prepend(str(tmp_path / "model/code"))
    inference = importlib.import_module("inference")

    model = inference.model_fn(str(tmp_path / "model"))
    expected = fitted.transform(rows[["amount", "shop", "city"]][:2])
    body = rows[["amount", "shop", "city"]][:2].to_csv(header=False, index=False)
    found = inference.predict_fn(inference.input_fn(body, "text/csv"), model)
    np.testing.assert_allclose(found, expected)
    text, kind = inference.output_fn(found, "text/csv")
    assert kind == "text/csv"
    np.testing.assert_allclose(np.array([line.split(",") for line in text.split()], dtype=float), expected)
    document = json.dumps(
        {"instances": rows[["amount", "shop", "city"]][:2].replace({np.nan: None}).to_dict("records")}
    )
    found = inference.predict_fn(inference.input_fn(document, "application/json"), model)
    np.testing.assert_allclose(found, expected)
    with pytest.raises(ValueError, match="2 columns; there must be 3: amount, shop, city"):
        inference.predict_fn(inference.input_fn("1,2", "text/csv"), model)
    del sys.modules["inference"]
