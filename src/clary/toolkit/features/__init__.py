"""Transformations of features: for processing scripts, and as the first stage of a model.

    Table ──▶ fit_in_blocks(pipeline) ──▶ transform_in_blocks ──▶ rows to train on
                                      └─▶ export ──▶ model.tar.gz of the scikit-learn image

A transformation is one file of this folder, and one class in it: `outliers_iqr.py` has `OutliersIQR`. All are
scikit-learn transformers. The folder is the registry: what lies in it can be imported from here.
"""

# ruff: noqa: N803 - scikit-learn's names

from typing import Any

from clary.kernel import registry
from clary.toolkit.features._blocks import Table
from clary.toolkit.features._files import as_frame, export, transform_in_blocks, transformed
from clary.toolkit.features._fitting import fit_in_blocks, through
from clary.toolkit.features.base import Learned, Replay, Transformation

__all__ = [
    "Learned",
    "Table",
    "Transformation",
    "as_frame",
    "export",
    "fit",
    "fit_in_blocks",
    "fit_transform",
    "names",
    "transform_in_blocks",
    "transformation",
    "transformed",
]


def names() -> tuple[str, ...]:
    """Return the transformations there are, by the names of their files."""
    return registry.stems(__name__)


def transformation(name: str) -> type[Any]:
    """Return the class of a transformation by the name of its file.

    Raises
    ------
    LookupError
        There is none of that name; the text says which there are.
    """
    module = registry.member(__name__, name)
    found = (
        each
        for each in vars(module).values()
        if isinstance(each, type) and each.__module__ == module.__name__ and hasattr(each, "transform")
    )
    return next(found)


def __getattr__(name: str) -> Any:
    """Return the transformation class of that name."""
    for stem in names():
        if stem.replace("_", "").lower() == name.lower():
            return transformation(stem)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def fit(estimator: Any, X: Any, y: Any = None) -> Any:
    """Return a copy of a pipeline fitted in memory, outliers left out with their labels."""
    return fit_in_blocks(estimator, [(X, y)])


def fit_transform(estimator: Any, X: Any, y: Any = None) -> tuple[Any, Any, Any]:
    """Fit in memory; return the pipeline, the rows to train on, and their labels.

    Of the rows, outliers are left out where a step removes them, and target encodings are out of fold.
    """
    fitted = fit(estimator, X, y)
    steps = fitted.steps if hasattr(fitted, "steps") else [("", fitted)]
    with Replay():
        rows, labels = through(steps, X, y)
    return fitted, rows, labels
