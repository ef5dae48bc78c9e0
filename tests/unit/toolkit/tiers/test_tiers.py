"""Tiers: declared, fitted on the rows that get there, decided by costs, judged end to end, served as one."""

import importlib
import json
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from clary.toolkit import features
from clary.toolkit.tiers import Tier, Tiers, serving

DECLARED = {
    "tiers": [
        {
            "name": "fraud",
            "label": "is_fraud",
            "costs": {"missed": 250, "alarm": 10},
            "estimator": "sklearn.linear_model.LogisticRegression",
            "parameters": {"max_iter": 500},
        },
        {
            "name": "kind",
            "label": "fraud_kind",
            "when": {"fraud": "1"},
            "costs": {"account": {"card": 40}},
            "estimator": "sklearn.linear_model.LogisticRegression",
        },
    ]
}


def rows_of(n=3_000, seed=0):
    rng = np.random.default_rng(seed)
    fraud = rng.random(n) < 0.15
    kind = np.where(rng.random(n) < 0.4, "account", "card")
    return pd.DataFrame(
        {
            "amount": rng.normal(size=n) + 1.6 * fraud,
            "age": rng.normal(size=n) + 1.2 * (fraud & (kind == "account")),
            "country": np.where(rng.random(n) < 0.5 + 0.3 * fraud, "X", "Y"),
            "is_fraud": fraud.astype(int),
            "fraud_kind": pd.Series(kind, dtype=object).where(fraud, None),
        }
    )


@pytest.fixture(scope="module")
def fitted():
    return Tiers(DECLARED).fit(rows_of())


def test_a_tier_learns_from_the_rows_that_truly_get_there(fitted):
    fraud, kind = fitted.fitted
    assert (fraud.classes, kind.classes) == (["0", "1"], ["account", "card"])
    assert 0 < fraud.threshold < 0.5, "missed frauds cost more than alarms"
    assert fitted.features == ["amount", "age", "country"]


def test_only_what_passes_a_tier_gets_to_the_next(fitted):
    found = fitted.predict(rows_of(500, seed=1))
    assert list(found.columns) == ["fraud", "fraud_score", "kind", "kind_score", "path"]
    is_fraud = found["fraud"] == "1"
    assert found["kind"][is_fraud].notna().all()
    assert found["kind"][~is_fraud].isna().all()
    assert set(found["path"]) <= {"0", "1/card", "1/account"}


def test_the_first_tier_that_errs_pays(fitted):
    assert fitted.cost("1/card", "0") == fitted.cost("1/account", "0") == 250
    assert fitted.cost("0", "1/card") == 10
    assert fitted.cost("1/account", "1/card") == 40
    assert fitted.cost("1/card", "1/account") == 1
    assert fitted.cost("0", "0") == fitted.cost("1/card", "1/card") == 0


def test_the_whole_is_judged_end_to_end_and_each_tier_for_itself(fitted, tmp_path):
    rows = rows_of(3_000, seed=2)
    whole, each = fitted.evaluate(rows, n_resamples=50)
    called, actual = fitted.predict(rows)["path"], fitted.paths(rows)
    expected = np.mean([fitted.cost(a, b) for a, b in zip(actual, called, strict=True)])
    assert whole.document["tiers"]["expected_cost"] == pytest.approx(expected)
    assert whole.document["tiers"]["expected_cost_of_the_likeliest"] > 1.5 * expected
    assert whole.metrics["expected_cost"].value == pytest.approx(expected)
    assert "less than the likeliest class of each tier" in whole.verdict
    assert each["fraud"].kind == "binary"
    assert each["fraud"].n_rows == 3_000
    assert each["kind"].n_rows == rows["is_fraud"].sum()
    for name, found in {"whole": whole, **each}.items():
        found.write(tmp_path / name)


def test_a_saved_model_is_served_by_script_mode(fitted, tmp_path, monkeypatch):
    fitted.save(tmp_path)
    document = json.loads((tmp_path / "tiers.json").read_text())
    assert document["tiers"][0]["threshold"] == fitted.fitted[0].threshold
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    inference = importlib.import_module("inference")
    model = inference.model_fn(str(tmp_path))
    rows = rows_of(20, seed=3)[["amount", "age", "country"]]
    expected = fitted.predict(rows)
    for body, kind in (
        (rows.to_csv(index=False, header=False), "text/csv"),
        (rows.to_csv(index=False), "text/csv"),
        (json.dumps({"instances": rows.to_dict("records")}), "application/json"),
        (json.dumps(rows.to_numpy().tolist()), "application/json"),
    ):
        found = inference.predict_fn(inference.input_fn(body, kind), model)
        assert list(found["path"]) == list(expected["path"]), kind
    text, kind = inference.output_fn(found, "application/json")
    assert kind == "application/json"
    assert json.loads(text)[0]["path"] == expected["path"].iloc[0]
    text, _ = serving.output_fn(found, "text/csv")
    assert len(text.splitlines()) == 20
    with pytest.raises(ValueError, match="2 columns; there must be 3: amount, age, country"):
        serving.predict_fn(pd.DataFrame([[1, 2]]), model)
    del sys.modules["inference"]


def test_tiers_are_python_too_with_features_of_the_library():
    tiers = [
        Tier(name="fraud", label="is_fraud", estimator=LogisticRegression()),
        Tier(name="kind", label="fraud_kind", when={"fraud": "1"}, estimator=LogisticRegression()),
    ]
    prepare = features.TargetEncode()
    rows = rows_of(800)[["country", "is_fraud", "fraud_kind"]]
    found = Tiers(tiers, prepare=prepare).fit(rows)
    assert set(found.predict(rows)["fraud"]) <= {"0", "1"}


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ({}, "a declaration is"),
        ({"tiers": [{"name": "a"}]}, "member 'label' is missing"),
        ({"tiers": [{"name": "a", "label": "b", "cost": 1}]}, "member 'cost' is none of costs"),
        (
            {"tiers": [{"name": "a", "label": "b", "when": {"z": "1"}}]},
            "when names 'z', which is no earlier tier",
        ),
        ({"tiers": [{"name": "a", "label": "b"}, {"name": "c", "label": "d"}]}, "tier 'c': when is missing"),
    ],
)
def test_mistakes_in_declarations_are_named(declared, text):
    with pytest.raises(ValueError, match=text):
        Tiers(declared)


def test_mistakes_in_rows_are_named():
    with pytest.raises(ValueError, match="label: there is no column 'is_fraud'"):
        Tiers(DECLARED).fit(rows_of(100).drop(columns="is_fraud"))
    with pytest.raises(ValueError, match=r"tier 'kind': the .* rows that get there have one class, 'card'"):
        Tiers(DECLARED).fit(rows_of(400).assign(fraud_kind="card"))
    wrong = {"tiers": [{"name": "fraud", "label": "is_fraud", "estimator": "sklearn.Nothing"}]}
    with pytest.raises(ValueError, match=r"there is no estimator 'sklearn.Nothing'"):
        Tiers(wrong).fit(rows_of(100))
