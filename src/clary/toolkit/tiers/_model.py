"""The tiers of a model: fitted in turn, decided by costs, judged end to end, kept in one folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from clary.toolkit import evaluation
from clary.toolkit.evaluation import Costs, Evaluation
from clary.toolkit.evaluation._counts import Sweep
from clary.toolkit.features import OneHot, fit_transform
from clary.toolkit.tiers._tier import Tier, Vector, declared

PATH = "path"
"""Column of the classes that a row was given, from the first tier on: `1/card`."""
MODEL, DECLARATION = "tiers.joblib", "tiers.json"
VALIDATION_SHARE = 0.25


@dataclass
class Fitted:
    """A tier that has learned."""

    tier: Tier
    model: Any
    classes: list[str]
    prices: Vector
    threshold: float | None
    """Of two classes, on the score of `positive`; several are decided by expected costs."""

    def scores(self, values: Any) -> Vector:
        """Return the probability of each class."""
        found: Vector = np.asarray(self.model.predict_proba(values), dtype=np.float64)
        return found

    def decide(self, scores: Vector, *, by_costs: bool = True) -> NDArray[Any]:
        """Return the class of each row: at the least cost, or the likeliest."""
        names = np.asarray(self.classes, dtype=object)
        if not by_costs:
            called = scores.argmax(axis=1)
        elif self.threshold is not None:
            at = self.classes.index(self.tier.positive)
            called = np.where(scores[:, at] >= self.threshold, at, 1 - at)
        else:
            called = (scores @ self.prices).argmin(axis=1)
        found: NDArray[Any] = names[called]
        return found


class Tiers:
    """A model of several decisions.

    Parameters
    ----------
    declaration : path, mapping or sequence of Tier
        `{"tiers": [...], "features": [...]}`, as JSON in a file or as Python.
    prepare : transformer, optional
        Makes numbers of the features, once for all tiers: a pipeline of `clary.toolkit.features`. Without,
        texts become one-hot columns and all else stays.
    seed : int
        Of models and splits.
    """

    def __init__(
        self,
        declaration: str | Path | Mapping[str, Any] | Sequence[Tier],
        *,
        prepare: Any = None,
        seed: int = 0,
    ) -> None:
        is_list = isinstance(declaration, Sequence) and not isinstance(declaration, str)
        self.tiers, self.features = declared({"tiers": declaration} if is_list else declaration)  # type: ignore[arg-type]
        self.prepare = prepare
        self.seed = seed
        self.fitted: list[Fitted] = []

    def fit(self, rows: pd.DataFrame, validation: pd.DataFrame | None = None) -> "Tiers":
        """Fit every tier on the rows that truly get there; decide by costs on rows it has not seen.

        Parameters
        ----------
        validation : DataFrame, optional
            Rows for the decisions; a quarter of `rows` without.

        Raises
        ------
        ValueError
            A label is missing, or a tier has rows of one class only.
        """
        labels = [tier.label for tier in self.tiers]
        missing = [each for each in labels if each not in rows.columns]
        if missing:
            raise ValueError(f"label: there is no column {missing[0]!r}; there are {', '.join(rows.columns)}")
        if self.features is None:
            self.features = [str(each) for each in rows.columns if each not in labels]
        if validation is None:
            first = _texts(rows[labels[0]])
            rows, validation = train_test_split(
                rows, test_size=VALIDATION_SHARE, random_state=self.seed, stratify=first
            )
        prepare = self.prepare if self.prepare is not None else _prepare(rows[self.features])
        target = np.where(_texts(rows[labels[0]]) == self.tiers[0].positive, 1, 0)
        self.prepared, values, kept = fit_transform(prepare, rows[self.features], target)
        if len(kept) != len(rows):
            raise ValueError("prepare: rows are removed; tiers need every row, so use action mark or clip")
        checked = self.prepared.transform(validation[self.features])
        self.fitted = [self._fit(tier, rows, values, validation, checked) for tier in self.tiers]
        return self

    def _fit(self, tier: Tier, rows: pd.DataFrame, values: Any, other: pd.DataFrame, checked: Any) -> Fitted:
        here, there = self._arrives(tier, rows), self._arrives(tier, other)
        actual = _texts(rows[tier.label])[here]
        if len(set(actual)) < 2:
            raise ValueError(
                f"tier {tier.name!r}: the {int(here.sum())} rows that get there have one class, "
                f"{next(iter(actual), 'none')!r}; two are needed"
            )
        if any("/" in each for each in actual):
            raise ValueError(f"label: column {tier.label!r} has a class with '/', which parts paths")
        model = clone(tier.classifier(self.seed)).fit(_part(values, here), actual)
        classes = [str(each) for each in model.classes_]
        prices = tier.prices(classes)
        found = Fitted(tier, model, classes, prices, None)
        if len(classes) == 2 and tier.positive in classes and there.any():
            found.threshold = _threshold(found, _part(checked, there), _texts(other[tier.label])[there])
        return found

    def _arrives(self, tier: Tier, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which rows truly get to a tier."""
        mask = np.ones(len(rows), dtype=bool)
        by_name = {each.name: each for each in self.tiers}
        for name, value in tier.when.items():
            mask &= self._arrives(by_name[name], rows) & (_texts(rows[by_name[name].label]) == value)
        return mask

    def predict(self, rows: pd.DataFrame, *, by_costs: bool = True) -> pd.DataFrame:
        """Return the decision and score of every tier that a row gets to, and their `path`."""
        assert self.features is not None
        values = self.prepared.transform(rows[self.features])
        answer = pd.DataFrame(index=rows.index)
        path = np.full(len(rows), "", dtype=object)
        for each in self.fitted:
            mask = np.ones(len(rows), dtype=bool)
            for name, value in each.tier.when.items():
                mask &= (answer[name] == value).to_numpy(dtype=bool, na_value=False)
            scores = np.full(len(rows), np.nan)
            called = np.full(len(rows), None, dtype=object)
            if mask.any():
                found = each.scores(_part(values, mask))
                called[mask] = each.decide(found, by_costs=by_costs)
                scores[mask] = (
                    found[:, each.classes.index(each.tier.positive)] if _is_pair(each) else found.max(axis=1)
                )
                path[mask] = [f"{a}/{b}" if a else b for a, b in zip(path[mask], called[mask], strict=True)]
            answer[each.tier.name] = called
            answer[f"{each.tier.name}_score"] = scores
        answer[PATH] = path
        return answer

    def paths(self, rows: pd.DataFrame) -> NDArray[Any]:
        """Return the classes that came true, from the first tier on."""
        path = np.full(len(rows), "", dtype=object)
        for tier in self.tiers:
            here = self._arrives(tier, rows)
            actual = _texts(rows[tier.label])[here]
            path[here] = [f"{a}/{b}" if a else b for a, b in zip(path[here], actual, strict=True)]
        return path

    def evaluate(self, rows: pd.DataFrame, **options: Any) -> tuple[Evaluation, dict[str, Evaluation]]:
        """Judge the whole, end to end, and each tier on the rows that truly get to it.

        The first tier that errs pays: a fraud that was let through costs what its tier says, whichever fraud
        it was; a false alarm costs its own, whatever kind it was given.
        """
        actual = self.paths(rows)
        called = self.predict(rows)[PATH].to_numpy()
        likely = self.predict(rows, by_costs=False)[PATH].to_numpy()
        classes = sorted({*actual, *called, *likely})
        costs = np.array([[self.cost(a, b) for b in classes] for a in classes])
        table = pd.DataFrame({"label": actual, "score": called})
        whole = evaluation.evaluate(table, kind="multiclass", costs=costs.tolist(), **options)
        place = {name: n for n, name in enumerate(classes)}
        paid, usual = (
            float(np.mean([costs[place[a], place[b]] for a, b in zip(actual, each, strict=True)]))
            for each in (called, likely)
        )
        extras = {**whole.extras, "tiers": {"expected_cost": paid, "expected_cost_of_the_likeliest": usual}}
        share = (
            f", {(usual - paid) / usual:.0%} less than the likeliest class of each tier"
            if usual > paid
            else ""
        )
        verdict = (
            f"End to end a row costs {paid:,.4g}{share}; {whole.metrics['accuracy'].value:.1%} are right."
        )
        each_tier = {each.tier.name: self._judge(each, rows, options) for each in self.fitted}
        return replace(whole, extras=extras, verdict=verdict), each_tier

    def _judge(self, each: Fitted, rows: pd.DataFrame, options: Mapping[str, Any]) -> Evaluation:
        assert self.features is not None
        here = self._arrives(each.tier, rows)
        scores = each.scores(self.prepared.transform(rows.loc[here, self.features]))
        label = _texts(rows[each.tier.label])[here]
        if _is_pair(each):
            column = scores[:, each.classes.index(each.tier.positive)]
            table = pd.DataFrame({"label": label, "score": column})
            positive = each.tier.positive
            costs = each.prices if each.classes[1] == positive else each.prices[::-1, ::-1]
            return evaluation.evaluate(table, kind="binary", positive=positive, costs=costs, **options)
        names = [f"p_{name}" for name in each.classes]
        table = pd.DataFrame(scores, columns=names).assign(label=label)
        known = table[table["label"].isin(each.classes)]
        return evaluation.evaluate(
            known, kind="multiclass", score=tuple(names), costs=each.prices.tolist(), **options
        )

    def cost(self, actual: str, called: str) -> float:
        """Return what it costs to call a path another: the price of the first tier that errs."""
        true, given = actual.split("/"), called.split("/")
        seen: dict[str, str] = {}
        for each in self.fitted:
            if len(seen) == min(len(true), len(given)):
                break
            if any(seen.get(name) != value for name, value in each.tier.when.items()):
                continue
            a, b = true[len(seen)], given[len(seen)]
            if a != b:
                if a not in each.classes or b not in each.classes:  # a class that no row of training had
                    return float(each.prices.max())
                return float(each.prices[each.classes.index(a), each.classes.index(b)])
            seen[each.tier.name] = a
        return 0.0

    def save(self, folder: str | Path) -> Path:
        """Write the model folder: `tiers.joblib`, `tiers.json` with the decisions, `code/inference.py`."""
        root = Path(folder)
        (root / "code").mkdir(parents=True, exist_ok=True)
        joblib.dump(self, root / MODEL)
        document = {
            "features": self.features,
            "tiers": [
                each.tier.document
                | {"classes": each.classes, "cost_matrix": each.prices.tolist()}
                | ({} if each.threshold is None else {"threshold": each.threshold})
                for each in self.fitted
            ],
        }
        (root / DECLARATION).write_text(json.dumps(document, indent=1))
        text = "from clary.toolkit.tiers.serving import *  # noqa: F403 - all that script mode asks for\n"
        (root / "code/inference.py").write_text(text)
        return root

    @classmethod
    def load(cls, folder: str | Path) -> "Tiers":
        """Read what `save` wrote."""
        found: Tiers = joblib.load(Path(folder) / MODEL)
        return found


