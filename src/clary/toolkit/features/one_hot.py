"""One-hot encoding: a column of 0 and 1 for each value."""

from collections import Counter
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder

from clary.toolkit.features._categories import column_of, in_order, is_missing
from clary.toolkit.features.base import Learned

RARE = "rare"


class OneHot(Learned):
    """A column of 0 and 1 for each value of each column; values not seen before have all 0.

    Parameters
    ----------
    min_frequency : int
        Values seen less often share one column, `<column>_rare`, with those that are new.
    max_categories : int, optional
        Columns that one column becomes at most; the most frequent values have their own.
    is_sparse : bool
        Return a sparse matrix.
    """

    def __init__(
        self, *, min_frequency: int = 1, max_categories: int | None = None, is_sparse: bool = False
    ) -> None:
        self.min_frequency = min_frequency
        self.max_categories = max_categories
        self.is_sparse = is_sparse

    def _begin(self) -> None:
        self.counts_: list[Counter[Any]] = [Counter() for _ in self.columns_]

    def _gather(self, rows: pd.DataFrame, y: NDArray[Any] | None) -> None:
        for counts, name in zip(self.counts_, self.columns_, strict=True):
            counts.update(rows[name].dropna().value_counts().to_dict())

    def _settle(self) -> None:
        self.kept_, self.has_rare_ = [], []
        for counts in self.counts_:
            kept = [value for value, n in counts.items() if n >= self.min_frequency]
            if self.max_categories is not None and len(kept) > self.max_categories:
                kept = sorted(kept, key=lambda value: (-counts[value], str(value)))
                kept = kept[: max(self.max_categories - 1, 0)]
            self.has_rare_.append(len(kept) < len(counts))
            self.kept_.append(in_order(kept))
        categories = [
            column_of([*kept, RARE] if rare else kept)
            for kept, rare in zip(self.kept_, self.has_rare_, strict=True)
        ]
        self.inner_ = OneHotEncoder(
            categories=categories, handle_unknown="ignore", sparse_output=self.is_sparse
        ).fit(
            pd.DataFrame(
                {n: each[:1] if len(each) else [None] for n, each in enumerate(categories)}, dtype=object
            )
        )

    def _apply(self, rows: pd.DataFrame) -> Any:
        columns = {}
        for n, (name, kept, rare) in enumerate(zip(self.columns_, self.kept_, self.has_rare_, strict=True)):
            values = rows[name].astype(object)
            known = values.isin(kept)
            columns[n] = values.where(known | is_missing(values), RARE if rare else None).to_numpy(
                dtype=object
            )
        return self.inner_.transform(pd.DataFrame(columns, dtype=object))

    def _names(self, given: list[str]) -> list[str]:
        return [
            f"{name}_{value}"
            for name, kept, rare in zip(given, self.kept_, self.has_rare_, strict=True)
            for value in [*kept, *([RARE] if rare else [])]
        ]
