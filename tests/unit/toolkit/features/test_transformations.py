"""Every transformation of the folder keeps the seam's promises; blocks give what all rows at once give."""

from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import QuantileTransformer, RobustScaler

from clary.toolkit import features
from clary.toolkit.features._quantiles import Sketch

NUMBERS, WORDS = ["amount", "age"], ["shop", "city"]
COLUMNS: dict[str, list[str]] = {
    "standardise": NUMBERS,
    "min_max": NUMBERS,
    "robust": NUMBERS,
    "outliers_iqr": NUMBERS,
    "outliers_z_score": NUMBERS,
    "outliers_isolation": NUMBERS,
    "one_hot": WORDS,
    "target_encode": WORDS,
    "impute": NUMBERS,
    "date_parts": ["when"],
    "text_counts": ["note"],
}
SETTINGS: dict[str, list[Any]] = {
    "one_hot": [{}, {"min_frequency": 40}, {"max_categories": 3}, {"is_sparse": True}],
    "outliers_iqr": [{}, {"action": "mark"}, {"action": "clip", "factor": 1.0}],
    "outliers_z_score": [{"limit": 2.0}, {"action": "clip"}],
    "outliers_isolation": [{"n_estimators": 20}, {"action": "mark", "n_estimators": 20}],
    "impute": [{}, {"strategy": "mean", "add_indicator": True}, {"strategy": "most_frequent"}],
    "date_parts": [
        {},
        {"parts": features.transformation("date_parts").__init__.__kwdefaults__["parts"], "is_cyclic": True},
    ],
    "text_counts": [{"max_words": 4}, {"min_texts": 300, "is_sparse": True}],
    "target_encode": [{}, {"smoothing": 0.5, "n_folds": 3}],
}
CASES = [(name, each) for name in features.names() for each in SETTINGS.get(name, [{}])]


def make(n=2000, seed=3):
    rng = np.random.default_rng(seed)
    amount = np.exp(rng.normal(size=n))
    amount[rng.random(n) < 0.05] = np.nan
    rows = pd.DataFrame(
        {
            "amount": amount,
            "age": rng.integers(18, 90, n).astype(float),
            "shop": rng.choice(
                np.array(["a", "b", "c", "d", None], dtype=object), n, p=[0.4, 0.3, 0.25, 0.01, 0.04]
            ),
            "city": rng.choice(["x", "y"], n),
            "when": pd.Series(pd.date_range("2024-01-01", periods=n, freq="7h")).dt.strftime(
                "%Y-%m-%dT%H:%M:%S"
            ),
            "note": rng.choice(["Cash in hand", "card 12", "CARD card wire", ""], n),
        }
    )
    labels = (rng.random(n) < np.where(rows["shop"] == "a", 0.7, 0.2)).astype(int)
    return rows, labels


ROWS, LABELS = make()


def dense(found):
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found, dtype=float)


def blocks(rows, labels, size=300):
    return [(rows.iloc[at : at + size], labels[at : at + size]) for at in range(0, len(rows), size)]


def test_every_member_is_known_here():
    assert set(COLUMNS) == set(features.names())
    assert features.OneHot is features.transformation("one_hot")
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        features.Nothing  # noqa: B018


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_blocks_give_what_all_rows_give(name, settings, tmp_path):
    columns = COLUMNS[name]
    whole = features.transformation(name)(**settings).fit(ROWS[columns], LABELS)
    parts = clone(whole)
    for rows, labels in blocks(ROWS[columns], LABELS):
        parts.partial_fit(rows, labels)
    assert isinstance(parts, features.Transformation)
    new, _ = make(200, seed=9)
    expected = dense(whole.transform(new[columns]))
    np.testing.assert_allclose(dense(parts.transform(new[columns])), expected, rtol=1e-9, atol=1e-9)
    assert len(whole.get_feature_names_out()) == expected.shape[1]
    assert len(set(whole.get_feature_names_out())) == expected.shape[1]
    assert len(expected) == 200
    joblib.dump(parts, tmp_path / "kept")
    again = joblib.load(tmp_path / "kept")
    np.testing.assert_array_equal(dense(again.transform(new[columns])), dense(parts.transform(new[columns])))


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_a_transformation_stands_in_pipelines_and_column_transformers(name):
    if name.startswith("outliers"):
        made = features.transformation(name)(action="mark")
    else:
        made = features.transformation(name)()
    columns = ColumnTransformer([("it", made, COLUMNS[name])], sparse_threshold=0)
    pipeline = Pipeline([("columns", columns)]).set_output(transform="default")
    found = pipeline.fit(ROWS, LABELS).transform(ROWS)
    assert found.shape == (len(ROWS), len(pipeline.get_feature_names_out()))
    in_blocks = features.fit_in_blocks(pipeline, blocks(ROWS, LABELS))
    np.testing.assert_allclose(dense(in_blocks.transform(ROWS[:50])), dense(pipeline.transform(ROWS[:50])))


@pytest.mark.parametrize("shape", ["uniform", "lognormal", "ties"])
def test_quantiles_of_a_long_stream_are_within_a_thousandth_of_the_ranks(shape):
    rng = np.random.default_rng(1)
    n = 400_000
    values = {
        "uniform": rng.random(n),
        "lognormal": np.exp(rng.normal(size=n)),
        "ties": rng.integers(0, 50, n).astype(float),
    }[shape]
    sketch = Sketch()
    for at in range(0, n, 7_001):
        sketch.add(values[at : at + 7_001])
    shares = np.array([0, 0.01, 0.25, 0.5, 0.75, 0.99, 1])
    found = sketch.quantiles(shares)
    assert (found[0], found[-1]) == (values.min(), values.max())
    low = np.searchsorted(np.sort(values), found, side="left") / n
    high = np.searchsorted(np.sort(values), found, side="right") / n
    assert np.all((low - 1e-3 <= shares) & (shares <= high + 1e-3))


