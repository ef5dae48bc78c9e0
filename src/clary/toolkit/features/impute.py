"""Imputation: values for what is missing."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clary.toolkit.features._categories import in_order
from clary.toolkit.features._quantiles import Sketch
from clary.toolkit.features.base import Learned, numbers

STRATEGIES = ("mean", "median", "most_frequent", "constant")


class Impute(Learned):
    """Fill missing values with the mean, the median, the most frequent value or a constant of their column.

    Parameters
    ----------
    strategy : str
        `mean` and `median` are for numbers; the others for any column.
    fill_value : object
        What `constant` fills in, and the others where a column has no value at all.
    add_indicator : bool
        Add a column `<column>_is_missing` for each column.
    """

    def __init__(self, *, strategy: str = "median", fill_value: Any = 0, add_indicator: bool = False) -> None:
        self.strategy = strategy
        self.fill_value = fill_value
        self.add_indicator = add_indicator

    def _begin(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy {self.strategy!r}: it must be one of {', '.join(STRATEGIES)}")
        self.means_ = np.zeros((2, len(self.columns_)))
        self.sketches_ = [Sketch(seed=n) for n in range(len(self.columns_))]
        self.counts_: list[Counter[Any]] = [Counter() for _ in self.columns_]

    def _gather(self, rows: pd.DataFrame, y: NDArray[Any] | None) -> None:
        if self.strategy == "most_frequent":
            for counts, name in zip(self.counts_, self.columns_, strict=True):
                counts.update(rows[name].dropna().value_counts().to_dict())
        elif self.strategy != "constant":
            values = numbers(rows, self)
            known = ~np.isnan(values)
            self.means_ += [known.sum(axis=0), np.where(known, values, 0).sum(axis=0)]
            if self.strategy == "median":
                for sketch, column in zip(self.sketches_, values.T, strict=True):
                    sketch.add(column)

    def _settle(self) -> None:
        match self.strategy:
            case "mean":
                n, total = self.means_
                fills = [s / c if c else self.fill_value for c, s in zip(n, total, strict=True)]
            case "median":
                found = [each.quantiles(np.array([0.5]))[0] for each in self.sketches_]
                fills = [self.fill_value if np.isnan(each) else each for each in found]
            case "most_frequent":
                fills = [
                    next(v for v in in_order(c) if c[v] == max(c.values())) if c else self.fill_value
                    for c in self.counts_
                ]
            case _:
                fills = [self.fill_value] * len(self.columns_)
        self.fills_ = fills

    def _apply(self, rows: pd.DataFrame) -> Any:
        missing = rows.isna()
        is_numeric = self.strategy in {"mean", "median"}
        if is_numeric:
            values: NDArray[Any] = numbers(rows, self)
        else:
            values = rows.to_numpy(dtype=object)
        filled = np.where(missing.to_numpy(), np.array(self.fills_, dtype=values.dtype), values)
        found = pd.DataFrame(filled, columns=self.columns_, index=rows.index)
        if not is_numeric:
            found = found.infer_objects()
        if self.add_indicator:
            marks = missing.astype(np.float64).set_axis(
                [f"{name}_is_missing" for name in self.columns_], axis=1
            )
            found = pd.concat([found, marks], axis=1)
        return found

    def _names(self, given: list[str]) -> list[str]:
        return [*given, *(f"{name}_is_missing" for name in given)] if self.add_indicator else given
