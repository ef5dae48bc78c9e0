"""One tier: what it decides, about which rows, at what costs, with which model."""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from clary.toolkit.evaluation import Costs
from clary.toolkit.evaluation._costs import cost_matrix

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Tier:
    """The declaration of one decision."""

    name: str
    label: str
    """Column of what came true; its value counts only for rows that get here."""
    when: Mapping[str, str] = field(default_factory=dict)
    """Classes of earlier tiers that lead here, `{"fraud": "1"}`; none for the first."""
    costs: Any = None
    """Of two classes, `{"missed": 250, "alarm": 10}` or a matrix; of several, by class or a matrix."""
    positive: str = "1"
    """Class of two that scores speak of."""
    estimator: Any = None
    """A scikit-learn classifier, or the dotted name of its class; gradient-boosted trees without."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Of an estimator that is named."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Tier":
        """Read one member of `tiers` of a declaration.

        Raises
        ------
        ValueError
            A member is unknown or missing; the text names it.
        """
        known = {"name", "label", "when", "costs", "positive", "estimator", "parameters"}
        unknown = sorted(set(document) - known)
        if unknown:
            raise ValueError(f"tier: member {unknown[0]!r} is none of {', '.join(sorted(known))}")
        for each in ("name", "label"):
            if not document.get(each):
                raise ValueError(f"tier {json.dumps(dict(document))}: member {each!r} is missing")
        when = {str(key): str(value) for key, value in (document.get("when") or {}).items()}
        return cls(**{**document, "when": when})

    @property
    def document(self) -> dict[str, Any]:
        """Return the declaration as JSON; an estimator that is an object is shown by its class."""
        answer: dict[str, Any] = {"name": self.name, "label": self.label}
        for each in ("when", "costs", "parameters"):
            if getattr(self, each):
                answer[each] = getattr(self, each)
        if self.positive != "1":
            answer["positive"] = self.positive
        if self.estimator is not None:
            named = isinstance(self.estimator, str)
            answer["estimator"] = self.estimator if named else type(self.estimator).__name__
        return answer

    def classifier(self, seed: int) -> Any:
        """Return an unfitted classifier.

        Raises
        ------
        ValueError
            The name is none of a class.
        """
        if self.estimator is None:
            return HistGradientBoostingClassifier(random_state=seed, **self.parameters)
        if not isinstance(self.estimator, str):
            return self.estimator
        module, _, name = self.estimator.rpartition(".")
        try:
            made = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"tier {self.name!r}: there is no estimator {self.estimator!r}") from error
        return made(**self.parameters)

    def prices(self, classes: list[str]) -> Vector:
        """Return costs: rows of the actual class by columns of the called one; else 1 an error."""
        if self.costs is None:
            return 1.0 - np.eye(len(classes))
        is_pair = len(classes) == 2 and self.positive in classes
        if is_pair and not _is_by_class(self.costs, classes):
            read = Costs.read(self.costs)
            assert read is not None
            matrix: Vector = np.asarray(read.matrix, dtype=np.float64)
            return matrix if classes[1] == self.positive else matrix[::-1, ::-1]
        found = cost_matrix(self.costs, classes)
        assert found is not None
        return found


def _is_by_class(costs: Any, classes: list[str]) -> bool:
    return isinstance(costs, Mapping) and all(
        str(key) in classes and isinstance(value, Mapping) for key, value in costs.items()
    )


def declared(source: str | Path | Mapping[str, Any]) -> tuple[list[Tier], list[str] | None]:
    """Read a declaration: tiers, and the columns that are features; None for all that are no labels.

    Raises
    ------
    ValueError
        It is none; the text names what is wrong.
    """
    document = json.loads(Path(source).read_text()) if isinstance(source, str | Path) else source
    if not isinstance(document, Mapping) or not document.get("tiers"):
        raise ValueError('a declaration is {"tiers": [{"name": …, "label": …}, …]}')
    tiers = [each if isinstance(each, Tier) else Tier.read(each) for each in document["tiers"]]
    seen: set[str] = set()
    for tier in tiers:
        unknown = [each for each in tier.when if each not in seen]
        if unknown:
            raise ValueError(f"tier {tier.name!r}: when names {unknown[0]!r}, which is no earlier tier")
        if not tier.when and seen:
            raise ValueError(f"tier {tier.name!r}: when is missing; only the first tier gets every row")
        if tier.name in seen:
            raise ValueError(f"tier {tier.name!r} is declared twice")
        seen.add(tier.name)
    features = document.get("features")
    return tiers, list(features) if features else None