def test_robust_scaling_of_a_long_table_is_that_of_memory_within_tolerance():
    values = np.random.default_rng(4).normal(size=(60_000, 2))
    parts = features.Robust()
    for at in range(0, len(values), 5_000):
        parts.partial_fit(values[at : at + 5_000])
    exact = RobustScaler().fit(values)
    np.testing.assert_allclose(parts.center_, exact.center_, atol=5e-3)
    np.testing.assert_allclose(parts.scale_, exact.scale_, rtol=5e-3)


def test_no_row_sees_its_own_label_in_its_target_encoding():
    rows = pd.DataFrame({"shop": [f"only-{n}" for n in range(100)]})
    labels = np.arange(100) % 2
    encoder = features.TargetEncode(smoothing=0.0001)
    fitted = encoder.fit_transform(rows, labels)
    np.testing.assert_allclose(fitted, 0.5, atol=0.02)
    assert np.corrcoef(encoder.transform(rows)[:, 0], labels)[0, 1] > 0.99
    assert encoder.transform(pd.DataFrame({"shop": ["new", None]})) == pytest.approx(labels.mean())


@pytest.mark.parametrize("name", ["outliers_iqr", "outliers_z_score", "outliers_isolation"])
def test_removed_rows_take_their_labels_with_them(name):
    rows = ROWS[NUMBERS].fillna(1.0).copy()
    rows.loc[7, "amount"] = 1e6
    labels = np.arange(len(rows))
    pipeline = Pipeline([("far", features.transformation(name)()), ("scale", features.Standardise())])
    fitted, kept, left = features.fit_transform(pipeline, rows, labels)
    assert len(kept) == len(left) < len(rows)
    assert 7 not in left
    expected = fitted[-1].transform(rows.loc[left])
    np.testing.assert_allclose(kept, expected)
    assert len(fitted.transform(rows)) == len(rows), "new rows are never dropped"
    in_blocks = features.fit_in_blocks(pipeline, blocks(rows, labels))
    np.testing.assert_allclose(in_blocks[-1].mean_, fitted[-1].mean_)
    found, same = fitted[0].remove(rows, labels)
    np.testing.assert_array_equal(same, left)
    assert len(found) == len(left)


def test_rows_cannot_be_removed_inside_a_column_transformer():
    made = ColumnTransformer([("far", features.OutliersIQR(), NUMBERS)])
    with pytest.raises(TypeError, match="far: rows can be removed by a step of a Pipeline only"):
        features.fit(made, ROWS, LABELS)


def test_what_cannot_learn_from_blocks_is_named():
    with pytest.raises(TypeError, match="QuantileTransformer cannot learn from blocks"):
        features.fit_in_blocks(QuantileTransformer(), blocks(ROWS[["age"]], LABELS))


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: features.Impute(strategy="mode"), "strategy 'mode': it must be one of mean"),
        (lambda: features.OutliersIQR(action="drop"), "action 'drop': it must be one of remove"),
        (lambda: features.OutliersIQR(columns=["gone"]), "columns .'gone'. are not in the table"),
        (lambda: features.DateParts(parts=["century"]), "parts .'century'.: they must be of year"),
        (lambda: features.OutliersIsolation(action="clip"), "a forest has no bounds"),
        (lambda: features.OutliersZScore(columns=["shop"]), "column 'shop' has 'a'"),
    ],
)
def test_mistakes_are_named(made, text):
    with pytest.raises(ValueError, match=text):
        made().fit(ROWS[["shop"]].fillna("a") if "shop" in text else ROWS[["age"]], LABELS)


def test_missing_columns_and_other_orders_are_seen():
    scaler = features.Impute().fit(ROWS[NUMBERS])
    np.testing.assert_array_equal(
        scaler.transform(ROWS[NUMBERS[::-1]]).to_numpy(), scaler.transform(ROWS[NUMBERS]).to_numpy()
    )
    with pytest.raises(ValueError, match=r"the columns .'age'. were fitted and are missing"):
        scaler.transform(ROWS[["amount"]])


def test_dates_become_numbers_and_what_is_none_is_missing():
    made = features.DateParts(parts=("year", "month", "weekday", "is_weekend", "days"))
    found = made.fit_transform(pd.DataFrame({"d": ["2024-03-09T12:00:00", "1970-01-02", None, "soon"]}))
    np.testing.assert_array_equal(found[0, :4], [2024, 3, 5, 1])
    assert found[1, 4] == 1.0
    assert np.isnan(found[2:]).all()
    assert list(made.get_feature_names_out()) == ["d_year", "d_month", "d_weekday", "d_is_weekend", "d_days"]


def test_words_and_lengths_of_texts():
    made = features.TextCounts(max_words=2)
    found = made.fit_transform(pd.DataFrame({"t": ["Aa bb bb 12", None, "bb"]}))
    names = list(made.get_feature_names_out())
    assert names == ["t_n_characters", "t_n_words", "t_n_digits", "t_upper_share", "t_word_12", "t_word_bb"]
    np.testing.assert_allclose(found[0], [11, 4, 2, 1 / 11, 1, 2])
    np.testing.assert_allclose(found[1], 0)