def _threshold(found: Fitted, values: Any, labels: NDArray[Any]) -> float:
    positive = found.tier.positive
    prices = found.prices if found.classes[1] == positive else found.prices[::-1, ::-1]
    costs = Costs.read(prices.tolist())
    assert costs is not None
    scores = found.scores(values)[:, found.classes.index(positive)]
    sweep = Sweep.of(labels == positive, scores, np.ones(len(labels)))
    return float(sweep.thresholds[costs.best(sweep)])


def _is_pair(each: Fitted) -> bool:
    return len(each.classes) == 2 and each.tier.positive in each.classes


def _texts(values: pd.Series) -> NDArray[Any]:
    """Return labels as texts; 1, 1.0 and True are "1"."""
    if pd.api.types.is_bool_dtype(values):
        values = values.astype(int)
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    found: NDArray[Any] = values.astype(object).where(values.notna(), "").map(str).to_numpy(dtype=object)
    return found


def _part(values: Any, mask: NDArray[np.bool_]) -> Any:
    return values.loc[mask] if isinstance(values, pd.DataFrame) else values[mask]


def _prepare(rows: pd.DataFrame) -> Any:
    texts = [name for name in rows.columns if not pd.api.types.is_numeric_dtype(rows[name])]
    numbers = [name for name in rows.columns if name not in texts]
    one_hot = OneHot(min_frequency=2, max_categories=50)
    columns = ColumnTransformer(
        [("numbers", "passthrough", numbers), ("texts", one_hot, texts)], sparse_threshold=0
    )
    return Pipeline([("columns", columns)])
